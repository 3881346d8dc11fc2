"""Ostriches of eight photographs at once, beside SciPy's, one after the other.

    python benchmarks/ostriches.py    # some ten minutes on one core

Figure 5's task: EfficientNet-Lite0, class 9, the first eight photographs. SciPy's L-BFGS-B solves
the paper's problem for one photograph at a time, as peers/scipy_worker.py does for digits: it
brackets the largest c that succeeds by factors of ten and bisects four times, fifty iterations
each. Ours: the search of lesson 09 (:func:`imagenet.aimed`), and the batched attack of the library
within a budget of gradients. CPU seconds of one process with one thread, in one run on the same
photographs, in turns; benchmarks/ostriches.json has them with their machine.
"""

import json
import math
import sys
import time
from pathlib import Path

import torch

from course_lib import attacks, imagenet, record, storage
from course_lib.imagenet import needed

HERE = Path(__file__).resolve().parent
PATH = HERE / "ostriches.json"
MANY, BISECTIONS, ITERATIONS, STEPS, BUDGET = 8, 4, 50, 60, 240
SHARE = 1 / 3  # of SciPy's CPU time


def timed(function):
    """What a function gives, and its CPU seconds."""
    began = time.process_time()
    found = function()
    return found, time.process_time() - began


def distance(z: torch.Tensor, x: torch.Tensor) -> float:
    """The distortion of one photograph."""
    return float((z - x).double().square().mean().sqrt())


def by_scipy(net, image: torch.Tensor, ostrich: torch.Tensor) -> torch.Tensor:
    """The nearest that the search for c meets; the image itself if none."""
    sys.path.insert(0, str(HERE / "peers"))
    import scipy_worker

    flat = image.double().flatten().numpy()
    shape = (1, *image.shape)
    with torch.no_grad():
        z = scipy_worker.nearest(net, flat, ostrich, BISECTIONS, shape, maxiter=ITERATIONS)
    return torch.from_numpy(z).float().reshape(image.shape)


def measure() -> dict:
    """Distortions and CPU seconds of the three."""
    torch.set_num_threads(1)
    net = imagenet.load(needed.NAME, device="cpu")
    some = imagenet.photographs(device="cpu")
    x, names = some.images[:MANY], some.names[:MANY]
    target = torch.full((MANY,), imagenet.class_index(imagenet.OSTRICH))
    net(x)  # the first call of a process pays for what later ones do not

    aimed, ours = timed(lambda: imagenet.aimed(net, x, target, STEPS))
    budgeted, library = timed(lambda: attacks.minimal_adversarial(net, x, target, budget=BUDGET))
    rows = {
        f"aimed, {STEPS} gradients": (aimed.images, ours),
        f"attacks, {BUDGET} gradients": (budgeted.images, library),
    }
    each = [timed(lambda k=k: by_scipy(net, x[k], target[k])) for k in range(MANY)]
    images = torch.stack([z for z, _ in each])
    rows["SciPy, one after the other"] = (images, sum(seconds for _, seconds in each))
    found = {}
    for name, (z, seconds) in rows.items():
        hit = (net(z).argmax(1) == target).tolist()
        sizes = [distance(a, b) if ok else None for a, b, ok in zip(z, x, hit, strict=True)]
        found[name] = {"distortion": sizes, "cpu_seconds": round(seconds, 1)}
    return {"machine": record.machine(), "photographs": names, "rows": found}


def verdicts(found: dict) -> list[str]:
    """For each of ours a sentence: CPU time and mean distortion beside SciPy's, where both have one
    and where SciPy has none; and whether it is at most a third of the time and no farther."""
    *ours, scipys = found["rows"].items()
    said = []
    for name, row in ours:
        pairs = zip(row["distortion"], scipys[1]["distortion"], strict=True)
        both = [(a, b) for a, b in pairs if a is not None and b is not None]
        lost = sum(a is None for a in row["distortion"])
        time_ratio = row["cpu_seconds"] / scipys[1]["cpu_seconds"]
        size_ratio = sum(a for a, _ in both) / sum(b for _, b in both) if both else math.nan
        met = not lost and time_ratio <= SHARE and size_ratio <= 1
        said.append(
            f"{name}: {time_ratio:.2f} of the CPU time, {size_ratio:.3f} of the mean distortion on "
            f"{len(both)} photographs, {lost} not found. "
            f"At most {SHARE:.2f} of the time and no farther: {'met' if met else 'not met'}."
        )
    return said


def main() -> None:
    """Measure, print, and write the record."""
    if lacking := needed.missing():
        sys.exit(lacking)
    found = measure()
    found["verdicts"] = verdicts(found)
    print("\n".join(found["verdicts"]))
    storage.write_text(PATH, json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    record.run(main)
