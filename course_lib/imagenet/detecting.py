"""Parts of photographs, and a single unit read as a detector (Figures 3, 4 and 6)."""

import torch
import torch.nn.functional as F
from torch import nn

from ..checked import COUNT, NETWORK, NUMBER, TENSOR, TEXT, VECTOR, WHOLE, takes
from ..data import check_images
from ..models import layer_names


@takes(size=COUNT, stride=COUNT, enlarged=COUNT | None)
def crops(
    images: torch.Tensor, size: int, stride: int, enlarged: int | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """All squares of ``size`` pixels, every ``stride`` pixels, and of which image each is.

    images: (N, C, H, W). Returns (M, C, s, s) and (M,). The squares of one image follow each other,
    row by row; enlarged: their size afterwards, bilinearly (by default they stay as they are).
    Raises ValueError where an image is smaller than a square.
    """
    check_images(images, shape=None)
    if min(images.shape[2:]) < size:
        shape = " x ".join(str(side) for side in images.shape[2:])
        raise ValueError(f"There is no square of {size} pixels in an image of {shape}.")
    windows = images.unfold(2, size, stride).unfold(3, size, stride)  # (N, C, rows, columns, s, s)
    each = windows.shape[2] * windows.shape[3]
    parts = windows.permute(0, 2, 3, 1, 4, 5).reshape(-1, images.shape[1], size, size)
    if enlarged is not None:
        how = {"mode": "bilinear", "align_corners": False, "antialias": True}
        parts = F.interpolate(parts, (enlarged, enlarged), **how).clamp(0, 1)
    of = torch.arange(len(images), device=images.device).repeat_interleave(each)
    return parts.contiguous(), of


@takes(values=VECTOR, wanted=TENSOR)
def best_threshold(values: torch.Tensor, wanted: torch.Tensor) -> tuple[float, float]:
    """The threshold above which ``values`` best mean ``wanted``, and the balanced accuracy there.

    values: (N,) of one unit; wanted: (N,) bool. Balanced accuracy: the mean of the share of the
    wanted that lie above and the share of the others that do not. Thresholds lie halfway between
    neighbouring values; of equals the lowest. Raises ValueError unless both kinds occur, with
    values that differ.
    """
    if wanted.dtype != torch.bool or wanted.shape != values.shape:
        raise ValueError("Give True or False for each value, in a tensor of the same shape.")
    if wanted.all() or not wanted.any():
        raise ValueError("A detector needs examples of what it detects, and of what it does not.")
    levels = values.double().unique()
    if len(levels) < 2:
        raise ValueError("All values are equal: no threshold tells them apart.")
    middle = (levels[1:] + levels[:-1]) / 2
    above = values.double() > middle[:, None]
    accuracy = (above[:, wanted].double().mean(1) + (~above[:, ~wanted]).double().mean(1)) / 2
    best = int(accuracy.argmax())
    return float(middle[best]), float(accuracy[best])


class Detector(nn.Module):
    """One unit of a layer as a network of two classes: 1 where it exceeds the threshold, else 0.

    Images (N, ...) in; logits (N, 2), minus and plus (value - threshold) / scale, out. net: in eval
    mode; layer, unit: as in :func:`models.activations`; scale: of the values, so that gradients
    have a size. Raises ValueError, listing the layers, for one that there is not.
    """

    @takes(net=NETWORK, layer=TEXT, unit=WHOLE, threshold=NUMBER, scale=NUMBER)
    def __init__(self, net, layer: str, unit: int, threshold: float, scale: float = 1.0):
        super().__init__()
        names = layer_names(net)
        if layer not in names:
            raise ValueError(
                f"The network has no layer called {layer!r}: use one of {', '.join(names)}."
            )
        self.net, self.layer, self.unit = net, layer, int(unit)
        self.threshold, self.scale = float(threshold), float(scale)
        self.eval()

    def forward(self, images):
        seen = []
        part = self.net.get_submodule(self.layer)
        hook = part.register_forward_hook(lambda module, given, out: seen.append(out.flatten(1)))
        try:
            self.net(images)
        finally:
            hook.remove()
        value = (seen[-1][:, self.unit] - self.threshold) / self.scale
        return torch.stack([-value, value], 1)
