"""Entry of `python -m tatok`."""

import sys

from .cli import main

# The guard is for worker processes that are spawned: they import this file anew.
if __name__ == "__main__":
    sys.exit(main())
