#!/bin/sh
# CUDA tests and the timing grid on a machine with a CUDA device and no network. Uses the torch that
# PYTHON has; packages that it lacks come from the folder WHEELS; what is in neither is a named skip.
set -eu
PYTHON=${PYTHON:-python3}

if ! "$PYTHON" -c 'import torch' 2>/dev/null; then
    echo "bench-cuda: $PYTHON has no torch; name an interpreter that has a CUDA build: make bench-cuda PYTHON=..." >&2
    exit 1
fi
if ! "$PYTHON" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    echo "bench-cuda: no CUDA device here (torch.cuda.is_available() is False); nothing was measured" >&2
    exit 1
fi

"$PYTHON" -m venv --system-site-packages .venv-cuda
bin=.venv-cuda/bin
if [ -n "${WHEELS:-}" ]; then
    "$bin/python" - <<'PY' | while read -r requirement; do
import tomllib

extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]
print(*dict.fromkeys(r for name in ("rays", "baselines", "bench", "test") for r in extras[name]), sep="\n")
PY
        "$bin/python" -m pip install --quiet --no-index --find-links "$WHEELS" "$requirement" 2>/dev/null \
            || echo "not in $WHEELS, skipped: $requirement"
    done
fi
"$bin/python" -m pytest -q -m cuda
"$bin/python" -m bench.cuda_limits --out results/cuda_limits.csv
"$bin/python" -m bench run --grid "${GRID:-default}" -k cuda
"$bin/python" -m bench tables
"$bin/python" -m bench plots
"$bin/python" -m bench report
