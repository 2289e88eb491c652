#!/bin/sh
# What tests and measurements say on this machine's CUDA device, with no network. Uses the torch that PYTHON
# has; packages that it lacks come from the folder WHEELS; what is in neither is a named skip.
#
#   PARTS    of "peers tests sanitize limits grid results", in the order given; default: all but sanitize
#   GRID     the timing grid; default: cuda, by estimate five minutes on an H100, two more with the peers
#   RAW      where raw rows go, written cell by cell; default: results/raw
#   LIMIT    seconds after which a part is stopped; what it measured is kept, and the same command continues
#
# A part that fails does not stop the next one; at the end the status is 1 and the parts are named.
set -u
PYTHON=${PYTHON:-python3}
PARTS=${PARTS:-peers tests limits grid results}
RAW=${RAW:-results/raw}

if ! "$PYTHON" -c 'import torch' 2>/dev/null; then
    echo "bench-cuda: $PYTHON has no torch; name an interpreter that has a CUDA build: make bench-cuda PYTHON=..." >&2
    exit 1
fi
if ! "$PYTHON" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    echo "bench-cuda: no CUDA device here (torch.cuda.is_available() is False); nothing was measured" >&2
    exit 1
fi
for part in $PARTS; do
    case $part in
        peers | tests | sanitize | limits | grid | results) ;;
        *)
            echo "bench-cuda: unknown part '$part'; PARTS are peers, tests, sanitize, limits, grid, results" >&2
            exit 2
            ;;
    esac
done

bin=.venv-cuda/bin
"$PYTHON" -m venv --system-site-packages .venv-cuda || exit 1
# PYTHON may be a virtual environment itself, whose packages the line above does not pass on.
where='import sysconfig; print(sysconfig.get_path("purelib"))'
"$PYTHON" -c "$where" > "$("$bin/python" -c "$where")/machine.pth" || exit 1
if [ -n "${WHEELS:-}" ]; then
    "$bin/python" bench/wheels/install.py "$WHEELS" || exit 1
fi

# Ctrl-C is what the benchmark is stopped by, so that it says what it kept.
limited() {
    if [ -n "${LIMIT:-}" ] && command -v timeout >/dev/null; then
        timeout --signal=INT --kill-after=20 "$LIMIT" "$@"
    else
        "$@"
    fi
}

# What WHEELS lacks is named; the peers that need it are rows that say so.
peers() {
    if [ -z "${WHEELS:-}" ]; then
        echo "skipped: WHEELS names no folder to build the peers' environments from"
        return 0
    fi
    "$bin/python" -m baselines.peers --cuda --wheels "$WHEELS" || echo "some peers are missing, see above"
}

tests() {
    # A module whose package is missing does not keep the others from being run.
    limited "$bin/python" -m pytest -q -m cuda --continue-on-collection-errors
}

# Without torch's own cache of memory, every tensor has the bounds that the sanitizer watches.
sanitize() {
    if ! command -v compute-sanitizer >/dev/null; then
        echo "skipped: compute-sanitizer is not on PATH"
        return 0
    fi
    limited env PYTORCH_NO_CUDA_MEMORY_CACHING=1 compute-sanitizer --tool memcheck --error-exitcode 1 \
        "$bin/python" -m bench.cuda_limits.sanitize
}

limits() {
    limited "$bin/python" -m bench.cuda_limits --raw "$RAW"
}

grid() {
    limited "$bin/python" -m bench run --grid "${GRID:-cuda}" --raw "$RAW" -m cuda
}

results() {
    "$bin/python" -m bench tables --raw "$RAW" && "$bin/python" -m bench plots && "$bin/python" -m bench report
}

begin=$(date +%s)
failed=
for part in $PARTS; do
    start=$(date +%s)
    echo "bench-cuda: $part"
    "$part"
    status=$?
    now=$(date +%s)
    if [ "$status" -eq 0 ]; then
        verdict=done
    else
        verdict="failed with status $status"
        case $status in 124 | 137) verdict="stopped after ${LIMIT:-some} s" ;; esac
        failed="$failed $part"
    fi
    echo "bench-cuda: $part $verdict, $((now - start)) s, $((now - begin)) s in all"
done
if [ -n "$failed" ]; then
    echo "bench-cuda: not all went well:$failed" >&2
    exit 1
fi
