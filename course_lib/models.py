"""The networks of the paper by their names, and any layer's activations.

A network is a plain ``nn.Sequential`` with named children: images (N, 1, 28, 28) in, logits
(N, 10) out, no softmax at the end. It accepts any pixel values (noise may leave [0, 1]).
"""

import dataclasses
import zlib
from collections import OrderedDict

import torch
from torch import nn

from . import device as devices
from .checked import COUNT, GENERATOR, NETWORK, TEXT, WHOLE, instance, takes
from .data import Dataset, check_images

ACTIVATIONS = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU}


@dataclasses.dataclass(frozen=True)
class Architecture:
    """What a network is made of: fully connected ``widths``, then 10 logits; or convolutions.

    hidden: the hidden layers' widths; activation: "sigmoid" or "relu"; channels: the convolutions'
    output channels, each 3 x 3, padded by 1 and followed by 2 x 2 max pooling, before any of that.
    """

    hidden: tuple[int, ...] = ()
    activation: str = "sigmoid"
    channels: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Network:
    """A network's name in the paper (section 4.2), what it is, and what it is trained on."""

    name: str
    architecture: Architecture
    trained_on: str
    about: str


NETWORKS = {
    network.name: network
    for network in (
        Network("FC10(1e-4)", Architecture(), "train", "softmax on the pixels, λ = 1e-4"),
        Network("FC10(1e-2)", Architecture(), "train", "softmax on the pixels, λ = 1e-2"),
        Network("FC10(1)", Architecture(), "train", "softmax on the pixels, λ = 1"),
        Network("FC100-100-10", Architecture((100, 100)), "train", "two sigmoid layers of 100"),
        Network("FC200-200-10", Architecture((200, 200)), "train", "two sigmoid layers of 200"),
        Network(
            "AE400-10",
            Architecture((400,)),
            "train",
            "softmax on the 400 sigmoid units of a sparse autoencoder, which stays as it is",
        ),
        Network(
            "FC100-100-10-ReLU",
            Architecture((100, 100), "relu"),
            "train",
            "the twin of FC100-100-10 with rectified linear units (not in the paper)",
        ),
        Network(
            "CONV",
            Architecture((), "relu", (16, 32)),
            "train",
            "two convolutions, rectified, max-pooled (not in the paper)",
        ),
        Network("FC100-100-10@P1", Architecture((100, 100)), "P1", "trained on the half P1"),
        Network(
            "FC123-456-10@P1",
            Architecture((123, 456)),
            "P1",
            "other widths, trained on the half P1",
        ),
        Network(
            "FC100-100-10@P2",
            Architecture((100, 100)),
            "P2",
            "trained on the other half; FC100-100-10' in the paper",
        ),
    )
}


def network(name: str) -> Network:
    """The entry of :data:`NETWORKS` called ``name``; ValueError, listing them, if there is none."""
    if not isinstance(name, str) or name not in NETWORKS:
        raise ValueError(f"There is no network called {name!r}: use one of {', '.join(NETWORKS)}.")
    return NETWORKS[name]


@takes(name=TEXT, seed=WHOLE)
def initial_seed(name: str, seed: int = 0) -> int:
    """The seed of the first weights of replicate ``seed`` of the network ``name``.

    It depends on the name: two networks of one architecture (FC100-100-10@P1 and @P2) must not
    start from the same weights, or their examples transfer better than those of strangers.
    """
    return zlib.crc32(f"{name}/{seed}".encode())


@takes(inputs=COUNT, outputs=COUNT, generator=GENERATOR)
def linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """A linear layer (N, inputs) -> (N, outputs): Glorot's normal weights, biases 0."""
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_normal_(layer.weight, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer


@takes(inputs=COUNT, outputs=COUNT, generator=GENERATOR)
def convolution(inputs: int, outputs: int, generator: torch.Generator) -> nn.Conv2d:
    """A 3 x 3 convolution, padded to keep the size: He's normal weights, biases 0."""
    layer = nn.Conv2d(inputs, outputs, 3, padding=1)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
    nn.init.zeros_(layer.bias)
    return layer


@takes(architecture=instance(Architecture), seed=WHOLE)
def assemble(architecture: Architecture, seed: int) -> nn.Sequential:
    """The network of ``architecture`` with first weights drawn from ``seed``, on the CPU."""
    rng = devices.generator(seed)
    nonlinearity = ACTIVATIONS[architecture.activation]
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    size, inputs = 28, 1
    for i, outputs in enumerate(architecture.channels, 1):
        layers[f"conv{i}"] = convolution(inputs, outputs, rng)
        layers[f"{architecture.activation}{i}"] = nonlinearity()
        layers[f"pool{i}"] = nn.MaxPool2d(2)
        size, inputs = size // 2, outputs
    layers["flatten"] = nn.Flatten()
    inputs *= size * size
    for i, outputs in enumerate(architecture.hidden, 1):
        layers[f"fc{i}"] = linear(inputs, outputs, rng)
        layers[f"{architecture.activation}{i}"] = nonlinearity()
        inputs = outputs
    layers[f"fc{len(architecture.hidden) + 1}"] = linear(inputs, 10, rng)
    return nn.Sequential(layers)


def build(name: str, seed: int = 0) -> nn.Sequential:
    """The untrained network called ``name``, on the CPU, its first weights drawn from ``seed``.

    Its layers are called flatten, fc1, sigmoid1, fc2, ... (conv1, relu1, pool1, ... in CONV), the
    last one gives the logits. Raises ValueError, listing the names, for any other.
    """
    return assemble(network(name).architecture, initial_seed(name, seed))


@takes(net=NETWORK)
def layer_names(net: nn.Module) -> list[str]:
    """The names of all submodules that compute something, in the order of the network."""
    return [name for name, module in net.named_modules() if not list(module.children())]


@takes(net=NETWORK, layer=TEXT, batch_size=COUNT)
@torch.no_grad()
def activations(
    net: nn.Module, images: torch.Tensor, layer: str, batch_size: int = 5000
) -> torch.Tensor:
    """What the layer called ``layer`` puts out for each image, flattened: (N, width).

    "fc1" is the value before the non-linearity, "sigmoid1" the one after it. The images may lie on
    another device than the network; the result lies with the network.
    Raises ValueError, listing the layers, if there is none of that name, and as
    :func:`data.check_images` does for what are no images (their pixels may have any values).
    """
    check_images(images, shape=None, box=False)
    modules = dict(net.named_modules())
    if layer not in modules or not layer:
        raise ValueError(
            f"The network has no layer called {layer!r}: use one of {', '.join(layer_names(net))}."
        )
    seen: list[torch.Tensor] = []
    hook = modules[layer].register_forward_hook(
        lambda module, inputs, output: seen.append(output.detach().flatten(1))
    )
    where = next(net.parameters()).device
    try:
        for batch in images.split(batch_size):
            net(batch.to(where))
    finally:
        hook.remove()
    return torch.cat(seen)


@takes(net=NETWORK, batch_size=COUNT)
@torch.no_grad()
def predictions(net: nn.Module, images: torch.Tensor, batch_size: int = 5000) -> torch.Tensor:
    """The class that ``net`` gives each image: (N,) int64, on the network's device.

    Raises TypeError or ValueError, with a sentence, for what are no images (N, channels, height,
    width); their pixels may have any values.
    """
    check_images(images, shape=None, box=False)
    where = next(net.parameters()).device
    return torch.cat([net(batch.to(where)).argmax(1) for batch in images.split(batch_size)])


@takes(net=NETWORK)
def error_rate(net: nn.Module, dataset) -> float:
    """The share of ``dataset`` (a :class:`~course_lib.data.Dataset`) misclassified, in [0, 1]."""
    if not isinstance(dataset, Dataset):
        raise TypeError(f"Give a data set, of images and labels, not {type(dataset).__name__}.")
    guessed = predictions(net, dataset.images)
    return float((guessed != dataset.labels.to(guessed.device)).double().mean())
