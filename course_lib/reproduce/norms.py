"""Table 5's layers with the weights that AlexNet's training begins with: the record table5.json.

The layers have Table 5's sizes and AlexNet's paddings, on images of 224 x 224 pixels. Their weights
are normal, with standard deviation 0.01: that is how AlexNet was initialised (Krizhevsky,
Sutskever, Hinton 2012, section 5). The weights behind the paper's column cannot be had.
"""

import time

import torch
from torch import nn

from .. import device, paper, record, spectral
from .task import Task

SEED, STDDEV = 0, 0.01


def first_weights(seed: int = SEED) -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    """Table 5's layers by its names, each with its input's shape, with their first weights."""
    rng = device.generator(seed)
    layers = {
        "Conv. 1": (nn.Conv2d(3, 96, 11, stride=4, padding=2), (3, 224, 224)),
        "Conv. 2": (nn.Conv2d(96, 256, 5, padding=2), (96, 27, 27)),
        "Conv. 3": (nn.Conv2d(256, 384, 3, padding=1), (256, 13, 13)),
        "Conv. 4": (nn.Conv2d(384, 384, 3, padding=1), (384, 13, 13)),
        "Conv. 5": (nn.Conv2d(384, 256, 3, padding=1), (384, 13, 13)),
        "FC. 1": (nn.Linear(9216, 4096), (9216,)),
        "FC. 2": (nn.Linear(4096, 4096), (4096,)),
        "FC. 3": (nn.Linear(4096, 1000), (4096,)),
    }
    for layer, _ in layers.values():
        nn.init.normal_(layer.weight, std=STDDEV, generator=rng)
    return layers


def of_alexnet(net: nn.Module) -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    """The same layers of torchvision's AlexNet, whose weights they have."""
    features, classifier = net.features, net.classifier
    shapes = [(3, 224, 224), (64, 27, 27), (192, 13, 13), (384, 13, 13), (256, 13, 13)]
    layers = [features[i] for i in (0, 3, 6, 8, 10)] + [classifier[i] for i in (1, 4, 6)]
    shapes += [(9216,), (4096,), (4096,)]
    return dict(zip(paper.TABLE5, zip(layers, shapes, strict=True), strict=True))


def measure(layer: nn.Module, shape: tuple[int, ...]) -> dict:
    """Size, stride, the bounds of the norm, how they came about, and seconds of CPU."""
    begin = time.process_time()
    row = spectral.norm_row(layer, shape)
    return {
        "size": row.size,
        "stride": row.stride[0] if row.stride else None,
        "input": list(shape),
        "lower": row.lower,
        "upper": row.upper,
        "method": row.method,
        "cpu_seconds": round(time.process_time() - begin, 2),
    }


def bound(network: str, seed: int, settings: dict) -> dict:
    """:func:`measure` as a task; network: the layer's name in Table 5; no settings."""
    return measure(*first_weights(seed)[network])


def printed(name: str, entry: dict) -> str:
    """A line: a layer's bounds beside the paper's."""
    bounds = f"{entry['lower']:8.4f} to {entry['upper']:8.4f}"
    return f"{name:8} {entry['size']:20} {bounds}, printed {paper.TABLE5[name][2]:g}"


def tasks(names=tuple(paper.TABLE5)) -> list[Task]:
    """A task for each layer."""
    return [Task("norms", name, SEED) for name in names]


def assemble(results: dict[Task, dict]) -> dict:
    """The record from the finished tasks."""
    found = {t.network: result for t, result in results.items()}
    return {
        "machine": record.machine() | {"threads": torch.get_num_threads()},
        "seed": SEED,
        "stddev": STDDEV,
        "layers": {name: found[name] for name in paper.TABLE5 if name in found},
    }
