"""Networks trained against adversarial examples, the end of section 4.2: the record pools.json.

784-100-100-10, by the paper's pools and by what they compete with, with sigmoids and with rectified
units. Each method has as many candidates of the same epochs, three strengths with two learning
rates; they are trained on the 50 000 images of MNIST's part "fit", and the least error on its
validation part chooses. What is chosen is trained on all 60 000 images with five seeds, and
measured on the test set: error, the attack's distance on seeded random images, at the layers'
outputs too, examples of a plain network, certified radii. Then pool by pool, with what "pools"
chose; and "long": more epochs and averaged weights.

A task is a row of the record. The networks that it trains are kept in the course's folder, so that
what several rows need is trained once on a machine, and an interrupted row goes on where it
stopped. What the figures say of the paper's claims is for the ledger to judge (:mod:`.trained`).
"""

import functools
import itertools
import json

import torch

from .. import attacks, models, paper, record, robust, spectral, storage, zoo
from ..data import fingerprint, load_mnist
from ..kept import digest, trained_network
from .task import Task

TRAINING_VERSION = 1  # raised when robust.train_against computes another network
SETTINGS_SEED = 10  # none of the record's
RADII = (0.1, 0.3, 0.5)
IMAGES = 200  # attacked
TARGETS_SEED = 1  # of the attack's targets
AMPLIFIED = 0.1  # the distortion of Table 4's amplified examples
PLAIN = {"sigmoid": "FC100-100-10", "relu": "FC100-100-10-ReLU"}  # strangers, of the zoo
# the test errors that the paper prints, by the names of METHODS
PAPER = {
    "pools": paper.ADVERSARIAL_TRAINING["adversarial pools"],
    "decay": paper.ADVERSARIAL_TRAINING["weight decay"],
    "dropout": paper.ADVERSARIAL_TRAINING["dropout"],
}
EPOCHS, LONG = 30, 100
DECAYS = (0.0, 1e-5, 2e-5)  # beside a method that is trained for longer
RATES = {"sigmoid": (5e-3, 1e-2), "relu": (1e-3, 3e-3)}
# The attack's pools are smaller, for its examples cost more. They are on the boundary wherever that
# goes in training, and their loss never gets small: what is tried is their share, and small ones.
ATTACK = {"variant": "pools", "adversary": "attack", "size": 1000, "replaced": 0.1, "rounds": 1}
# what the paper did not do: no pool, and all layers in each step (which learns a pool by heart)
AT_ONCE = {"variant": "pools", "alternate": False, "fresh": True}
METHODS = {  # name: the same for all candidates, the strengths (or shares) tried
    "decay": ({"variant": "decay"}, (3e-5, 1e-4, 3e-4)),
    "dropout": ({"variant": "dropout"}, (0.05, 0.1, 0.2)),
    "bounds": ({"variant": "bounds"}, (0.01, 0.03, 0.1)),
    "virtual": ({"variant": "virtual"}, (1.0, 1.5, 2.0)),
    "single-step": ({"variant": "single-step"}, (0.7, 1.0, 1.5)),
    "several-steps": ({"variant": "several-steps"}, (0.7, 1.0, 1.5)),
    "input pool": ({"variant": "input pool"}, (0.7, 1.0, 1.5)),
    "pools": ({"variant": "pools"}, (0.5, 0.75, 1.0)),
    "layers at once": (AT_ONCE, (0.7, 1.0, 1.5)),
    "pools of the attack": (ATTACK, (0.003, 0.01, 0.03)),
}
# at the layers' outputs, beside what the same share of the activations' length would be: chosen on
# validation images among a few (1 at all places was worse)
UPPER = (0.2, 0.3)
# which places have a pool, by how high they are; "pools" itself has all three
SUBSETS = {
    "no pool": (),
    "only input": (0,),
    "only lower": (1,),
    "only upper": (2,),
    "without input": (1, 2),
    "without lower": (0, 2),
    "without upper": (0, 1),
}


def names_of(activation: str) -> tuple[str, ...]:
    """The places of a network, from the input upwards."""
    return ("input", f"{activation}1", f"{activation}2")


def tuned(method: str) -> str:
    """What of a method is tried, beside the learning rate."""
    return "share" if method == "pools of the attack" else "strength"


def candidates(activation: str, method: str) -> list[dict]:
    """The full settings of each candidate of a method."""
    same, strengths = METHODS[method]
    same = {"activation": activation, "epochs": EPOCHS, "batch_size": 256} | same
    if method in ("pools", "layers at once"):
        same["schedule"] = dict(zip(names_of(activation)[1:], UPPER, strict=True))
    return [
        same | {tuned(method): value, "learning_rate": rate}
        for value, rate in itertools.product(strengths, RATES[activation])
    ]


# ---------------------------------------------------------------- networks


def trained(settings: dict, part: str, seed: int) -> tuple[torch.nn.Sequential, dict]:
    """The network of ``settings`` and what its training cost; kept once it is trained."""
    key = digest([TRAINING_VERSION, settings, fingerprint(part), seed])[:16]

    def train():
        made = robust.train_against(
            **as_arguments(settings),
            seed=seed,
            dataset=load_mnist(part, "cpu"),
            device="cpu",
            progress=False,
        )
        cost = {
            "cpu_seconds": round(made.seconds, 2),
            "attack_share": round(made.attack_share, 4),
            "examples": made.made,
        }
        return made.net, {"cost": json.dumps(cost)}

    def restore(tensors: dict, card: dict):
        if card.get("weights") != zoo.weights_digest(tensors):
            raise ValueError("its weights do not match their checksum")
        net = robust.build(settings["activation"])
        net.load_state_dict(tensors)
        return net.eval(), json.loads(card["cost"])

    return trained_network(storage.home() / "pools" / f"{key}.safetensors", restore, train)


def as_arguments(settings: dict) -> dict:
    """Settings as :func:`robust.train_against` takes them: JSON knows no tuples."""
    return settings | ({"places": tuple(settings["places"])} if "places" in settings else {})


# ---------------------------------------------------------------- measurements


def validation_error(net) -> float:
    """The share of the validation images that are misclassified."""
    return models.error_rate(net, load_mnist("validation", "cpu"))


def attacked(net, images, labels) -> dict[str, float]:
    """The attack to seeded random classes, on the images that are right; and the nearest change of
    the layers' outputs to the class that came second, for what stands above."""
    targets = attacks.random_targets(labels, TARGETS_SEED)
    found = attacks.minimal_adversarial(net, images, targets, labels)
    both = found.clean & found.success
    outcome = {
        "right": int(found.clean.sum()),
        "attacked": int(both.sum()),
        "attack_distortion": float(found.distortion[both].mean()),
        "attack_l2": float(found.l2[both].mean()),
    }
    for height, place in enumerate(robust.places(net).values()):
        if not height:
            continue
        values = place.values(images)
        near = robust.nearest(place.above, values, labels, place.ceiling)
        distance = near.distance[near.distance > 0].mean()
        outcome[f"distance_{height}"] = float(distance)
        outcome[f"distance_{height}_of_length"] = float(distance / values.norm(dim=1).mean())
    return outcome


@functools.cache
def plain_examples(activation: str, n: int) -> dict:
    """Examples of the plain network, as they are and amplified, and noise of that distortion: lists
    of images; of test images that it gets right."""
    plain = zoo.load(PLAIN[activation], device="cpu")
    few = load_mnist("test", "cpu").sample(n, 0)
    targets = attacks.random_targets(few.labels, TARGETS_SEED)
    found = attacks.minimal_adversarial(plain, few.images, targets, few.labels)
    both = found.clean & found.success
    images = few.images[both]
    return {
        "labels": few.labels[both],
        "clean": images,
        "minimal": found.images[both],
        "amplified": attacks.amplify(found.images[both], images, AMPLIFIED),
        "noise": attacks.gaussian_noise(images, AMPLIFIED),
    }


def transferred(net, examples: dict) -> dict[str, float]:
    """The error on the plain network's examples, of images that ``net`` itself gets right."""
    right = models.predictions(net, examples["clean"]) == examples["labels"]
    return {
        f"transfer_{kind}": float(
            (models.predictions(net, examples[kind]) != examples["labels"])[right].double().mean()
        )
        for kind in ("minimal", "amplified", "noise")
    }


def measure(net, activation: str, n: int) -> dict:
    """All figures of one network on the test set (and its error on the training images)."""
    test = load_mnist("test", "cpu")
    radii = spectral.certified_radius(net, test.images, test.labels, "tight")
    few = test.sample(n, 0)
    return {
        "error": models.error_rate(net, test),
        "train_error": models.error_rate(net, load_mnist("train", "cpu")),
        **attacked(net, few.images, few.labels),
        **transferred(net, plain_examples(activation, n)),
        "certified_radius": float(radii[radii > 0].median()),
        "certified": {str(r): spectral.certified_accuracy(radii, r) for r in RADII},
    }


def summarise(runs: list[dict]) -> dict:
    """Mean and half-width over the networks of every figure, those in nested tables included."""
    return {
        name: summarise([run[name] for run in runs])
        if isinstance(runs[0][name], dict)
        else record.interval([run[name] for run in runs])
        for name in runs[0]
    }


def paired(runs: dict, others: dict, figure: str = "error") -> dict[str, float]:
    """Mean and half-width of the difference of a figure, network by network of the same seed, whose
    first weights are the same."""
    return record.interval([runs[seed][figure] - others[seed][figure] for seed in runs])


# ---------------------------------------------------------------- the record


def measured(settings: dict, seeds: int, n: int) -> dict:
    """So many networks of ``settings``, trained on all training images."""
    runs = {}
    for seed in range(seeds):
        net, cost = trained(settings, "train", seed)
        runs[str(seed)] = measure(net, settings["activation"], n) | cost
    return {"settings": settings, "seeds": runs, "summary": summarise(list(runs.values()))}


def settle(tried: list[dict]) -> tuple[list[dict], dict]:
    """Candidates with their errors on the validation images, and the settings of the best; the
    first of equals."""
    rows = []
    for settings in tried:
        net, cost = trained(settings, "fit", SETTINGS_SEED)
        rows.append({"settings": settings, "error": validation_error(net)} | cost)
    return rows, min(rows, key=lambda row: row["error"])["settings"]


def entry(activation: str, method: str, seeds: int, n: int) -> dict:
    """A method's part of the record."""
    rows, chosen = settle(candidates(activation, method))
    return {"candidates": rows} | measured(chosen, seeds, n)


def ablation(activation: str, subset: str, seeds: int, n: int) -> dict:
    """The networks with some of the pools alone, all else as it was chosen for all of them."""
    _, chosen = settle(candidates(activation, "pools"))
    only = [names_of(activation)[k] for k in SUBSETS[subset]]
    return measured(chosen | {"places": only}, seeds, n)


def lengthened(activation: str, method: str, seeds: int, n: int) -> dict:
    """What was chosen for ``method``, with more epochs, averaged weights and weight decay beside:
    three candidates; of decay itself half of its strength and twice as much. Where "pools" has
    pools, this has examples of the batch at hand, the youngest that there could be."""
    _, chosen = settle(candidates(activation, method))
    longer = chosen | {"epochs": LONG, "average": 0.999}
    if method == "decay":
        tried = [longer | {"strength": factor * chosen["strength"]} for factor in (0.5, 1, 2)]
    else:
        fresh = {"fresh": True} if method == "pools" else {}
        tried = [longer | fresh | {"decay": decay} for decay in DECAYS]
    rows, better = settle(tried)
    return {"candidates": rows} | measured(better, seeds, n)


LENGTHENED = ("decay", "dropout", "single-step", "pools", "layers at once")
ROWS = {
    f"{activation}: {row}": (make, activation, of)
    for activation in RATES
    for row, make, of in (
        *((method, entry, method) for method in METHODS),
        *((subset, ablation, subset) for subset in SUBSETS),
        *((f"{method}, long", lengthened, method) for method in LENGTHENED),
    )
    # the aim is one for sigmoids
    if activation == "sigmoid" or make is not lengthened
}


def compared(rows: dict) -> dict:
    """Paired differences of the test error: of each row from plain decay of the same activation,
    of the long ones from long decay."""
    found = {}
    for name, row in rows.items():
        activation = name.split(": ")[0]
        control = f"{activation}: decay" + (", long" if name.endswith(", long") else "")
        if name != control and control in rows and len(row["seeds"]) > 1:
            common = {s: r for s, r in row["seeds"].items() if s in rows[control]["seeds"]}
            found[name] = paired(common, rows[control]["seeds"])
    return found


# ---------------------------------------------------------------- tasks


def row(network: str, seed: int, settings: dict) -> dict:
    """A row of the record as a task: ``network`` is its name, a key of :data:`ROWS`; settings:
    "seeds", how many networks, and "n", the images that are attacked."""
    make, activation, of = ROWS[network]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # networks as small as these gain nothing by more
    try:
        return make(activation, of, settings["seeds"], settings["n"])
    finally:
        torch.set_num_threads(threads)


def stranger(task: Task) -> list[tuple[str, int]]:
    """The network that a task needs: the plain one, whose examples are tried."""
    return [(PLAIN[ROWS[task.network][1]], 0)]


def cost(task: Task) -> float:
    """Seconds of one core: six candidates and the seeds, longer where training is."""
    make = ROWS[task.network][0]
    return 25.0 * (6 + task.settings["seeds"] * (3 if make is lengthened else 1))


def tasks(names=tuple(ROWS), seeds: int = len(record.SEEDS), n: int = IMAGES) -> list[Task]:
    """A task for each row; n: images that are attacked."""
    return [Task("hardening", name, 0, {"seeds": seeds, "n": n}) for name in names]


def told(name: str, found: dict) -> str:
    """A line: what came of a row."""
    error, near = found["summary"]["error"], found["summary"]["attack_l2"]
    return (
        f"{name}: test error {100 * error['mean']:.2f} +- {100 * error['half_width']:.2f} %, "
        f"attack {near['mean']:.3f}"
    )


def head(n: int) -> dict:
    """What is said of all rows; n: images that are attacked."""
    return {
        "machine": record.machine() | {"threads": 1},
        "images": {"test": 10_000, "attack": n},
        "radii": list(RADII),
        "paper": PAPER,
    }


def said(rows: dict) -> dict:
    """What the rows say together: the differences from decay."""
    several = {name: found for name, found in rows.items() if len(found["seeds"]) > 1}
    return {"against_decay": compared(several)}


def assemble(results: dict[Task, dict]) -> dict:
    """The record from the finished tasks."""
    found = {t.network: result for t, result in results.items()}
    rows = {name: found[name] for name in ROWS if name in found}
    n = next(iter(results)).settings["n"]
    return {**head(n), "rows": rows, **said(rows)}
