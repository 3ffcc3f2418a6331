#!/usr/bin/env bash
# The main job on real data: train a VAE and a DCGAN on the handwritten digits that come with scikit-learn, draw samples,
# ask a classifier whether they are recognisable, and prove that both equal their PyTorch twins.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/setup.sh demo,verify
for family in vae dcgan; do
  printf '\n== %s\n' "$family"
  jaxgen train "$family" --data digits
  jaxgen sample "runs/$family-digits" --count 100 --seed 1
  python scripts/recognise.py "runs/$family-digits"
done
printf '\n== proof\n'
jaxgen verify vae dcgan
printf '\nLook at runs/*-digits: samples/, curves.png, and a file of weights a net that PyTorch loads too.\n'
