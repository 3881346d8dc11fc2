"""Does an adversarial picture survive what happens to pictures? Real files, in memory.

The paper's examples are float tensors. A picture that somebody sends is a file: eight bits a
channel, packed, perhaps scaled. Each function here takes images (N, C, H, W) with pixels in [0, 1],
C 1 or 3, through one such fate, one by one, and gives back images of the same shape, type and
device, whose pixels are multiples of 1/255. There is no gradient through any of them.
"""

import io
from collections.abc import Callable, Mapping

import numpy as np
import torch
from PIL import Image
from torch import nn

from ..checked import CLASSES, COUNT, NETWORK, Kind, is_whole, takes
from ..data import check_images
from ..models import predictions

QUALITY = Kind("a whole number from 1 to 100", is_whole, lambda value: 1 <= value <= 100)
WAYS = Kind("a dict of functions, each by its name", lambda value: isinstance(value, Mapping))


def check_pictures(images: torch.Tensor) -> None:
    """Raise, with a sentence, unless ``images`` can be pictures: as :func:`data.check_images`, and
    ValueError unless they have one channel or three."""
    check_images(images, shape=None)
    if images.shape[1] not in (1, 3):
        raise ValueError(
            f"A picture has one channel (grey) or three (RGB), and these have {images.shape[1]}."
        )


def to_bytes(images: torch.Tensor) -> torch.Tensor:
    """The nearest bytes: (N, C, H, W) uint8 on the CPU."""
    return (images.detach().cpu().double() * 255).round().byte()


def to_files(images: torch.Tensor) -> list[Image.Image]:
    """Each image as a picture of Pillow's, of eight bits a channel."""
    pixels = to_bytes(images)
    rows = pixels[:, 0] if pixels.shape[1] == 1 else pixels.permute(0, 2, 3, 1)
    return [Image.fromarray(row) for row in rows.contiguous().numpy()]


def from_files(pictures: list[Image.Image], like: torch.Tensor) -> torch.Tensor:
    """Pictures of Pillow's as images of the shape, type and device of ``like``."""
    if not pictures:
        return like.detach().clone()
    pixels = torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures]))
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
    # the division is done in float32 at least: half a digit would not tell bytes apart
    wide = pixels.to(torch.promote_types(like.dtype, torch.float32)) / 255
    return wide.to(like).contiguous()


def through_eight_bit(images: torch.Tensor) -> torch.Tensor:
    """Rounded to the nearest multiples of 1/255, as every file of eight bits does."""
    check_pictures(images)
    return from_files(to_files(images), images)


def _reopened(picture: Image.Image, **how) -> Image.Image:
    """``picture`` written to a file in memory, and read from it."""
    file = io.BytesIO()
    picture.save(file, **how)
    with Image.open(io.BytesIO(file.getvalue())) as again:
        again.load()
        return again


def through_png(images: torch.Tensor) -> torch.Tensor:
    """Saved as PNG and opened again: PNG loses nothing that eight bits hold."""
    check_pictures(images)
    return from_files([_reopened(p, format="PNG") for p in to_files(images)], images)


@takes(quality=QUALITY)
def through_jpeg(images: torch.Tensor, quality: int = 90) -> torch.Tensor:
    """Saved as JPEG and opened again. quality: from 1 to 100, as Pillow and most programs count it;
    colours are stored at half the resolution (4:2:0), which is usual."""
    check_pictures(images)
    how = {"format": "JPEG", "quality": int(quality), "subsampling": 2}
    return from_files([_reopened(p, **how) for p in to_files(images)], images)


@takes(size=COUNT)
def through_resize(images: torch.Tensor, size: int) -> torch.Tensor:
    """Scaled to ``size`` x ``size`` pixels and back, bicubically, with bytes in between."""
    check_pictures(images)
    how = Image.Resampling.BICUBIC
    pictures = [p.resize((size, size), how).resize(p.size, how) for p in to_files(images)]
    return from_files(pictures, images)


def usual_ways(size: int) -> dict[str, Callable]:
    """What usually happens to a picture of ``size`` pixels, by its name, the mildest first."""
    half, most = max(size // 2, 1), max(size * 7 // 8, 1)
    return {
        "8 bits": through_eight_bit,
        "PNG": through_png,
        "JPEG 95": lambda images: through_jpeg(images, 95),
        "JPEG 75": lambda images: through_jpeg(images, 75),
        f"resized to {most}": lambda images: through_resize(images, most),
        f"resized to {half}": lambda images: through_resize(images, half),
    }


@takes(net=NETWORK, classes=CLASSES, ways=WAYS | None)
def survives(
    net: nn.Module, images: torch.Tensor, classes: torch.Tensor, ways: Mapping | None = None
) -> dict[str, torch.Tensor]:
    """For each way, whether ``net`` still puts each image into its class afterwards: (N,) bool.

    images: (N, C, H, W) in [0, 1]; classes: (N,) what each was made to be taken for; ways:
    functions of images by their names, by default :func:`usual_ways`. "As it is" comes first.
    Raises TypeError or ValueError, with a sentence, for arguments that are none of that.
    """
    check_pictures(images)
    if len(classes) != len(images):
        raise ValueError(f"There are {len(images)} images and {len(classes)} classes.")
    ways = usual_ways(min(images.shape[2:])) if ways is None else ways
    found = {}
    for name, way in {"as it is": lambda images: images, **ways}.items():
        found[name] = (predictions(net, way(images), 32) == classes.to(_place(net))).cpu()
    return found


def _place(net: nn.Module) -> torch.device:
    return next(net.parameters()).device
