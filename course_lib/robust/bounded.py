"""Networks trained with one of six ways to keep their layers' norms small, or to certify."""

from collections import OrderedDict

from torch import nn

from .. import device as devices
from .. import models, training
from ..data import Dataset, load_mnist
from .globally_robust import GloballyRobustLoss
from .orthonormal import MarginLoss, MaxMin, make_orthonormal, settle_orthonormal
from .penalties import KINDS, penalty

# what keeps the layers small, in the order of the record's table
VARIANTS = ("plain", "decay", "sum", "log-product", "orthonormal", "globally robust")
ACTIVATIONS = ("relu", "sigmoid", "maxmin")


def build(
    activation: str = "relu", hidden: tuple[int, ...] = (100, 100), seed: int = 0
) -> nn.Sequential:
    """An untrained network: 28 x 28 pixels, fully connected layers ``hidden`` wide, 10 logits.

    Layers are called flatten, fc1, relu1 (sigmoid1, maxmin1), fc2, ...; the first weights of a seed
    are the same for all activations. Raises ValueError for an unknown activation, widths that are
    not positive, and odd ones with "maxmin", which sorts pairs.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"There is no activation called {activation!r}: use one of {', '.join(ACTIVATIONS)}."
        )
    if any(width < 1 for width in hidden):
        raise ValueError(f"Widths must be positive, and {tuple(hidden)} are not.")
    pairs = activation == "maxmin"
    if pairs and any(width % 2 for width in hidden):
        raise ValueError(f"The activation maxmin sorts pairs: the widths {hidden} must be even.")
    architecture = models.Architecture(tuple(hidden), "relu" if pairs else activation)
    net = models.assemble(architecture, models.initial_seed("robust", seed))
    if not pairs:
        return net
    layers = OrderedDict()
    for name, module in net.named_children():
        sorts = isinstance(module, nn.ReLU)
        layers[name.replace("relu", "maxmin")] = MaxMin() if sorts else module
    return nn.Sequential(layers)


def train_bounded(
    variant: str = "log-product",
    strength: float | None = None,
    *,
    activation: str = "relu",
    hidden: tuple[int, ...] = (100, 100),
    margin: float | None = None,
    temperature: float | None = None,
    radius: float | None = None,
    dataset: Dataset | None = None,
    epochs: int = 10,
    learning_rate: float = 1e-2,
    batch_size: int = 256,
    seed: int = 0,
    device=None,
    progress: bool = True,
) -> nn.Sequential:
    """A network trained with one of six ways to keep its bounds small, in eval mode.

    variant, and what ``strength`` (not negative) then multiplies in the loss:
        "plain": nothing, and no strength;
        "decay": Σ w²/2, the usual weight decay;
        "sum", "log-product": the layers' upper bounds, see :func:`penalty`;
        "orthonormal": no strength either; all weight matrices have orthonormal rows, and the loss
        is :class:`MarginLoss` with ``margin`` (default 1) and ``temperature`` (default 1/4), which
        the other variants do not have;
        "globally robust": the loss is :class:`GloballyRobustLoss` with ``radius`` (L2, positive),
        for activations whose slopes reach 1: "relu" and "maxmin".
    activation, hidden, seed: see :func:`build`; the seed is also that of the images' order.
    dataset: default MNIST's training images. epochs, learning_rate, batch_size, progress: of
    :func:`training.train`. On one core 10 epochs of all images take about 7 s ("plain", "decay"),
    12 s (the penalties) or 20 s ("orthonormal") at the default size, and 5 epochs of 20 000 images,
    for a demonstration, 2 to 5 s.

    Raises ValueError, before any training, for an unknown variant or activation, a strength that is
    missing, negative, or given to a variant without one, a margin, temperature or radius likewise
    (they must be positive), sigmoids with "globally robust", and what :func:`build`,
    :func:`make_orthonormal` and :func:`training.train` refuse.
    """
    _check(variant, strength, margin, temperature, radius, activation)
    net = build(activation, hidden, seed)
    steps = {}
    if variant == "orthonormal":
        make_orthonormal(net)
        steps["loss"] = MarginLoss(margin or 1.0, temperature or 0.25)
    elif variant == "decay":
        steps["decay"] = strength
    elif variant in KINDS:
        steps["penalty"] = lambda net: strength * penalty(net, kind=variant)
    net.to(devices.pick(device))
    dataset = dataset or load_mnist("train", next(net.parameters()).device)
    if variant == "globally robust":
        for layer in net.modules():
            # its first steps hold on to nothing if the bound is large: start where it is 1
            if isinstance(layer, nn.Linear):
                nn.init.orthogonal_(layer.weight, generator=devices.generator(seed))
        each = max(1, len(dataset) // batch_size)
        steps["loss"] = GloballyRobustLoss(net, radius, epochs * each)
    training.train(
        net,
        dataset,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        seed=models.initial_seed("robust", seed),
        progress=progress,
        **steps,
    )
    if variant == "orthonormal":
        settle_orthonormal(net)
    return net


def _check(variant: str, strength, margin, temperature, radius, activation) -> None:
    if variant not in VARIANTS:
        raise ValueError(
            f"There is no variant called {variant!r}: use one of {', '.join(VARIANTS)}."
        )
    with_strength = ("decay", *KINDS)
    if variant not in with_strength and strength is not None:
        raise ValueError(
            f"The variant {variant!r} has no strength, and {strength} was given: leave it out, or "
            f"use one of {', '.join(with_strength)}."
        )
    if variant in with_strength and strength is None:
        raise ValueError(f"The variant {variant!r} needs a strength, say 0.1 for log-product.")
    if strength is not None and not 0 <= strength < float("inf"):
        raise ValueError(
            f"The strength must not be negative: {strength} would reward layers that stretch."
        )
    if variant == "globally robust" and radius is None:
        raise ValueError(
            "The variant 'globally robust' needs the radius that is to be certified, say 0.3."
        )
    if variant == "globally robust" and activation == "sigmoid":
        raise ValueError(
            "The variant 'globally robust' counts the slopes of the units as 1, and a sigmoid's "
            "reach 1/4: use relu or maxmin."
        )
    whose = {"margin": "orthonormal", "temperature": "orthonormal", "radius": "globally robust"}
    for name, value in {"margin": margin, "temperature": temperature, "radius": radius}.items():
        if value is None:
            continue
        if variant != whose[name]:
            raise ValueError(
                f"The {name} belongs to the loss of the variant {whose[name]!r}, and {variant!r} "
                "has none: leave it out."
            )
        if not 0 < value < float("inf"):
            raise ValueError(f"The {name} must be positive, not {value}.")
