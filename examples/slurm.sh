#!/bin/sh
#SBATCH --job-name=sweeplake-fleet
#SBATCH --array=1-4
#SBATCH --nodes=1 --ntasks=1
#SBATCH --partition=gpu
#SBATCH --gpus-per-node=8
#SBATCH --time=8:00:00
#SBATCH --chdir=/home/me/tuning
#SBATCH --output=/home/me/tuning/results/.slurm/fleet-%A-%a.log
#SBATCH --requeue --open-mode=append
#SBATCH --signal=B:TERM@120

# A signal must reach the sweep itself.
exec /usr/local/bin/sweeplake serve --serve-cmd 'vllm serve MODEL --port {port}' --serve-grid tensor_parallel_size=1,2 --serve-grid 'max_num_seqs=64..512*2' --bench-cmd 'vllm bench serve --model MODEL --port {port} --ignore-eos' --bench-grid 'max_concurrency=1..256*4' -e fleet --join=leave
