"""How long a learner waits: ``python benchmarks/times.py`` (``--train`` trains each network, too).

Loading the data and the networks, and drawing the figure of every slider anew (the lessons' own
cells are run for it). Seconds of wall time: the first call of a process, then the median of
several. The result, with its machine, is benchmarks/times.json.
"""

import argparse
import contextlib
import io
import json
import os
import statistics
import tempfile
import time
import unittest.mock
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import nbformat

from course_lib import data, models, record, widgets, zoo

HERE = Path(__file__).resolve().parent
LESSONS = HERE.parent / "solutions"


def seconds(function, repeats: int = 5) -> dict[str, float]:
    """Wall time of the first call, and the median of ``repeats`` more."""
    taken = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        function()
        taken.append(time.perf_counter() - began)
    return {"first": round(taken[0], 3), "median": round(statistics.median(taken[1:]), 3)}


def redraws(lesson: Path) -> dict[str, dict[str, float]]:
    """Seconds from a slider's move to a PNG for each slider of a solved lesson, by its cell's id:
    the median and the largest over the values that a static page shows.

    All the lesson's cells are run, with :func:`widgets.explore` measuring instead of showing.
    """
    notebook = nbformat.read(lesson, as_version=4)
    names: dict = {"__name__": "__main__"}
    found = {}

    def measure(draw, static, **controls):
        taken = []
        for values in [*static, *static]:
            began = time.perf_counter()
            draw(**values)
            plt.gcf().savefig(io.BytesIO(), format="png", bbox_inches="tight")
            plt.close("all")
            taken.append(time.perf_counter() - began)
        taken = taken[len(static) :]  # the first round warms fonts and caches
        times = {"median": statistics.median(taken), "largest": max(taken)}
        found[cell.id] = {which: round(value, 3) for which, value in times.items()}

    with unittest.mock.patch.object(widgets, "explore", measure):
        for cell in notebook.cells:
            if cell.cell_type == "code":
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(compile(cell.source, f"{lesson.stem}:{cell.id}", "exec"), names)
                plt.close("all")
    return found


def main() -> None:
    """Measure, print, and write benchmarks/times.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", action="store_true", help="train each network once, too")
    train = parser.parse_args().train
    path = HERE / "times.json"
    found: dict = {"machine": record.machine()}
    found["load_mnist"] = {part: seconds(lambda p=part: data.load_mnist(p)) for part in data.PARTS}
    found["zoo.load"] = {name: seconds(lambda n=name: zoo.load(n)) for name in models.NETWORKS}
    with tempfile.TemporaryDirectory() as folder:  # predictions and answers are nobody's
        os.environ["COURSE_HOME"] = folder
        found["slider"] = {path.stem: redraws(path) for path in sorted(LESSONS.glob("*.ipynb"))}
    if train:
        found["train"] = {}
        for name in models.NETWORKS:
            began = time.perf_counter()
            zoo.train(name, progress=False)
            found["train"][name] = round(time.perf_counter() - began, 1)
            print(f"{name}: trained in {found['train'][name]} s", flush=True)
        found["train"]["all"] = round(sum(found["train"].values()), 1)
    print(json.dumps(record.merged(path, None, found), indent=1))


if __name__ == "__main__":
    main()
