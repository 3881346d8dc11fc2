"""Pictures that a network takes for a class of one's choice, by few gradients (Figure 5).

The search is like that of DDN (Rony and others, 2019): a step against the gradient, then the change
is given a length, shorter after a success and longer after a failure. On photographs some 40
gradients an image are enough. The attack of :mod:`course_lib.attacks`, which ends nearer on small
networks, wants more before it has a success; benchmarks/photographs.py has both.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import nn

from ..attacks.losses import target_margin
from ..checked import CLASSES, COUNT, GENERATOR, NETWORK, NUMBER, Kind, is_row, takes
from ..data import check_images
from ..training import progress_bar

GAMMA = 0.1  # by which share the length of the change grows or shrinks after a step
FIRST = 0.5  # the first length, L2: a distortion of 0.0013 for 3 x 224 x 224 numbers
STEP = 0.6  # the first step, L2; it falls to a hundredth along a cosine
LEAST = Kind("a number from 0 on", NUMBER.fits, lambda value: value >= 0)
WAYS = Kind("functions of images", lambda value: is_row(value) and all(map(callable, value)))


@dataclasses.dataclass(frozen=True, eq=False)
class Aimed:
    """images: (N, C, H, W), the nearest that were found, the original where none was; success: (N,)
    bool; distortion: (N,) the root of the mean square change, NaN where there is no success."""

    images: torch.Tensor
    success: torch.Tensor
    distortion: torch.Tensor


def through(images: torch.Tensor, way: Callable) -> torch.Tensor:
    """way(images), with the gradient of the images themselves: files have none of their own."""
    return images + (way(images.detach()) - images).detach()


@takes(net=NETWORK, classes=CLASSES, steps=COUNT, ways=WAYS, margin=LEAST)
def aimed(
    net: nn.Module,
    images: torch.Tensor,
    classes: torch.Tensor,
    steps: int = 40,
    ways: Sequence[Callable] = (),
    margin: float = 0.0,
    progress: bool = False,
) -> Aimed:
    """Near each image one that ``net`` puts into its class of ``classes``, within the box [0, 1].

    net: images (N, C, H, W) in [0, 1] to logits (N, K), in eval mode; steps: gradients an image;
    ways: what is to be survived (:mod:`.survival`): a success is one as it is and after each of
    them, every step goes along the mean of all gradients, and costs as many gradients more;
    margin: by how many logits the class must lead each time.
    All images are moved at once. Raises TypeError or ValueError, with a sentence, for arguments
    that are none of that.
    """
    check_images(images, shape=None)
    if len(classes) != len(images):
        raise ValueError(f"There are {len(images)} images and {len(classes)} classes.")
    x, classes = images.detach(), classes.to(images.device)
    found = x.clone()
    nearest = torch.full((len(x),), math.inf, device=x.device)
    length = torch.full((len(x),), FIRST, device=x.device)
    change = torch.zeros_like(x)
    with progress_bar(steps, "gradients", progress) as bar:
        # one look more than steps, at where the last step leads
        for k in range(steps + 1):
            z = (x + change).clamp(0, 1).requires_grad_(k < steps)
            gradient, least = torch.zeros_like(x), torch.full_like(nearest, math.inf)
            for way in (None, *ways):
                with torch.set_grad_enabled(k < steps):
                    logits = net(z if way is None else through(z, way))
                least = torch.minimum(least, target_margin(logits.detach(), classes))
                if k < steps:
                    loss = F.cross_entropy(logits, classes, reduction="sum")
                    gradient += F.normalize(torch.autograd.grad(loss, z)[0].flatten(1)).view_as(x)
            z = z.detach()
            distance = (z - x).flatten(1).norm(dim=1)
            hit = least > margin
            better = hit & (distance < nearest)
            nearest[better], found[better] = distance[better], z[better]
            if k == steps:
                break
            size = STEP * (0.01 + 0.99 * (1 + math.cos(math.pi * k / steps)) / 2)
            step = size * F.normalize(gradient.flatten(1)).view_as(x)
            length = length * torch.where(hit, 1 - GAMMA, 1 + GAMMA)
            moved = F.normalize((z - x - step).flatten(1)).view_as(x)
            change = moved * length[:, None, None, None]
            bar.update(1)
    success = nearest.isfinite()
    root = math.sqrt(max(x[:1].numel(), 1))
    return Aimed(found, success, torch.where(success, nearest / root, math.nan))


@takes(generator=GENERATOR)
def equal_noise(change: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Gaussian noise, for each image as long as its ``change``: (N, *shape), not clipped.

    generator: a torch.Generator on the CPU. The noise of a change of 0 is 0.
    """
    noise = torch.randn(change.shape, generator=generator, dtype=change.dtype).to(change.device)
    lengths = change.flatten(1).norm(dim=1)
    return (F.normalize(noise.flatten(1)) * lengths[:, None]).view_as(change)
