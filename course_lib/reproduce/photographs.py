"""Figures 3 to 6 and Table 5's norms for a network of photographs: the record ``photographs``.

The network is EfficientNet-Lite0, since AlexNet's weights come in no package, and the photographs
are the thirteen that packages ship. What is measured, by the name that a task's settings give it:

ostrich    every photograph aimed at class 9: its distortion, noise of the same length, survival
units      the strongest crops of single units and of random directions, in numbers and in pictures
detectors  one unit read as a detector, and fooled: of this network, and of the autoencoder
table5     the norms of the layers, batch norms folded, and the network's between bounds
kept       an ostrich that is to survive JPEG and scaling
library    ostriches of three photographs by the attack of :mod:`course_lib.attacks`
transfer   what other networks say of the ostriches made for one
"""

import base64
import io
import math
import time

import torch
from PIL import Image

from .. import attacks, device, imagenet, models, record, spectral, units, zoo
from ..imagenet import needed
from ..plotting.lesson09 import enlargement
from .task import Task, itself

OSTRICH = imagenet.class_index(imagenet.OSTRICH)
STEPS, DRAWS, BASES = 60, 20, 99
FEWER = 40  # gradients where a mistake is enough, and the nearest one is not asked for
CROP = {"size": 112, "stride": 28, "enlarged": 224}
LAYER = "flatten"  # the last one before the logits
AMPLIFIED = (1, 2, 4, 8)  # times the change
KEPT = ("JPEG 75", "resized to 196")
COMPARED = ("chelsea", "coffee", "rocket")
DETECTED = ("chelsea", "coffee", "flower")
ALEXNET = "alexnet"
AUTOENCODER, HIDDEN, FEW = "AE400-10", "sigmoid1", 100
SHOWN, ROWS, SMALL, LARGE = ("chelsea", "coffee", "rocket", "flower"), 4, 56, 144


def lite(name: str = needed.NAME):
    """The network, for images of 224 x 224 pixels."""
    return imagenet.load(name, device="cpu", size=224)


def aims(count: int) -> torch.Tensor:
    """So many times the ostrich."""
    return torch.full((count,), OSTRICH)


def listed(values: torch.Tensor) -> list:
    """As JSON has it, eight digits of a number."""
    return [round(value, 8) if isinstance(value, float) else value for value in values.tolist()]


def where_found(distortion: torch.Tensor) -> list[float | None]:
    """None where there is no success: JSON has no NaN."""
    return [None if math.isnan(value) else value for value in distortion.tolist()]


def survived(net, images, success) -> dict[str, list[bool]]:
    """Which of the successes are ostriches still, after each of the usual ways."""
    found = imagenet.survives(net, images, aims(len(images)))
    return {name: listed(kept & success) for name, kept in found.items()}


def packed(images: torch.Tensor, side: int) -> list[str]:
    """Pictures (N, 3, H, W) as JPEG of ``side`` pixels a side, in base64: to be looked at."""
    made = []
    small = torch.nn.functional.interpolate(
        images.clamp(0, 1), (side, side), mode="bilinear", align_corners=False, antialias=True
    )
    for image in (255 * small).round().byte().permute(0, 2, 3, 1):
        file = io.BytesIO()
        Image.fromarray(image.numpy()).save(file, "JPEG", quality=85)
        made.append(base64.b64encode(file.getvalue()).decode())
    return made


def unpacked(text: str) -> Image.Image:
    """The picture behind a text of :func:`packed`."""
    return Image.open(io.BytesIO(base64.b64decode(text)))


# --- Figure 5 ------------------------------------------------------------------------------------


def ostrich(name: str) -> dict:
    """Every photograph, noise of the length of its change, and some of them to be looked at."""
    net, some = lite(name), imagenet.photographs(device="cpu")
    found = imagenet.aimed(net, some.images, aims(len(some)), STEPS)
    change = found.images - some.images
    before = net(some.images).argmax(1)
    rng, changed = device.generator(0), torch.zeros(len(some), dtype=torch.int64)
    for _ in range(DRAWS):
        noise = imagenet.equal_noise(change, rng)
        changed += net(some.images + noise).argmax(1) != before
    shown = [some.names.index(name) for name in SHOWN]
    times = [enlargement(change[k]) for k in shown]
    enlarged = torch.stack([0.5 + t * change[k] for k, t in zip(shown, times, strict=True)])
    return {
        "names": some.names,
        "class": [imagenet.class_name(i) for i in before.tolist()],
        "steps": STEPS,
        "success": listed(found.success),
        "distortion": where_found(found.distortion),
        "largest": listed(change.abs().flatten(1).amax(1)),
        "draws": DRAWS,
        "changed_by_noise": listed(changed),
        "survives": survived(net, found.images, found.success),
        "shown": {
            "index": shown,
            "enlarged": times,
            "photographs": packed(some.images[shown], LARGE),
            "changes": packed(enlarged, LARGE),
            "ostriches": packed(found.images[shown], LARGE),
        },
    }


def library(name: str) -> dict:
    """The general attack, within budgets, beside the search of lesson 09."""
    net, some = lite(name), imagenet.photographs(names=list(COMPARED), device="cpu")
    rows = {}
    for budget in (60, 240):
        began = time.process_time()
        found = attacks.minimal_adversarial(net, some.images, aims(len(some)), budget=budget)
        rows[f"attacks, {budget} gradients"] = {
            "distortion": where_found(found.distortion),
            "cpu_seconds": round(time.process_time() - began, 1),
        }
    for steps in (40, 120):
        began = time.process_time()
        found = imagenet.aimed(net, some.images, aims(len(some)), steps)
        rows[f"aimed, {steps} gradients"] = {
            "distortion": where_found(found.distortion),
            "cpu_seconds": round(time.process_time() - began, 1),
        }
    return {"names": some.names, "rows": rows}


def kept(name: str) -> dict:
    """Ostriches that are aimed through what is to be survived."""
    net, some = lite(name), imagenet.photographs(device="cpu")
    usual = imagenet.usual_ways(224)
    ways = [usual[way] for way in KEPT]
    found = imagenet.aimed(net, some.images, aims(len(some)), FEWER, ways)
    return {
        "ways": list(KEPT),
        "success": listed(found.success),
        "distortion": where_found(found.distortion),
        "survives": survived(net, found.images, found.success),
    }


def transfer(name: str) -> dict:
    """Made for the one, read by each that is here; and noise of the same length."""
    there = [other for other in imagenet.LITE if other in imagenet.here()]
    some = imagenet.photographs(device="cpu")
    found = imagenet.aimed(lite(name), some.images, aims(len(some)), FEWER)
    change = found.images - some.images
    noise = imagenet.equal_noise(change, device.generator(1))
    rows = {}
    for other in there:
        net, row = lite(other), {"changed": [], "ostrich": [], "noise": []}
        before = net(some.images).argmax(1)
        for times in AMPLIFIED:
            said = net((some.images + times * change).clamp(0, 1)).argmax(1)
            row["changed"].append(int((said != before).sum()))
            row["ostrich"].append(int((said == OSTRICH).sum()))
            said = net((some.images + times * noise).clamp(0, 1)).argmax(1)
            row["noise"].append(int((said != before).sum()))
        rows[other] = row
    return {"networks": there, "amplified": list(AMPLIFIED), "n": len(some), "rows": rows}


# --- Figures 3, 4 and 6 --------------------------------------------------------------------------


def crops_of(net):
    """The photographs, their crops, whose each is, and the values of the last layer's units."""
    some = imagenet.photographs(device="cpu")
    parts, of = imagenet.crops(some.images, **CROP)
    return some, parts, of, models.activations(net, parts, LAYER, 32)


def _purities(h: torch.Tensor, labels: dict) -> tuple[torch.Tensor, torch.Tensor, dict]:
    """The strongest crops of all units and of the first random basis, and their purities, by label;
    h: (crops, units)."""
    width = h.shape[1]
    rng = device.generator(0)  # one basis at a time: all of them are 650 MB
    strongest = [units.top_images(h, units.haar_bases(1, width, rng)[0]) for _ in range(BASES)]
    alone = units.top_images(h, units.unit_directions(width))
    found = {"width": width, "k": units.K, "bases": BASES}
    for what, classes in labels.items():
        single = units.purity(classes, alone)
        table = torch.stack([units.purity(classes, top) for top in strongest])
        found[what] = {
            "classes": int(classes.max()) + 1,
            "units": float(single.mean()),
            "directions": float(table.mean()),
            "spread": float(table.mean(1).std()),
            "chance": units.chance_purity(classes),
            "p": units.randomisation_p(single, table),
        }
    return alone, strongest[0], found


def single_units(name: str) -> dict:
    """Purity of the eight strongest crops: all units, and random bases, of the last two layers."""
    net = lite(name)
    _some, parts, of, h = crops_of(net)
    _, own = net.fc(h).argmax(1).unique(return_inverse=True)
    labels = {"photograph": of, "network's class": own}
    alone, first, found = _purities(h, labels)
    with torch.no_grad():  # the layer behind it: a unit for each class
        found["logits"] = _purities(net.fc(h), labels)[2]
    found["crops"] = len(h)
    width = found["width"]
    chosen = torch.randperm(width, generator=device.generator(1))[:ROWS]
    rows = {"units": alone[chosen], "directions": first[:ROWS]}
    found["shown"] = {"unit": chosen.tolist()}
    for kind, top in rows.items():
        found["shown"][kind] = [packed(parts[row], SMALL) for row in top]
        found["shown"][f"{kind} of"] = of[top].tolist()
    return found


def detectors(name: str) -> dict:
    """The unit that best tells one photograph's crops from all others, then switched off."""
    net = lite(name)
    some, parts, of, h = crops_of(net)
    rows = {}
    for shown in DETECTED:
        wanted = of == some.names.index(shown)
        areas = units.selectivity(h, units.unit_directions(h.shape[1]), wanted.long())[:, 1]
        unit = int(areas.argmax())
        threshold, accuracy = imagenet.best_threshold(h[:, unit], wanted)
        detector = imagenet.Detector(net, LAYER, unit, threshold, float(h[:, unit].std()))
        strongest = parts[wanted][h[wanted, unit].argmax()][None]
        found = imagenet.aimed(detector, strongest, torch.zeros(1, dtype=torch.int64), FEWER)
        with torch.no_grad():
            value = [float(detector(x)[0, 1]) for x in (strongest, found.images)]
        rows[shown] = {
            "unit": unit,
            "area": float(areas[unit]),
            "threshold": threshold,
            "accuracy": accuracy,
            "n": 1,
            "success": int(found.success.sum()),
            "distortion": where_found(found.distortion)[0],
            "above": value,
            "shown": packed(torch.cat([strongest, found.images]), LARGE),
        }
    return rows


def autoencoder(name: str) -> dict:
    """The same of the autoencoder's most selective unit: our QuocNet in small."""
    net, test = zoo.load(name, device="cpu"), units.held_out("cpu")
    h = units.activations(net, test.images, HIDDEN)
    areas = units.selectivity(h, units.unit_directions(h.shape[1]), test.labels)
    unit, digit = divmod(int(areas.argmax()), areas.shape[1])
    wanted = test.labels == digit
    threshold, accuracy = imagenet.best_threshold(h[:, unit], wanted)
    detector = imagenet.Detector(net, HIDDEN, unit, threshold, float(h[:, unit].std()))
    few = test.images[(h[:, unit] > threshold) & wanted][:FEW]
    found = attacks.minimal_adversarial(detector, few, torch.zeros(len(few), dtype=torch.int64))
    success = found.success
    return {
        "unit": unit,
        "digit": digit,
        "area": float(areas[unit, digit]),
        "threshold": threshold,
        "accuracy": accuracy,
        "n": len(few),
        "success": int(success.sum()),
        "distortion": float(found.distortion[success].mean()) if success.any() else None,
    }


# --- Table 5 -------------------------------------------------------------------------------------


def table5(name: str) -> dict:
    """Every layer between bounds, and the whole as logarithms to the base 10."""
    began = time.process_time()
    found = spectral.lipschitz(imagenet.folded(lite(name)), (3, 224, 224))
    rows = [
        {
            "name": row.name,
            "kind": row.kind,
            "size": str(row.size),
            "stride": str(row.stride),
            "lower": row.lower,
            "upper": row.upper,
        }
        for row in found.layers
    ]
    return {
        "layers": rows,
        "log10_product": found.log_product / math.log(10),
        "log10_tight": found.log_tight / math.log(10),
        "log10_lower": found.log_lower / math.log(10),
        "cpu_seconds": round(time.process_time() - began, 1),
    }


# --- tasks and the record ------------------------------------------------------------------------

# in the record's order; seconds of one core, measured, for a first estimate
PARTS = {
    "ostrich": (ostrich, 52),
    "units": (single_units, 61),
    "table5": (table5, 21),
    "detectors": (detectors, 24),
    "autoencoder": (autoencoder, 3),
    "kept": (kept, 86),
    "library": (library, 85),
    "transfer": (transfer, 46),
}
FIGURES = {
    "figure3": ("units",),
    "figure4": ("units",),
    "figure5": ("ostrich",),
    "figure6": ("detectors", "autoencoder"),
    "table5": ("table5",),
}
SHARED = ("detectors", "others")  # parts of the record that several tasks make
BESIDE = ("kept", "library", "transfer")  # lesson 09's; no figure of the paper shows it


def part(network: str, seed: int, settings: dict) -> dict:
    """A task: one part (``settings["part"]``) of one network, with its CPU seconds."""
    measure, _ = PARTS[settings["part"]]
    began = time.process_time()
    return measure(network) | {"seconds": round(time.process_time() - began, 1)}


def needs(task: Task) -> list[tuple[str, int]]:
    """The autoencoder is of the zoo, the networks of photographs are not."""
    return itself(task) if task.network == AUTOENCODER else []


def cost(task: Task) -> float:
    """As measured."""
    return float(PARTS[task.settings["part"]][1])


def tasks(parts, relatives: bool = False) -> list[Task]:
    """The tasks of some parts; none where their packages are not installed.

    relatives: units are asked of Lite1 and Lite2 as well, and norms of AlexNet, where those are
    here. Transfer is of all
    networks that are here, if there are two.
    """
    if needed.missing():
        return []
    there = [name for name in imagenet.LITE if name in imagenet.here()]
    found = []
    for name in parts:
        networks = [needed.NAME]
        if name == "autoencoder":
            networks = [AUTOENCODER]
        elif name == "transfer":
            # which others read is decided by what is here, so it belongs to the task
            settings = {"part": name, "readers": there}
            found += [Task("photographs", one, 0, settings) for one in there if len(there) > 1]
            continue
        elif name == "units" and relatives:
            networks = there
        elif name == "table5" and relatives and ALEXNET in imagenet.here():
            networks = [needed.NAME, ALEXNET]  # torchvision's, whose layers have other widths
        found += [Task("photographs", one, 0, {"part": name}) for one in networks]
    return found


def assemble(results: dict[Task, dict]) -> dict:
    """The record from the finished tasks."""
    made: dict = {"machine": record.machine()}
    order = list(PARTS)
    for task in sorted(results, key=lambda task: order.index(task.settings["part"])):
        name, result = task.settings["part"], results[task]
        if name == "autoencoder":
            made.setdefault("detectors", {})[AUTOENCODER] = result
        elif name == "transfer":
            both = made.setdefault("transfer", result | {"rows": {}, "seconds": 0.0})
            both["seconds"] = round(both["seconds"] + result["seconds"], 1)
            for other, row in result["rows"].items():
                both["rows"][f"{task.network} read by {other}"] = row
        elif task.network == needed.NAME:
            made[name] = result
        else:
            made.setdefault("others", {}).setdefault(task.network, {})[name] = result
    return made
