"""`python -m supervise` is the command `supervise`."""

from __future__ import annotations

import sys

from supervise.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
