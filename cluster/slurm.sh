#!/bin/bash
# A Ray cluster inside one Slurm allocation, and one run on it: sbatch cluster/slurm.sh job.yaml
# The run carries on from its folder when the job is queued again (--requeue, a time limit, a preemption).
# Every value marked CHANGE is explained in cluster/README.md.
#SBATCH --job-name=automl-gpt-ray
#SBATCH --nodes=4                         # CHANGE: one for the driver and three that train
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16                # CHANGE: of each node
#SBATCH --gpus-per-task=1                 # CHANGE: of each node
#SBATCH --time=24:00:00                   # CHANGE
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

JOB=${1:?usage: sbatch cluster/slurm.sh job.yaml}
RUN=${RUN:-$HOME/automl-gpt-ray-runs/$SLURM_JOB_ID}         # CHANGE: a folder that all nodes share
PORT=$((20000 + SLURM_JOB_ID % 20000))    # several allocations may share a node
source "$HOME/venv/bin/activate"          # CHANGE: the environment with the package, on shared storage

export RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(16))')
export RAY_AUTH_TOKEN

mapfile -t HOSTS < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
HEAD=${HOSTS[0]}
HEAD_IP=$(srun --nodes=1 --ntasks=1 --nodelist="$HEAD" hostname --ip-address | awk '{print $1}')

srun --nodes=1 --ntasks=1 --nodelist="$HEAD" --overlap \
  ray start --head --node-ip-address="$HEAD_IP" --port="$PORT" --num-gpus=0 --block &
sleep 15
srun --nodes=$((SLURM_NNODES - 1)) --ntasks=$((SLURM_NNODES - 1)) --exclude="$HEAD" --overlap \
  ray start --address="$HEAD_IP:$PORT" --block &

export RAY_ADDRESS=$HEAD_IP:$PORT
if [ -e "$RUN/job.json" ]; then
  srun --nodes=1 --ntasks=1 --nodelist="$HEAD" --overlap automl-gpt-ray run --resume "$RUN"
else
  srun --nodes=1 --ntasks=1 --nodelist="$HEAD" --overlap automl-gpt-ray run "$JOB" --run-dir "$RUN"
fi
