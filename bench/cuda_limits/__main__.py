"""`python -m bench.cuda_limits`."""

import sys

from . import limits_main

if __name__ == "__main__":
    sys.exit(limits_main())
