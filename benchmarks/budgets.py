"""Distance against gradients, ours beside its peers: ``python benchmarks/budgets.py``.

Every method gets so many gradients an image and no more; what counts is the nearest success that it
has seen by then. Environments, workers, finished cells and the judge are those of attacks.py, the
foreign networks those of foreign.py; the score beside the mean L2 is AttackBench's own, computed by
its package (peers/score_worker.py).

    python benchmarks/budgets.py --fresh               everything anew: what is committed
    python benchmarks/budgets.py --networks gelu --methods ours DDN --budgets 30 100 --images 30
    python benchmarks/budgets.py --report              BUDGETS.md and its figure from budgets.json

A run of a part prints its table and leaves the committed files, budgets.json, BUDGETS.md and
budgets.svg, alone.
"""

import argparse
import dataclasses
import itertools
import json
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import attacks
import budgets_report
import foreign
import numpy as np
from attacks import OURS, Method

from course_lib import record, storage, zoo
from course_lib.kept import digest

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "budgets.json"
REPORT = HERE / "BUDGETS.md"
FIGURE = HERE / "budgets.svg"
ZOO = ("FC100-100-10", "FC100-100-10-ReLU", "CONV")
FOREIGN = ("gelu", "transformer")
NETWORKS = ZOO + FOREIGN
BUDGETS = (10, 30, 100, 300, 1000)
IMAGES = 50
SCORES = "attackbench"  # the environment that computes AttackBench's score
PEER = Method("", "modern", "budget", "", {}, runs=1, counted=4)

METHODS = [
    Method(budgets_report.OURS, OURS, "ours", "minimal", {}, runs=1, counted=4),
    dataclasses.replace(PEER, name="DDN", attack="ddn"),
    dataclasses.replace(PEER, name="PDGD", attack="pdgd"),
    dataclasses.replace(PEER, name="ALMA", attack="alma"),
    dataclasses.replace(PEER, name="FMN", attack="fmn"),
    dataclasses.replace(PEER, name="APGD", attack="apgd"),
    dataclasses.replace(PEER, name="CW", attack="carlini_wagner_l2"),
    dataclasses.replace(PEER, name="SuperDeepFool", attack="sdf"),
    dataclasses.replace(PEER, name="DeepFool", attack="df"),
]
EQUAL = 1e-6  # distances within this are the same: float32
UNTARGETED = ("SuperDeepFool", "DeepFool")  # they know no targets


def at(method: Method, budget: int, targeted: bool) -> Method:
    """``method`` with ``budget`` gradients an image."""
    settings = method.settings | {"budget": budget}
    return dataclasses.replace(method, settings=settings, targeted=targeted)


def methods_for(targeted: bool) -> list[Method]:
    """The methods that know targets, or all of them."""
    return [m for m in METHODS if not (targeted and m.name in UNTARGETED)]


def prepared(name: str, n: int) -> tuple:
    """The network called ``name``, the file of it and ``n`` of its images."""
    if name in FOREIGN:
        net = foreign.foreign_net(name)
        return net, foreign.network_file(name, net), foreign.chosen_images(name, net, n)
    net = zoo.load(name, 0, "cpu", progress=False)
    return net, attacks.network_file(net), attacks.chosen_images(net, "test", n)


def distances(found: dict) -> np.ndarray:
    """The L2 of each image by the judge; infinite where there is no success."""
    return np.where(found["success"], found["l2"], np.inf)


def entry(cell: dict, l2: np.ndarray, best: np.ndarray, ours: np.ndarray | None) -> dict:
    """The figures of one method at one budget.

    l2: (n,) with inf for failures; best: (n,) the least known; ours: (n,) of ours at this budget.
    above: the mean of the successes over the mean of the least known of the same images, less one;
    beside: the mean over that of ours where both succeed, less one. None where there is none.
    """
    ok = np.isfinite(l2)
    row = {
        "success": float(ok.mean()),
        "l2_mean": float(l2[ok].mean()) if ok.any() else None,
        "above": float(l2[ok].mean() / best[ok].mean() - 1) if ok.any() else None,
        "cpu_ms": 1000 * cell["cpu"][0] / len(l2),
        "beside": None,
        **{key: cell[key] for key in ("gradients", "began", "ended", "load", "reference_work")},
    }
    if ours is not None:
        both = ok & np.isfinite(ours)
        row["beside"] = float(l2[both].mean() / ours[both].mean() - 1) if both.any() else None
    return row


def farther(short: np.ndarray, long: np.ndarray) -> dict:
    """Whether ours ends farther with more gradients: the share of the images on which it does, and
    by how much the mean rises over the images where both succeed (negative: falls), and the images
    on which only the shorter search succeeds."""
    both = np.isfinite(short) & np.isfinite(long)
    rise = float(long[both].mean() / short[both].mean() - 1) if both.any() else 0.0
    return {
        "images": float((long > short * (1 + EQUAL)).mean()),
        "mean": rise,
        "lost": int((np.isfinite(short) & ~np.isfinite(long)).sum()),
    }


def scores(rows: dict[str, np.ndarray], best: np.ndarray, failed: str | None) -> dict[str, float]:
    """AttackBench's local optimality of each row of distances against ``best``; none if its package
    could not be installed. An image that nothing broke is left out of both."""
    known = np.isfinite(best)
    if failed or not known.any():
        return {}
    given = {"best": best[known].tolist(), "rows": {k: v[known].tolist() for k, v in rows.items()}}
    asked = attacks.home() / "scores" / f"{digest(given)[:16]}.json"
    storage.write_text(asked, json.dumps(given))
    out = asked.with_suffix(".out.json")
    if not out.is_file():
        script = attacks.PEERS / "score_worker.py"
        command = [attacks.python_of(SCORES), script, asked, out]
        done = subprocess.run(command, env=attacks.one_thread(), capture_output=True, text=True)
        if done.returncode:
            print(f"no score: {attacks.reason(done.stderr)}", flush=True)
            return {}
    return json.loads(out.read_text(encoding="utf-8"))["scores"]


def measure_mode(name, loaded, targeted: bool, chosen, options, failures) -> dict:
    """All methods at all budgets on one network, with targets or without."""
    net, network, images = loaded
    file = attacks.write_arrays(images)
    found, cells, failed = {}, {}, {}
    for method in methods_for(targeted):
        wanted = method.name in {m.name for m in chosen}
        several = [at(method, budget, targeted) for budget in options.budgets]
        jobs = [attacks.job_of(one, network, file, options.images, 1) for one in several]
        if wanted and not failures[method.environment]:
            attacks.work_ahead(method, jobs, options.since)
        for budget, one, job in zip(options.budgets, several, jobs, strict=True):
            cell = attacks.cell_of(one, job, wanted, options, failures)
            label = f"{method.name} {budget}"
            if isinstance(cell, str):
                failed[label] = cell
                print(f"{name:18s} {label:20s} {cell}", flush=True)
            elif cell:
                judged = attacks.judge(net, images, cell["adversarial"], targeted)
                found[label], cells[label] = distances(judged), cell
                attacks.tell(name, dataclasses.replace(one, name=label), judged, cell)
    if not found:
        return {"n": 0, "least": None, "methods": {}, "rises": {}, "failed": failed}
    best = np.min(list(found.values()), axis=0)
    score = scores(found, best, failures[SCORES])
    rows = {}
    for method in methods_for(targeted):
        for budget in options.budgets:
            label = f"{method.name} {budget}"
            if label in found:
                ours = found.get(f"{budgets_report.OURS} {budget}")
                row = entry(cells[label], found[label], best, ours)
                row["score"] = score.get(label)
                rows.setdefault(method.name, {})[str(budget)] = row
    ours = [(b, found[k]) for b in options.budgets if (k := f"{budgets_report.OURS} {b}") in found]
    rises = {
        str(more): farther(short, long) for (_, short), (more, long) in itertools.pairwise(ours)
    }
    least = best[np.isfinite(best)]
    return {
        "n": len(best),
        "least": float(least.mean()) if len(least) else None,
        "methods": rows,
        "rises": rises,
        "failed": failed,
    }


def measure(options) -> dict:
    """Everything that is asked for; environments that are needed are made first."""
    chosen = attacks.pick_methods(options.methods, METHODS)
    needed = {m.environment for m in METHODS} | {SCORES}
    failures = {e: attacks.install(e, options.fresh) for e in sorted(needed)}
    networks = {}
    for name in options.networks:
        loaded = prepared(name, options.images)
        networks[name] = {
            "targeted" if targeted else "any": measure_mode(
                name, loaded, targeted, chosen, options, failures
            )
            for targeted in (True, False)
        }
    return {"budgets": list(options.budgets), "networks": networks, "score": failures[SCORES]}


# --- the command -----------------------------------------------------------------------------


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; SystemExit with a sentence for what it cannot be."""
    parser = argparse.ArgumentParser(description=__doc__.split(":\n")[0].splitlines()[0])
    add = parser.add_argument
    add("--networks", nargs="+", choices=NETWORKS, metavar="NAME", help=", ".join(NETWORKS))
    add("--methods", nargs="+", metavar="START", help="methods whose names begin so, e.g. ours")
    add("--budgets", nargs="+", type=record.positive, help=f"default: {BUDGETS}")
    add("--images", type=record.positive, help=f"at most so many images (default: {IMAGES})")
    add("--fresh", action="store_true", help="measure again what was finished before")
    add("--report", action="store_true", help="only write the report again from budgets.json")
    options = parser.parse_args(arguments)
    parts = (options.networks, options.methods, options.budgets, options.images)
    options.whole = not any(parts)
    options.networks = options.networks or list(NETWORKS)
    options.budgets = sorted(set(options.budgets or BUDGETS))
    options.images = options.images or IMAGES
    try:
        attacks.pick_methods(options.methods, METHODS)
    except ValueError as error:
        parser.error(str(error))
    if options.report and not RESULTS.is_file():
        parser.error("there is no budgets.json to report on: run the command without --report")
    return options


def publish(found: dict) -> None:
    """Write the report and its figure."""
    storage.write_text(REPORT, budgets_report.render(found))
    budgets_report.draw(found, FIGURE)


def main() -> None:
    """Measure what the command line asks for; write the results and their report."""
    options = parse()
    options.since = time.time() if options.fresh else 0.0
    if options.report:
        publish(record.stored(RESULTS))
        return
    began = datetime.now(UTC).isoformat(timespec="seconds")
    found = {"machine": attacks.machine(), "began": began, "fresh": options.fresh}
    found |= measure(options)
    found["ended"] = datetime.now(UTC).isoformat(timespec="seconds")
    if options.whole:
        storage.write_text(RESULTS, json.dumps(found, indent=1) + "\n")
        publish(found)
    else:
        print(budgets_report.render(found))


if __name__ == "__main__":
    record.run(main)
