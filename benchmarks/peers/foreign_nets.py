"""Networks for MNIST that are no part of the course: other activations, layers and trainings.

Runs in the peers' own environments, so it needs torch and nothing of the course. Every network
takes images (N, 1, 28, 28) in [0, 1] and gives logits: ten, or two for ``two`` (a digit below five,
or not). ``python benchmarks/peers/foreign_nets.py MNIST_FOLDER FOLDER [NAME ...]`` trains them, one
thread, seed 0, seconds to minutes each, and keeps the weights as FOLDER/NAME.pt.
"""

import dataclasses
import gzip
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

FOLDER = Path(tempfile.gettempdir()) / "foreign"  # where load() looks unless it is told
SEED = 0
BATCH = 128


def mlp(activation: Callable[[], nn.Module], *widths: int) -> nn.Sequential:
    """Linear layers of these output widths, ``activation`` between them."""
    layers, inputs = [nn.Flatten()], 784
    for outputs in widths:
        layers += [nn.Linear(inputs, outputs), activation()]
        inputs = outputs
    return nn.Sequential(*layers[:-1])


class Maxout(nn.Module):
    """The largest of ``pieces`` linear functions, for each output."""

    def __init__(self, inputs: int, outputs: int, pieces: int):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs * pieces)
        self.pieces = pieces

    def forward(self, x):
        return self.linear(x).unflatten(1, (-1, self.pieces)).amax(2)


class Block(nn.Module):
    """Self-attention and a two-layer network, each after LayerNorm and with a way around it."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mix, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x):
        parts = self.mix(self.before(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = parts
        weights = (query @ key.transpose(2, 3) / query.shape[3] ** 0.5).softmax(3)
        x = x + self.out((weights @ value).transpose(1, 2).flatten(2))
        return x + self.mlp(self.between(x))


class Transformer(nn.Module):
    """Sixteen patches of 7x7 pixels, two blocks of four heads, the mean of the patches."""

    def __init__(self, width: int = 48, heads: int = 4):
        super().__init__()
        self.embed = nn.Conv2d(1, width, 7, stride=7)
        self.places = nn.Parameter(0.02 * torch.randn(1, 16, width))
        self.blocks = nn.Sequential(Block(width, heads), Block(width, heads))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2) + self.places
        return self.head(self.norm(self.blocks(x)).mean(1))


class Residual(nn.Module):
    """Two convolutions with batch norm and a way around them, at half the size if wished."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.around = nn.Sequential()
        if stride > 1:
            self.around = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        return torch.relu(self.body(x) + self.around(x))


class Scaled(nn.Module):
    """The logits of ``net`` times ``factor``."""

    def __init__(self, net: nn.Module, factor: float):
        super().__init__()
        self.net, self.factor = net, factor

    def forward(self, x):
        return self.factor * self.net(x)


def resnet() -> nn.Sequential:
    """A stem of stride 2, three residual blocks, the mean over the places."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, 2, 1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        Residual(16, 16, 1),
        Residual(16, 32, 2),
        Residual(32, 32, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


def conv(outputs: int = 10) -> nn.Sequential:
    """Two convolutions with ReLU and max pooling, two linear layers."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(784, 64),
        nn.ReLU(),
        nn.Linear(64, outputs),
    )


def strided() -> nn.Sequential:
    """Two convolutions of stride 2 with ReLU, one linear layer."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 4, 2, 1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 4, 2, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 49, 10),
    )


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a network is made: its builder and its training.

    against: images are first changed by PGD in this norm ("linf" or "l2") up to ``radius``;
    scale: a factor on the trained network's logits; two: the classes are "below five" or not.
    """

    build: Callable[[], nn.Module]
    epochs: int = 4
    rate: float = 2e-3
    against: str = ""
    radius: float = 0.0
    scale: float = 1.0
    two: bool = False


RECIPES = {
    "transformer": Recipe(Transformer, epochs=6),
    "gelu": Recipe(lambda: mlp(nn.GELU, 128, 128, 128, 10)),
    "tanh": Recipe(lambda: mlp(nn.Tanh, 128, 128, 128, 10)),
    "resnet": Recipe(resnet, epochs=2, rate=5e-3),
    "times1000": Recipe(conv, epochs=2, scale=1000.0),
    "two": Recipe(lambda: conv(2), epochs=2, two=True),
    "madry": Recipe(strided, epochs=3, against="linf", radius=0.2),
    "maxout": Recipe(
        lambda: nn.Sequential(
            nn.Flatten(), Maxout(784, 64, 4), Maxout(64, 64, 4), Maxout(64, 10, 4)
        )
    ),
    "stride2": Recipe(strided, epochs=2),
    "relu": Recipe(lambda: mlp(nn.ReLU, 400, 400, 10)),
    "silu": Recipe(lambda: mlp(nn.SiLU, 128, 128, 128, 10)),
    "times0.001": Recipe(conv, epochs=2, scale=0.001),
    "madry-l2": Recipe(strided, epochs=3, against="l2", radius=1.5),
}


def twin(name: str) -> str:
    """The first network that differs from this one in the factor on its logits alone: the two
    have the same weights."""
    of = RECIPES[name]
    if of.scale == 1:
        return name
    same = dataclasses.replace
    return next(n for n, r in RECIPES.items() if r.scale != 1 and same(r, scale=of.scale) == of)


def read_mnist(folder: Path, part: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (N, 1, 28, 28) float32 in [0, 1] and digits of "train" or "t10k"."""
    with gzip.open(Path(folder) / f"{part}-images-idx3-ubyte.gz") as file:
        pixels = torch.frombuffer(bytearray(file.read()[16:]), dtype=torch.uint8)
    with gzip.open(Path(folder) / f"{part}-labels-idx1-ubyte.gz") as file:
        digits = torch.frombuffer(bytearray(file.read()[8:]), dtype=torch.uint8)
    return pixels.reshape(-1, 1, 28, 28) / 255, digits.long()


def classes(name: str, digits: torch.Tensor) -> torch.Tensor:
    """The classes of ``digits`` for the network: the digits, or 0 below five and 1 from five on."""
    return (digits >= 5).long() if RECIPES[name].two else digits


def against(net: nn.Module, x: torch.Tensor, y: torch.Tensor, norm: str, radius: float, steps=3):
    """The images after ``steps`` steps of projected gradient ascent from a random start.

    ``net`` is used in the mode it is in. Madry et al., 2018, for "linf"; the same on the ball of
    the Euclidean norm for "l2".
    """
    size, length = (len(x), 1, 1, 1), 2.5 * radius / steps
    if norm == "linf":
        r = torch.empty_like(x).uniform_(-radius, radius)
    else:
        r = torch.randn_like(x)
        r = r * (radius * torch.rand(size) / r.flatten(1).norm(dim=1).view(size))
    for _ in range(steps):
        z = (x + r).clamp(0, 1).requires_grad_()
        (g,) = torch.autograd.grad(functional.cross_entropy(net(z), y), z)
        if norm == "linf":
            r = (z.detach() + length * g.sign() - x).clamp(-radius, radius)
        else:
            r = z.detach() + length * g / (g.flatten(1).norm(dim=1).view(size) + 1e-12) - x
            r = r * (radius / r.flatten(1).norm(dim=1).clamp(min=1e-12)).clamp(max=1).view(size)
    return (x + r).clamp(0, 1)


def built(name: str) -> nn.Module:
    """The network, untrained, with the factor on its logits."""
    recipe = RECIPES[name]
    net = recipe.build()
    return net if recipe.scale == 1 else Scaled(net, recipe.scale)


def train(name: str, images: torch.Tensor, digits: torch.Tensor) -> nn.Module:
    """The network trained on ``images`` and ``digits``, in eval mode, its parameters frozen.

    Adam with one cycle of the learning rate. Global random numbers are left as they were.
    """
    recipe, labels = RECIPES[name], classes(name, digits)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        net = built(name)
        learner = net.net if isinstance(net, Scaled) else net  # the scale is no part of training
        optimizer = torch.optim.Adam(learner.parameters(), lr=recipe.rate)
        steps = recipe.epochs * (len(images) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.rate, total_steps=steps)
        done = 0
        for _ in range(recipe.epochs):
            order = torch.randperm(len(images))
            for rows in order[: len(images) // BATCH * BATCH].split(BATCH):
                x, y = images[rows], labels[rows]
                if recipe.against:
                    # the radius grows over the first third, or the network never begins to learn
                    radius = recipe.radius * min(1.0, 3 * done / steps)
                    x = against(learner, x, y, recipe.against, radius)
                optimizer.zero_grad()
                functional.cross_entropy(learner(x), y).backward()
                optimizer.step()
                schedule.step()
                done += 1
    return net.eval().requires_grad_(False)


def load(name: str, folder: str | Path = FOLDER) -> nn.Module:
    """The network whose weights are in ``folder``, in eval mode, its parameters frozen."""
    net = built(name)
    net.load_state_dict(torch.load(Path(folder) / f"{name}.pt", weights_only=True))
    return net.eval().requires_grad_(False)


@torch.no_grad()
def accuracy(net: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """The share of ``images`` that ``net`` puts into the class in ``labels``."""
    found = torch.cat([net(x).argmax(1) for x in images.split(1000)])
    return float((found == labels).double().mean())


def main(mnist: str, folder: str, *names: str) -> None:
    """Train and keep the networks called ``names``, all of them if none is named."""
    torch.set_num_threads(1)
    images, digits = read_mnist(mnist, "train")
    test, test_digits = read_mnist(mnist, "t10k")
    for name in names or RECIPES:
        began = time.process_time()
        net = train(name, images, digits)
        seconds = time.process_time() - began
        part = Path(folder) / f"{name}.part"
        torch.save(net.state_dict(), part)
        os.replace(part, Path(folder) / f"{name}.pt")
        right = accuracy(net, test, classes(name, test_digits))
        print(f"{name}: {right:.4f} of the test images right, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
