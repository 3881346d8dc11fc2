"""``python -m tests.pretended_gpu [04 07]``: the solved lessons on the pretended GPU."""

import sys
import tempfile
import time
from pathlib import Path

from .lessons import NAMES, run


def main(wanted: list[str]) -> int:
    chosen = [name for name in NAMES if not wanted or name[:2] in wanted]
    if not chosen:
        numbers = ", ".join(name[:2] for name in NAMES)
        print(f"There is no such lesson: name some of {numbers}, or none for all of them.")
        return 2
    bad = 0
    for name in chosen:
        begin = time.monotonic()
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            operations, problems = run(name, Path(folder))
        bad += bool(problems)
        seconds = time.monotonic() - begin
        print(
            f"{name}: {'; '.join(problems) or 'right'} ({operations} operations, {seconds:.0f} s)"
        )
        sys.stdout.flush()
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
