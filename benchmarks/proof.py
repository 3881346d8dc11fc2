"""The attack beside a proof: ``python benchmarks/proof.py [NETWORK ...] [--n N] [--seconds 60]``.

Networks of rectified units are trained here, from a fixed seed, so small that the nearest mistake
can be proven (:func:`course_lib.attacks.proven_minimum`); every attack is then compared with the
true distance in place of with other attacks. Test images that the network gets right, drawn with
seed 0; the recorded targets, and the nearest of all classes; the box [0, 1].

The outcome is course_lib/_assets/records/proof.json, and PROOF.md in this folder. Finished
measurements are kept (:mod:`course_lib.kept`), image by image, so that an interrupted run goes on
where it stopped, until the code or a network changes; ``--fresh`` forgets them.

The peers are SciPy and adv-lib's attacks, by the workers of ``peers/`` and in the environments of
attacks.py. One that cannot be installed, or whose worker fails, is left out, and PROOF.md says why.
"""

import json
import time
from pathlib import Path

import attacks as bench
import numpy as np
import torch

from course_lib import attacks, models, record, storage, training
from course_lib.data import load_mnist
from course_lib.kept import Kept

PATH = storage.ASSETS / "records" / "proof.json"
REPORT = Path(__file__).resolve().parent / "PROOF.md"
NETWORKS = {"784-20-20-10": (20, 20), "784-50-50-10": (50, 50)}
IMAGES = {"784-20-20-10": 20, "784-50-50-10": 10}  # there most searches end at the clock
KINDS = ("targeted", "any")
TRAINING = {"epochs": 10, "learning_rate": 1e-2, "seed": 0}
GAP = 1e-3
LOSSES = {"ours": "margin", "ours, sharpened": "sharpened", "ours, cross-entropy": "cross-entropy"}
PEERS = [
    bench.Method("SciPy, 8 bisections", bench.OURS, "scipy", "lbfgsb", bench.EIGHT, runs=1),
    *bench.advlib("adv-lib PDGD-500", "pdgd", {"num_steps": 500}),
    *bench.advlib("adv-lib ALMA-1000", "alma", {"num_steps": 1000}),
    *bench.advlib("adv-lib DDN-1000", "ddn", {"steps": 1000, "levels": None}),
    bench.advlib("adv-lib SuperDeepFool", "sdf", {})[1],  # it knows no targets
]
CLOSE = 0.01  # "the right basin": within this share of the distance


def trained(name: str):
    """The network called ``name``, trained from seed 0 on the whole training set."""
    net = models.assemble(models.Architecture(NETWORKS[name], "relu"), 0)
    training.train(net, load_mnist("train", "cpu"), progress=False, **TRAINING)
    return net


def prove(net, images: dict, k: int, kind: str, seconds: float) -> dict:
    """The bounds of image ``k``; the point itself is left out but for its distance."""
    x, labels, targets = (images[key][k : k + 1] for key in ("images", "labels", "targets"))
    began = time.process_time()
    found = attacks.proven_minimum(
        net, x, targets if kind == "targeted" else None, labels, gap=GAP, seconds=seconds
    )
    return {
        "lower": float(found.lower[0]),
        "upper": float(found.upper[0]),
        "status": found.reasons()[0],
        "proven": bool(found.proven[0]),
        "nodes": int(found.nodes[0]),
        "cpu_seconds": round(time.process_time() - began, 2),
        "seconds": round(float(found.seconds[0]), 2),
    }


def attack(net, images: dict, kind: str, loss: str) -> dict:
    """Our attack with one of its losses, judged as the peers are."""
    targets = images["targets"] if kind == "targeted" else None
    began = time.process_time()
    found = attacks.minimal_adversarial(net, images["images"], targets, images["labels"], loss=loss)
    seconds = time.process_time() - began
    return judged(net, images, found.images.numpy(), kind) | {"cpu_seconds": round(seconds, 2)}


class PeerFailed(RuntimeError):
    """A peer's worker has left no points; the sentence says why."""


def peer_attack(net, images: dict, method: bench.Method) -> dict:
    """An attack of others, by its worker in a process of its own."""
    arrays = {key: value.numpy() for key, value in images.items()}
    files = bench.network_file(net), bench.write_arrays(arrays)
    job = bench.job_of(method, *files, len(images["images"]), 1)
    failed = bench.work(method, job)
    cell = None if failed else bench.read_cell(Path(job["out"]))
    if cell is None:
        raise PeerFailed(failed or "what its worker has written cannot be read")
    made = judged(net, images, cell["adversarial"], "targeted" if method.targeted else "any")
    return made | {"cpu_seconds": round(cell["cpu"][0], 2)}


def deepfool(net, images: dict) -> dict:
    """DeepFool, the course's own, which has no targets."""
    began = time.process_time()
    found = attacks.deepfool(net, images["images"], images["labels"])
    seconds = time.process_time() - began
    return judged(net, images, found.images.numpy(), "any") | {"cpu_seconds": round(seconds, 2)}


def judged(net, images: dict, adversarial: np.ndarray, kind: str) -> dict:
    """Per image: L2, and success as the other benchmark judges it."""
    arrays = {key: value.numpy() for key, value in images.items()}
    seen = bench.judge(net, arrays, adversarial, kind == "targeted")
    return {"l2": seen["l2"].tolist(), "success": seen["success"].tolist()}


def summary(proofs: list[dict], found: dict) -> dict:
    """How far above the proven distance the successes of an attack are, over images whose nearest
    mistake is proven; and how many are below any lower bound, which has to be none."""
    l2, won = np.array(found["l2"]), np.array(found["success"])
    upper, lower = (np.array([p[key] for p in proofs]) for key in ("upper", "lower"))
    sure = np.array([p["proven"] for p in proofs]) & won
    above = l2[sure] / upper[sure] - 1
    row = {"n": int(sure.sum()), "success": float(won.mean())}
    # what float32 rounds, an attack may gain
    row["below_the_bound"] = int((l2[won] < lower[won] * (1 - 1e-5)).sum())
    row["cpu_seconds_each"] = found["cpu_seconds"] / len(l2)
    if len(above):
        row |= {
            "l2": float(l2[sure].mean()),
            "mean_above": float(l2[sure].mean() / upper[sure].mean() - 1),
        }
        row |= {"median_above": float(np.median(above)), "worst_above": float(above.max())}
        row |= {"close": float((above <= CLOSE).mean())}
    return row


def measure(name: str, n: int, seconds: float, kept: Kept, failures: dict) -> dict:
    """Both kinds of one network: proofs, attacks, and how they compare. failures: why an
    environment is not there, or None where it is."""
    net = trained(name)
    arrays = bench.chosen_images(net, "test", n)
    images = {key: torch.from_numpy(value) for key, value in arrays.items()}
    made = {"test_error": models.error_rate(net, load_mnist("test", "cpu")), "n": n}
    made |= {"index": arrays["index"].tolist(), "seconds": seconds}
    for kind in KINDS:
        proofs = []
        for k in range(n):
            proofs.append(kept.get(prove, net, images, k, kind, seconds))
            print(f"{name}, {kind}, image {k}: {proofs[-1]}", flush=True)
        rows = {label: kept.get(attack, net, images, kind, loss) for label, loss in LOSSES.items()}
        if kind == "any":
            rows["DeepFool"] = kept.get(deepfool, net, images)
        left_out = {}
        for method in PEERS:
            if method.targeted != (kind == "targeted"):
                continue
            label, why = method.name.removesuffix(", any"), failures[method.environment]
            if not why:
                try:
                    uses = (bench.sources(method),)
                    rows[label] = kept.get(peer_attack, net, images, method, uses=uses)
                except PeerFailed as error:
                    why = str(error)
            if why:
                left_out[label] = why
        table = {label: summary(proofs, found) for label, found in rows.items()}
        made[kind] = {"proofs": proofs, "attacks": rows, "table": table, "left_out": left_out}
    return made


# --- the report -------------------------------------------------------------------------------


TRIED = [
    "",
    "## What else was tried",
    "",
    "SCIP 10 (pyscipopt 6.3.0), as a mixed-integer program with big-M bounds from the ball of the "
    "attack's distance, on the first three images and recorded targets of 784-20-20-10, 120 s an "
    "image on a busy machine. With the box, 784 variables that all stand in every equation of the "
    "first layer: no point and no bound above 0 in 56 to 96 nodes, on all three. Without the box, "
    "in the 20 dimensions of the first layer's row space: one of three proven, in 49 s and 4801 "
    "nodes, at the point that `proven_minimum(box=False)` finds as well; this proves the three in "
    "1 to 5 s. So SCIP is no dependency of the course.",
    "",
    "Bounds of all units made tighter by programs of their own at the root, and trying the "
    "children of four or eight units before one is halved, made fewer nodes and took more time. "
    "The ball around a node's relaxed solution, in which all of its solutions lie, made up to "
    "three times fewer nodes for nothing.",
]


def percent(value: float) -> str:
    return f"{100 * value:+.2f} %"


def render(found: dict) -> str:
    """PROOF.md from the record."""
    lines = [
        "# The attack beside a proof",
        "",
        "Made by `python benchmarks/proof.py`. *Proven* is the L2 distance of the nearest image in "
        "[0, 1], by branch and bound (`attacks.proven_minimum`): the mean of the lower bounds and "
        f"of the points found, which agree within {GAP:g} where the search was finished. The "
        "columns of the attacks are over the images whose distance is proven and where the attack "
        "succeeded; *above* is relative to the proven point; *close* is the share of images within "
        f"{CLOSE:.0%} of it. The machine was shared: seconds are of the processor.",
    ]
    for name, of in found["networks"].items():
        lines += ["", f"## {name}, test error {of['test_error']:.2%}"]
        for kind in KINDS:
            proofs, table = of[kind]["proofs"], of[kind]["table"]
            sure = [p for p in proofs if p["proven"]]
            what = "the recorded targets" if kind == "targeted" else "the nearest of all classes"
            lines += ["", f"### {what}", ""]
            lines += [
                f"{len(sure)} of {len(proofs)} images proven"
                + (
                    f": mean L2 from {np.mean([p['lower'] for p in sure]):.4f} to "
                    f"{np.mean([p['upper'] for p in sure]):.4f}, "
                    f"{np.mean([p['cpu_seconds'] for p in sure]):.1f} s and "
                    f"{np.mean([p['nodes'] for p in sure]):.0f} nodes an image "
                    f"(at most {max(p['cpu_seconds'] for p in sure):.0f} s and "
                    f"{max(p['nodes'] for p in sure)})."
                    if sure
                    else "."
                )
            ]
            open_ = [p for p in proofs if not p["proven"]]
            if open_:
                share = [p["lower"] / p["upper"] for p in open_]
                lines += [
                    f"The others ended at {of['seconds']:g} s by the clock: their lower bounds "
                    f"are {min(share):.2f} to {max(share):.2f} of the best point. What is "
                    "proven are the easier images: the attacks look better here than they are."
                ]
            lines += [
                "",
                "| attack | n | success | mean L2 | mean above | median | worst | close "
                "| CPU s an image |",
                "|---|---|---|---|---|---|---|---|---|",
            ]
            for label, row in table.items():
                cells = [label, row["n"], f"{row['success']:.0%}"]
                if row["n"]:
                    cells += [f"{row['l2']:.4f}", percent(row["mean_above"])]
                    cells += [percent(row["median_above"]), percent(row["worst_above"])]
                    cells += [f"{row['close']:.0%}"]
                else:
                    cells += ["-"] * 5
                cells += [f"{row['cpu_seconds_each']:.3f}"]
                lines.append("| " + " | ".join(map(str, cells)) + " |")
            for label, why in of[kind]["left_out"].items():
                lines += ["", f"{label} is left out: {why}"]
            below = sum(row["below_the_bound"] for row in table.values())
            lines += ["", f"Successes below a lower bound: {below}."]
    return "\n".join([*lines, *TRIED]) + "\n"


def main(arguments: list[str] | None = None) -> None:
    """Measure what is missing; write the record and its report."""
    parser = record.parser(__doc__, PATH, NETWORKS)
    parser.add_argument(
        "--n", type=record.positive, help="images of each network; default: its own"
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="an image, by the clock")
    parser.add_argument("--report", action="store_true", help="only write PROOF.md again")
    given = parser.parse_args(arguments)
    chosen = given.names or list(NETWORKS)
    if not given.report:
        kept = Kept("proof", given.fresh)
        environments = {method.environment for method in PEERS}
        failures = {one: bench.install(one, given.fresh) for one in environments}
        head = {"machine": record.machine() | {"threads": torch.get_num_threads()}}
        head |= {"gap": GAP, "training": TRAINING}
        for name in chosen:
            n = given.n or IMAGES[name]
            made = measure(name, n, given.seconds, kept, failures)
            record.merged(given.output, "networks", {name: made}, head, list(NETWORKS))
    if given.output == PATH:
        storage.write_text(REPORT, render(json.loads(PATH.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    record.run(main)
