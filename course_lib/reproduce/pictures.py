"""What Figures 1, 2 and 7 show, as data: which images, the changed images, accuracy under noise."""

import base64
import math

import torch

from .. import attacks, device, models, paper, units, zoo
from ..data import load_mnist
from ..record import machine
from ..transfer.intervals import wilson
from .measured import over_networks

UNITS, LAYER = "FC100-100-10", "sigmoid2"  # of Figures 1 and 2, as in lesson 02
ROWS, SHOWN = 4, 8  # directions of each kind; images of a row, as in the paper
STDDEV = 1.0  # of Figure 7's noise
AT_ONCE = 100  # images compared with all training images: 24 MB of distances
NEAR = 500  # images whose nearest one of another class is sought


def make(n: int, seed: int = 0, networks: int = 1) -> dict:
    """The record ``pictures``: the images of Figures 1, 2 and 7, and the numbers beside them.

    n: test images under noise, and images whose nearest one of another class is sought (there at
    most :data:`NEAR`); seed: draws the units, the directions, the images and the noise; networks:
    how many of each name read the noisy images. Shown are those that come with the course. Images
    of the test set are told by their number in it; changed ones, of the training images, are 28 x
    28 bytes in base64. Some seconds. Raises ValueError for an n or a count of networks below 1.
    """
    if n < 1 or networks < 1:
        raise ValueError(
            f"Pictures need one image and one network or more, not {n} and {networks}."
        )
    return {
        "machine": machine(),
        "n": n,
        "seed": seed,
        "top": top(seed),
        "neighbours": neighbours(seed),
        "noise": noise(n, seed, networks),
        "other_class": other_class(min(n, NEAR), seed),
    }


def task(network: str, seed: int, settings: dict) -> dict:
    """:func:`make` as a task of ``tasks``; settings: n and networks."""
    return make(settings["n"], seed, settings["networks"])


def top(seed: int) -> dict:
    """Figures 1 and 2: the test images that excite some units most, and some random directions."""
    net, test = zoo.load(UNITS), units.held_out()
    h = units.activations(net, test.images, LAYER)
    ties = units.activations(net, test.images, units.pre_activation(net, LAYER))
    rng = device.generator(seed)
    width = h.shape[1]
    chosen = torch.randperm(width, generator=rng)[:ROWS]
    kinds = {
        "units": units.unit_directions(width)[chosen],
        "directions": units.random_directions(ROWS, width, rng),
    }
    found = {"network": UNITS, "layer": LAYER, "unit": chosen.tolist()}
    for kind, directions in kinds.items():
        rows = units.top_images(h, directions.to(h), SHOWN, ties)
        found[kind] = {
            "images": test.index[rows.cpu()].tolist(),
            "labels": test.labels[rows].tolist(),
            "purity": [round(p, 4) for p in units.purity(test.labels, rows).tolist()],
        }
    return found


def neighbours(seed: int) -> dict:
    """Figure 7: images that both networks have right, the paper's attack on them, and noise."""
    nets = {name: zoo.load(name) for name in paper.FIGURE7}
    few = load_mnist("train").sample(10 * SHOWN, seed)
    right = torch.ones(len(few), dtype=torch.bool, device=few.images.device)
    for net in nets.values():
        right &= models.predictions(net, few.images) == few.labels
    few = few[right.nonzero()[:SHOWN, 0]]
    targets = attacks.recorded_targets(few)
    found = {"labels": few.labels.tolist(), "clean": encoded(few.images), "networks": {}}
    for name, net in nets.items():
        made = attacks.minimal_adversarial(
            net, few.images, targets, few.labels, loss="cross-entropy"
        )
        found["networks"][name] = {
            "images": encoded(made.images),
            "answers": models.predictions(net, made.images).tolist(),
            "distortion": [round(float(d), 5) for d in made.distortion],
        }
    noisy = attacks.gaussian_noise(few.images, STDDEV, seed)
    found["noise"] = {
        "images": encoded(noisy),
        "answers": {name: models.predictions(net, noisy).tolist() for name, net in nets.items()},
    }
    return found


def noise(n: int, seed: int, networks: int) -> dict:
    """The accuracy of Figure 7's networks on test images with Gaussian noise, not clipped."""
    test = load_mnist("test")
    few = test.sample(min(n, len(test)), seed)
    noisy = attacks.gaussian_noise(few.images, STDDEV, seed)
    found = {}
    for name in paper.FIGURE7:
        seeds = sorted({zoo.replicate(name, s) for s in range(networks)})
        shares = [
            float((models.predictions(zoo.load(name, s), noisy) == few.labels).double().mean())
            for s in seeds
        ]
        found[name] = {"networks": shares} | interval_of(name, shares, len(few))
    return {"stddev": STDDEV, "accuracy": found}


def interval_of(name: str, shares: list[float], n: int) -> dict:
    """The mean of shares of the same n images over networks, with an interval for both."""
    mean = over_networks(name, shares, n)
    low = high = None
    if mean.low is not None:
        below, above = wilson(mean.value, n)
        low = float(mean.value - math.hypot(mean.value - below, mean.half))
        high = float(mean.value + math.hypot(above - mean.value, mean.half))
    return {"mean": mean.value, "low": low, "high": high, "n": n, "seeds": len(shares)}


def other_class(n: int, seed: int) -> dict:
    """The rms distance of training images to the nearest one of another class: its median."""
    train = load_mnist("train")
    few = train.sample(n, seed)
    flat, pixels = train.images.flatten(1), train.images[0].numel()
    nearest = []
    for rows in torch.arange(n).split(AT_ONCE):
        part = few[rows]
        # |a - b|² = |a|² + |b|² - 2 ab: to a ten thousandth at these distances, in float32
        x = part.images.flatten(1)
        square = x.square().sum(1)[:, None] + flat.square().sum(1) - 2 * x @ flat.T
        square[part.labels[:, None] == train.labels] = torch.inf
        nearest.append((square.min(1).values / pixels).sqrt().cpu())
    values = torch.cat(nearest)
    return {"n": n, "median": float(values.median()), "smallest": float(values.min())}


def encoded(images: torch.Tensor) -> list[str]:
    """Images (N, 1, 28, 28) as bytes from 0 to 255, row by row, in base64; clipped to [0, 1]."""
    grey = (images.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    return [base64.b64encode(image.numpy().tobytes()).decode() for image in grey]


def decoded(texts: list[str]) -> torch.Tensor:
    """The images (N, 1, 28, 28) behind :func:`encoded`, floats in [0, 1]."""
    rows = [
        torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.uint8) for text in texts
    ]
    return torch.stack(rows).view(-1, 1, 28, 28).float() / 255
