#!/bin/sh
# Eight GPUs of one machine (another number: PROCESSES=4). Options are those of kgbuild train; the first process prints.
#   sh torchrun_8gpu.sh vlm-kg_mimic --root /data/mimic-cxr --images /data/mimic-cxr-jpg -w kg
# Without a GPU it runs so many processes on the CPU; accelerate launch --cpu would start only one.
exec torchrun --standalone --nproc_per_node "${PROCESSES:-8}" -m kgbuild train "$@"
