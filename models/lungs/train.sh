#!/usr/bin/env bash
# Trains this model again: train.sh MONTGOMERY_SHENZHEN WORKING_FOLDER. Repeat it with --resume to go on.
set -euo pipefail
source=$1 work=$2
[ -d "$work/lungs" ] || lightm-unet import-dataset "$source" "$work/lungs"
OMP_NUM_THREADS=1 lightm-unet train "$work/lungs" --output "$work/run" --size 256x256 --epochs 50 --recipe adamw --augmentation radiograph \
  --network lightm-unet:width=16:expand=1:d_state=8:stem=conv-norm:norm=batch:head=dwconv-norm "${@:3}"
