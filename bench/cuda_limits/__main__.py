"""`python -m bench.cuda_limits`."""

import sys

from . import limits_main

if __name__ == "__main__":
    try:
        sys.exit(limits_main())
    except KeyboardInterrupt:
        print("stopped; what was measured is kept, the same command continues", file=sys.stderr)
        sys.exit(130)
