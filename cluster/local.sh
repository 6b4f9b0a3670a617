#!/bin/bash
# A small cluster on this machine, to try a job as it will run elsewhere: bash cluster/local.sh up | down
#   bash cluster/local.sh up
#   automl-gpt-ray submit configs/demo.yaml --set storage_path="$PWD/runs" --address http://127.0.0.1:8265 --follow
set -euo pipefail

FOLDER=${AUTOML_GPT_RAY_LOCAL:-/tmp/automl-gpt-ray-local}   # CHANGE: short, for sockets; one folder a cluster
WORKERS=${WORKERS:-2}                     # CHANGE: nodes beside the head
CPUS=${CPUS:-1}                           # CHANGE: of each
export RAY_AUTH_MODE=${RAY_AUTH_MODE:-disabled}             # CHANGE: `token` on a machine that others use
export RAY_USAGE_STATS_ENABLED=0

up() {
  mkdir -p "$FOLDER"
  start head --head --port=6399 --dashboard-port=8265 --node-ip-address=127.0.0.1 --num-cpus=0 \
    --dashboard-agent-listen-port=0
  until python -c 'import urllib.request as u; u.urlopen("http://127.0.0.1:8265/api/version")' 2>/dev/null; do
    sleep 1
  done
  for number in $(seq "$WORKERS"); do
    start "worker-$number" --address=127.0.0.1:6399 --node-ip-address=127.0.0.1 --num-cpus="$CPUS" \
      --dashboard-agent-listen-port=0
  done
  echo "job server: http://127.0.0.1:8265"
}

start() {
  # A group of processes of its own for each node, so that `down` ends these and no other Ray.
  local name=$1
  shift
  setsid ray start --block --temp-dir="$FOLDER/$name" "$@" >"$FOLDER/$name.log" 2>&1 &
  echo $! >"$FOLDER/$name.pid"
}

down() {
  for file in "$FOLDER"/*.pid; do
    [ -e "$file" ] || continue
    kill -KILL -- "-$(cat "$file")" 2>/dev/null || true
    rm -f "$file"
  done
}

case "${1:-}" in
  up | down) "$1" ;;
  *) echo "usage: bash cluster/local.sh up | down" >&2; exit 2 ;;
esac
