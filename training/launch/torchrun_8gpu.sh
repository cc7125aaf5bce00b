#!/bin/sh
# Eight GPUs of one machine (another number: PROCESSES=4). Options are those of kgbuild train; the first process prints.
#   sh torchrun_8gpu.sh vlm-kg_mimic --root /data/mimic-cxr --images /data/mimic-cxr-jpg -w kg
# Without a GPU it runs so many processes on the CPU; accelerate launch --cpu would start only one.
# The address is given, since torchrun --standalone waits for ever where the host's own name does not resolve.
exec torchrun --master_addr 127.0.0.1 --nproc_per_node "${PROCESSES:-8}" -m kgbuild train "$@"
