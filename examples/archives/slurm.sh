#!/bin/bash
# An archive as an array job of SLURM: each task does one part of the table of cases.
#
#     sbatch slurm.sh MODEL cases.csv masks
#
# A task that was killed, or ran out of time, is submitted again (--requeue does it by itself) and
# goes on where it was. When all are done:
#
#     lightm-unet merge masks/part_* --manifest cases.csv --output table
#SBATCH --job-name=lightm-unet
#SBATCH --array=0-63
#SBATCH --cpus-per-task=2
#SBATCH --mem=4G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --output=lightm-unet-%A_%a.log
set -u
export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK
# The part is read from SLURM_ARRAY_TASK_ID; a folder for each keeps the tasks' ledgers apart.
exec lightm-unet predict "$1" --manifest "$2" --output "$3/part_$SLURM_ARRAY_TASK_ID" --statistics
