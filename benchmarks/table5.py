"""The record of lesson 06: Table 5's layers with the weights that AlexNet's training begins with.

    python benchmarks/table5.py             # about a minute on one core; writes the record
    python benchmarks/table5.py --trained   # prints the table of a trained AlexNet, as a download

The layers have Table 5's sizes and AlexNet's paddings, on images of 224 x 224 pixels. Their weights
are normal, with standard deviation 0.01: that is how AlexNet was initialised (Krizhevsky,
Sutskever, Hinton 2012, section 5). The weights behind the paper's column cannot be had; those of
torchvision, of a network with fewer channels (Krizhevsky 2014), need a download, and only the
printed table is made with them. The record is course_lib/_assets/records/table5.json.
"""

import argparse
import json
import time

import torch
from torch import nn

from course_lib import device, paper, record, spectral, storage

SEED, STDDEV = 0, 0.01
PATH = storage.ASSETS / "records" / "table5.json"


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


def measure(layers) -> dict[str, dict]:
    """Name -> size, stride, the bounds of the norm, how they came about, and seconds of CPU."""
    rows = {}
    for name, (layer, shape) in layers.items():
        begin = time.process_time()
        row = spectral.norm_row(layer, shape)
        rows[name] = {
            "size": row.size,
            "stride": row.stride[0] if row.stride else None,
            "input": list(shape),
            "lower": row.lower,
            "upper": row.upper,
            "method": row.method,
            "cpu_seconds": round(time.process_time() - begin, 2),
        }
        printed = paper.TABLE5[name][2]
        bounds = f"{row.lower:8.4f} to {row.upper:8.4f}"
        print(f"{name:8} {row.size:20} {bounds}, printed {printed:g}", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trained", action="store_true", help="torchvision's weights; no record")
    if parser.parse_args().trained:
        import torchvision

        measure(of_alexnet(torchvision.models.alexnet(weights="IMAGENET1K_V1").eval()))
        return
    found = {
        "machine": record.machine() | {"threads": torch.get_num_threads()},
        "seed": SEED,
        "stddev": STDDEV,
        "layers": measure(first_weights()),
    }
    storage.write_text(PATH, json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
