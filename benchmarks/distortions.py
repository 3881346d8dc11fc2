"""The last column of Tables 1 and 3: ``python benchmarks/distortions.py [NETWORK ...] [--n 1000]``.

The paper's attack on seeded random images, training images for Table 1 and test images for the
halves of Table 3, for five seeds of each network (one for FC10, which has one optimum), with the
rule of the targets, the loss and the norm changed one at a time: the tasks of
:mod:`course_lib.reproduce.distortions`, which ``course reproduce`` does too.

The outcome is course_lib/_assets/records/attacks.json, beside the machine that made it. Finished
measurements are kept (:mod:`course_lib.kept`), so that an interrupted run goes on where it stopped,
until the code or a network changes; ``--fresh`` forgets them. Further seeds than those kept are
trained first (some seconds each). CONV, whose attack costs thirty times that of the others, has a
fifth of the images.
"""

from course_lib import record, storage
from course_lib.reproduce import distortions, running

PATH = storage.ASSETS / "records" / "attacks.json"


def say(task, result: dict, seconds: float) -> None:
    """A line for each measurement."""
    if task.experiment == "monotone":
        print(f"{task.network}, scan over c: {result}", flush=True)
        return
    mean = result["distortion"].get("mean", float("nan"))
    print(
        f"{task.network}, seed {task.seed}, {distortions.label(task.settings)}: {mean:.4f} "
        f"(n = {result['distortion']['n']}, success {result['success']:.1%}, "
        f"{result['cpu_seconds']:.0f} s)",
        flush=True,
    )


def main(arguments: list[str] | None = None) -> None:
    """Measure what is missing, and write the record."""
    parser = record.parser(__doc__, PATH, distortions.NETWORKS, seeds=len(record.SEEDS), n=1000)
    parser.add_argument("--monotone", type=int, default=60, help="images for the scan over c")
    given = parser.parse_args(arguments)
    how = {"fresh": given.fresh, "progress": False, "tell": say}
    for name in given.names or distortions.NETWORKS:
        made = running.run(distortions.tasks([name], range(given.seeds), given.n), **how)
        entry = {name: distortions.entry(name, made)}
        head = distortions.head(given.n)
        record.merged(given.output, "networks", entry, head, distortions.NETWORKS)
        scans = running.run(distortions.monotone_tasks([name], given.monotone), **how)
        record.merged(given.output, "monotone", {t.network: r for t, r in scans.items()})


if __name__ == "__main__":
    record.run(main)
