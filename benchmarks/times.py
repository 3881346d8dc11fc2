"""How long a learner waits: ``python benchmarks/times.py`` (``--train`` trains each network, too).

Loading the data and the networks, and drawing a slider's figure anew (the lesson's own cells, up to
the slider, are run first). Seconds of wall time: the first call of a process, then the median of
several. The result, with its machine, is benchmarks/times.json.
"""

import argparse
import contextlib
import io
import json
import os
import statistics
import time
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import nbformat

from course_lib import data, models, record, storage, zoo

HERE = Path(__file__).resolve().parent
# lesson, the id of its slider's cell, the function that draws, the values to try
SLIDERS = (
    ("00_start_here", "noise", "draw", "levels"),
    ("01_training_mnist_networks", "path-figure", "show_strength", "strengths"),
)


def seconds(function, repeats: int = 5) -> dict[str, float]:
    """Wall time of the first call, and the median of ``repeats`` more."""
    taken = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        function()
        taken.append(time.perf_counter() - began)
    return {"first": round(taken[0], 3), "median": round(statistics.median(taken[1:]), 3)}


def namespace_at(lesson: str, cell_id: str) -> dict:
    """The names of a solved lesson after the cell ``cell_id``."""
    notebook = nbformat.read(HERE.parent / "solutions" / f"{lesson}.ipynb", as_version=4)
    names: dict = {"__name__": "__main__"}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(cell.source, f"{lesson}:{cell.id}", "exec"), names)
            plt.close("all")
        if cell.id == cell_id:
            return names
    raise LookupError(f"{lesson} has no cell {cell_id!r}")


def redraw(lesson: str, cell_id: str, function: str, values: str) -> dict[str, float]:
    """Seconds from a slider's move to a PNG, over all of its values: median and largest."""
    names = namespace_at(lesson, cell_id)
    taken = []
    for value in [*names[values], *names[values]]:
        began = time.perf_counter()
        names[function](value)
        plt.gcf().savefig(io.BytesIO(), format="png", bbox_inches="tight")
        plt.close("all")
        taken.append(time.perf_counter() - began)
    taken = taken[len(names[values]) :]  # the first round warms fonts and caches
    return {"median": round(statistics.median(taken), 3), "largest": round(max(taken), 3)}


def main() -> None:
    """Measure, print, and write benchmarks/times.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", action="store_true", help="train each network once, too")
    train = parser.parse_args().train
    path = HERE / "times.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    found["machine"] = record.machine()
    found["load_mnist"] = {part: seconds(lambda p=part: data.load_mnist(p)) for part in data.PARTS}
    found["zoo.load"] = {name: seconds(lambda n=name: zoo.load(n)) for name in models.NETWORKS}
    os.environ.pop("COURSE_STATIC", None)
    found["slider"] = {f"{s[0]}: {s[1]}": redraw(*s) for s in SLIDERS}
    if train:
        found["train"] = {}
        for name in models.NETWORKS:
            began = time.perf_counter()
            zoo.train(name, progress=False)
            found["train"][name] = round(time.perf_counter() - began, 1)
            print(f"{name}: trained in {found['train'][name]} s", flush=True)
        found["train"]["all"] = round(sum(found["train"].values()), 1)
    text = json.dumps(found, indent=1)
    print(text)
    storage.write_text(path, text + "\n")


if __name__ == "__main__":
    main()
