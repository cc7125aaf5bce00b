#!/bin/sh
# One GPU, the first of the machine unless CUDA_VISIBLE_DEVICES names another. Options are those of kgbuild train:
#   sh torchrun_1gpu.sh llm-kg_mimic -w kg
CUDA_VISIBLE_DEVICES="${CUDA_VISIBLE_DEVICES:-0}"
export CUDA_VISIBLE_DEVICES
exec torchrun --master_addr 127.0.0.1 --nproc_per_node 1 -m kgbuild train "$@"
