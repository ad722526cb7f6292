#!/usr/bin/env bash
# Trains this model again: train.sh TASK04_HIPPOCAMPUS WORKING_FOLDER. Repeat it with --resume to go on.
set -euo pipefail
source=$1 work=$2
[ -d "$work/hippocampus" ] || lightm-unet import-dataset "$source" "$work/hippocampus"
OMP_NUM_THREADS=1 lightm-unet train "$work/hippocampus" --output "$work/run" --size 40x56x40 --epochs 80 \
  --recipe adamw --network lightm-unet:width=16:expand=1:d_state=8:stem=conv-norm:norm=batch:head=dwconv-norm "${@:3}"
