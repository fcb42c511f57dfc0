"""``python -m circuitsearch`` is the command line."""

import sys

from circuitsearch.cli import main

if __name__ == "__main__":
    sys.exit(main())
