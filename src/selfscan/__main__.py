"""`python -m selfscan` is `selfscan`."""

from __future__ import annotations

import sys

from selfscan.cli import main

if __name__ == "__main__":
    sys.exit(main())
