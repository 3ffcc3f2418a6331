#!/usr/bin/env bash
# Training on a TPU VM, run on the VM itself. Arguments are added to each command: bash scripts/train_tpu.sh --steps 2000
#   gcloud compute tpus tpu-vm create jaxgen --zone ZONE --accelerator-type v5litepod-4 --version v2-alpha-tpuv5-lite
#   gcloud compute tpus tpu-vm ssh jaxgen --zone ZONE
set -euo pipefail
cd "$(dirname "$0")/.."
extras=demo
[ -e /dev/accel0 ] || [ -e /dev/vfio/0 ] && extras=demo,tpu
source scripts/setup.sh "$extras"

# all chips: auto splits the batch among them. float32 products are exact there in several passes of bfloat16
jaxgen train dcgan --recipe T03 --batch 128 --name runs/tpu-float32 "$@"

# what TPUs are built for: products in bfloat16, added up in float32
jaxgen train dcgan --recipe T03 --batch 128 --precision bf16 --name runs/tpu-bf16 "$@"

# a run is stopped with a VM: the same command goes on from its last checkpoint
jaxgen train dcgan --recipe T03 --batch 128 --precision bf16 --name runs/tpu-bf16 "$@"

jaxgen sample runs/tpu-bf16 --count 100
