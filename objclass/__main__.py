"""``python -m objclass``."""

import sys

from objclass.cli import main

if __name__ == "__main__":
    sys.exit(main())
