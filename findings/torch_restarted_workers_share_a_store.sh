#!/usr/bin/env bash
# torchrun of torch 2.13.0: workers that --max-restarts starts again get the store of the attempt before, with its keys.
# torch/distributed/rendezvous.py takes it to be a new store each time, which it is only with --rdzv-backend c10d and
# TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1. The addresses at which gloo's processes met are among the
# keys, so those of a new attempt may look for processes that have ended, and wait.
#
# Output seen: a counter in the store, to which each of two workers adds 1 in each of two attempts, should end at 2.
#   static: attempt 1 ends at 4
#   c10d: attempt 1 ends at 4
#   c10d, store not shared: attempt 1 ends at 2
#
# What our users meet of it: nothing on one machine, where our keys have a prefix for each attempt; for several docs/scaling.md sets the
# variable.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "torch==2.13.0" "numpy==2.4.6"

cat > "$folder/worker.py" <<'PY'
import os
import sys
import time
from datetime import timedelta

from torch.distributed import rendezvous

store, rank, _ = next(rendezvous("env://", timeout=timedelta(seconds=60)))
attempt = os.environ["TORCHELASTIC_RESTART_COUNT"]
store.add("count", 1)
store.add(f"here in {attempt}", 1)
while store.add(f"here in {attempt}", 0) < 2:
    time.sleep(0.01)
if attempt == "0":
    sys.exit(1)
if rank == 0:
    print(f"{sys.argv[1]}: attempt 1 ends at {store.add('count', 0)}")
time.sleep(1)
PY

run() {
    name=$1
    shift
    OMP_NUM_THREADS=1 "$folder/venv/bin/torchrun" --nproc-per-node 2 --max-restarts 1 "$@" "$folder/worker.py" "$name" 2> "$folder/errors"
}
{
    run static
    run c10d --rdzv-backend c10d --rdzv-endpoint localhost:0
    export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
    run "c10d, store not shared" --rdzv-backend c10d --rdzv-endpoint localhost:0
} | tee "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
static: attempt 1 ends at 4
c10d: attempt 1 ends at 4
c10d, store not shared: attempt 1 ends at 2
EXPECTED
