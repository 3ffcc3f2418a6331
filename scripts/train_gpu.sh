#!/usr/bin/env bash
# Training on one NVIDIA GPU, on several, and in lower precision. Arguments are added to each command:
#   bash scripts/train_gpu.sh --steps 2000
# Where the recipe asks for mnist, it is fetched once into the user's cache; --data-dir names a folder that has it.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/setup.sh demo

# one GPU; the products in float32 (JAX's own default would be TF32)
CUDA_VISIBLE_DEVICES=${CUDA_VISIBLE_DEVICES:-0} jaxgen train dcgan --recipe T03 --name runs/gpu-one "$@"

# all GPUs of the machine: the batch is split among them, the batch norms see all of it
jaxgen train dcgan --recipe T03 --parallel auto --name runs/gpu-all "$@"

# bfloat16 for products and convolutions; weights, statistics and losses stay float32
jaxgen train dcgan --recipe T03 --precision bf16 --name runs/gpu-bf16 "$@"

# the same bits again in a second run: slower kernels, which add up in one order
jaxgen train vae --recipe T02 --deterministic --name runs/gpu-deterministic "$@"

jaxgen sample runs/gpu-all --count 100
