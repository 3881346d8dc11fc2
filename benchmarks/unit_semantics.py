"""The record of lesson 02: are units more meaningful than random directions?

    python benchmarks/unit_semantics.py                # all seeds; trains what is not there yet
    python benchmarks/unit_semantics.py --seeds 0 1    # these only; no record before all are done

For ten networks of each kind, trained and untrained, every measure of :mod:`course_lib.units` for
the units of a layer, for random (Haar) bases of it, and for the controls: the tasks of
:mod:`course_lib.reproduce.semantics`, which ``course reproduce`` does too. Finished measurements
are kept (:mod:`course_lib.kept`), so that an interrupted run goes on where it stopped, until the
code or a network changes; ``--fresh`` forgets them. The outcome is
course_lib/_assets/records/unit_semantics.json; a test recomputes its verdicts and parts of its
numbers.
"""

import json

from course_lib import record, storage, units
from course_lib.reproduce import running, semantics


def say(task, result: dict, seconds: float) -> None:
    """A line for each measurement."""
    place = "/".join(str(task.settings[key]) for key in ("state", "layer") if key in task.settings)
    print(f"{task.network}/{task.seed}/{place}: {seconds:.0f} s", flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Measure what is not finished yet, and write the record if nothing is missing."""
    parser = record.parser(__doc__, units.RECORD)
    seeds = list(semantics.SEEDS)
    parser.add_argument("--seeds", type=int, nargs="+", default=seeds, help="networks")
    given = parser.parse_args(arguments)
    every = semantics.tasks(units.STUDIED, seeds)
    asked = [t for t in every if t.experiment == "pixels" or t.seed in given.seeds]
    running.run(asked, fresh=given.fresh, progress=False, tell=say)
    finished = running.finished_of(every)
    missing = sorted({task.seed for task in every if task not in finished})
    if missing:
        print(f"Seeds {missing} are missing: the record is written when all are there.")
        return
    made = semantics.assemble(finished)
    storage.write_text(given.output, json.dumps(made, indent=1) + "\n")
    print(f"{given.output.name} is written.")


if __name__ == "__main__":
    record.run(main)
