"""The end of section 4.2: ``python benchmarks/pools.py [ROW ...] [--n 200]``.

Networks trained against adversarial examples beside what competes with that, with sigmoids and with
rectified units, five seeds each: the tasks of :mod:`course_lib.reproduce.hardening`, which ``course
reproduce --mode full`` does too. A ROW is one of them, as "sigmoid: pools"; all of them take about
three hours on one core.

The outcome is course_lib/_assets/records/pools.json. Networks that are trained are kept in the
course's folder, and so are finished rows (:mod:`course_lib.kept`), until the code or a network
changes: an interrupted run goes on where it stopped. ``--fresh`` measures the same networks anew.
"""

from course_lib import record, storage
from course_lib.reproduce import hardening, running

PATH = storage.ASSETS / "records" / "pools.json"


def main(arguments: list[str] | None = None) -> None:
    """Measure what is missing, and write the record."""
    many = len(record.SEEDS)
    parser = record.parser(__doc__, PATH, hardening.ROWS, seeds=many, n=hardening.IMAGES)
    given = parser.parse_args(arguments)
    for name in given.names or hardening.ROWS:
        made = running.run(
            hardening.tasks([name], given.seeds, given.n), fresh=given.fresh, progress=False
        )
        rows = {task.network: found for task, found in made.items()}
        print(hardening.told(name, rows[name]), flush=True)
        head = hardening.head(given.n)
        whole = record.merged(given.output, "rows", rows, head, hardening.ROWS)
        record.merged(given.output, None, hardening.said(whole["rows"]))


if __name__ == "__main__":
    record.run(main)
