#!/usr/bin/env bash
# Scale smoke, every cell of every table, through a real Slurm; one training is cancelled midway.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"

# Its name tells the jobs of this call from others that may be in the queue.
prefix="dmp-ci-$$"
cancelled=$(mktemp)
trap 'kill "$watcher" 2>/dev/null || true; rm -f "$cancelled"' EXIT
(
    while [ ! -s "$cancelled" ]; do
        sleep 0.2
        squeue --me --noheader --states=R --format='%i %j %k' |
            awk -v prefix="$prefix" 'index($2, prefix) == 1 && /pretrain/ { print $1; exit }' >"$cancelled"
    done
    scancel "$(cat "$cancelled")"
) &
watcher=$!

snakemake --profile slurm --workflow-profile workflow/profiles/ci \
    --slurm-jobname-prefix "$prefix" tables --config scale=smoke
if [ ! -s "$cancelled" ]; then
    echo "error: no running training was found to cancel, so that nothing had to recover" >&2
    exit 1
fi
echo "Slurm ran scale smoke to the end, though job $(cat "$cancelled") was cancelled"
