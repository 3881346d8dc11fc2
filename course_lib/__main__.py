"""``python -m course_lib lab`` is ``course lab``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
