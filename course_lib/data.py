"""MNIST out of the package's own files, checksummed; the halves P1 and P2; a validation part.

No download, ever: the four original files lie in the package. A folder with four files of the same
names (Fashion-MNIST, KMNIST, ...) can be put in their place:

    torchvision.datasets.FashionMNIST("downloads", download=True)      # needs a network, once
    load_mnist("test", folder="downloads/FashionMNIST/raw")
"""

import dataclasses
import functools
import gzip
import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np
import torch

from . import device as devices
from . import storage
from .checked import SEED, is_whole, shown, takes

FOLDER = storage.ASSETS / "mnist"
FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
SPLIT_SEED = 13126199
PARTS = {
    "train": "all 60 000 training images",
    "test": "the 10 000 test images, which decide nothing",
    "fit": "the 50 000 training images that are not for validation",
    "validation": "10 000 training images on which settings are chosen",
    "P1": "one half of the training images, drawn with a seed, 30 000",
    "P2": "the other half, 30 000",
    "P1/fit": "P1 without its validation images, 25 000",
    "P1/validation": "the validation images in P1, 5 000",
    "P2/fit": "P2 without its validation images, 25 000",
    "P2/validation": "the validation images in P2, 5 000",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Images and their labels, on one device.

    images: (N, 1, 28, 28) float32, pixels in [0, 1]; labels: (N,) int64, classes 0 to 9;
    name: what they are, for captions; index: (N,) int64 on the CPU, each image's row in the file.
    """

    images: torch.Tensor
    labels: torch.Tensor
    name: str
    index: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"Dataset({self.name}: {len(self)} images on {self.images.device})"

    def __getitem__(self, rows) -> "Dataset":
        """The images at ``rows`` (a slice, a mask or indices)."""
        if not isinstance(rows, slice):
            rows = torch.atleast_1d(torch.as_tensor(rows))  # a single image keeps its batch axis
        on_device = rows if isinstance(rows, slice) else rows.to(self.labels.device)
        on_cpu = rows if isinstance(rows, slice) else rows.cpu()
        return Dataset(
            self.images[on_device], self.labels[on_device], self.name, self.index[on_cpu]
        )

    def to(self, device) -> "Dataset":
        """The same images on another device."""
        return dataclasses.replace(
            self, images=self.images.to(device), labels=self.labels.to(device)
        )

    def sample(self, n: int, seed: int = 0) -> "Dataset":
        """``n`` images drawn without replacement, the same for the same seed on any device.

        Never take ``images[:n]`` instead: MNIST's test set is ordered (its first half was written
        by other people than its second, and has about twice the error).
        Raises ValueError if n is not between 1 and the number of images.
        """
        if not (is_whole(n) and 1 <= n <= len(self)):
            raise ValueError(f"A sample of {n} cannot be drawn from {len(self)} images.")
        rows = np.random.RandomState(seed).permutation(len(self))[:n]
        drawn = self[torch.from_numpy(rows.astype(np.int64))]
        return dataclasses.replace(drawn, name=f"{self.name}, {n} drawn with seed {seed}")


def _checksums() -> dict[str, str]:
    path = FOLDER / "SHA256SUMS"
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        return {name: total for total, name in (line.split() for line in lines if line)}
    except (OSError, ValueError) as error:
        raise _damaged(path, f"is missing or damaged ({error})") from None


def _damaged(path: Path, what: str) -> RuntimeError:
    remedy = (
        "restore it: `git checkout -- course_lib/_assets/mnist`, or install the course again"
        if path.parent == FOLDER
        else "get it again from where it came"
    )
    return RuntimeError(f"The data file {path} {what}; {remedy}.")


def _unpack(folder: Path, name: str) -> bytes:
    """The contents of the file ``name`` (packed as ``name.gz``, or not), checked if it is ours."""
    packed, plain = folder / f"{name}.gz", folder / name
    path = packed if packed.is_file() else plain
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no file {name}.gz in {folder}: it should hold the four MNIST files "
            f"({', '.join(f'{n}.gz' for pair in FILES.values() for n in pair)})."
        )
    raw = path.read_bytes()
    if folder == FOLDER:
        found, wanted = hashlib.sha256(raw).hexdigest(), _checksums()[path.name]
        if found != wanted:
            raise _damaged(
                path, f"is damaged (SHA-256 {found[:12]}... where {wanted[:12]}... belongs)"
            )
    if path == packed:
        try:
            raw = gzip.decompress(raw)
        except (EOFError, OSError, zlib.error) as error:
            raise _damaged(path, f"is damaged ({error})") from None
    return raw


def read_idx(raw: bytes, path: Path) -> np.ndarray:
    """The uint8 array in an IDX file: 2 zero bytes, 8 (= uint8), the number of axes, the sizes
    (big-endian 32-bit), the data. Raises RuntimeError, naming ``path``, if it is not one."""
    if len(raw) < 4 or raw[:3] != b"\x00\x00\x08" or len(raw) < 4 + 4 * raw[3]:
        raise _damaged(path, "is not an IDX file of bytes")
    shape = struct.unpack(f">{raw[3]}I", raw[4 : 4 + 4 * raw[3]])
    if len(raw) != 4 + 4 * raw[3] + int(np.prod(shape)):
        raise _damaged(path, f"is cut short or too long: it says that it holds {shape}")
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


@functools.lru_cache(maxsize=4)
def _read(folder: Path, which: str) -> tuple[np.ndarray, np.ndarray]:
    """The uint8 images (N, 28, 28) and labels (N,) of ``which``, kept in memory once read."""
    images_name, labels_name = FILES[which]
    images = read_idx(_unpack(folder, images_name), folder / images_name)
    labels = read_idx(_unpack(folder, labels_name), folder / labels_name)
    if images.ndim != 3 or images.shape[1:] != (28, 28):
        raise ValueError(
            f"{folder / images_name} holds arrays of shape {images.shape[1:]}: the course's "
            "networks need images of 28 x 28 pixels."
        )
    if labels.shape != images.shape[:1]:
        raise ValueError(f"{folder} holds {len(images)} {which} images, {labels.size} labels.")
    if labels.size and labels.max() > 9:
        raise ValueError(f"{folder / labels_name} has labels above 9: ten classes are expected.")
    return images, labels


@takes(seed=SEED)
def make_splits(labels: np.ndarray, seed: int = SPLIT_SEED) -> dict[str, np.ndarray]:
    """Halves and a validation part, stratified: every class is shared out evenly.

    labels: (N,) classes. Returns ``half`` (N,) uint8, 1 or 2, and ``validation`` (N,) bool, a sixth
    of each half. RandomState and not Generator, because its stream is frozen for all versions.
    """
    if not isinstance(labels, np.ndarray) or labels.ndim != 1:
        raise TypeError(f"Labels must be an array (N,) of whole numbers, not {shown(labels)}.")
    rng = np.random.RandomState(seed)
    half = np.zeros(len(labels), np.uint8)
    validation = np.zeros(len(labels), bool)
    # Dealing the images out like cards, class after class, balances each class to within one
    # image and the totals exactly.
    order = np.concatenate([rng.permutation(np.flatnonzero(labels == k)) for k in range(10)])
    half[order[0::2]], half[order[1::2]] = 1, 2
    for h in (1, 2):
        dealt = order[half[order] == h]
        validation[dealt[::6]] = True
    return {"half": half, "validation": validation}


@functools.lru_cache(maxsize=4)
def splits(folder: Path = FOLDER) -> dict[str, np.ndarray]:
    """``half`` and ``validation`` of the training images: stored for MNIST, made for other data."""
    if folder != FOLDER:
        return make_splits(_read(folder, "train")[1])
    path = FOLDER / "splits.npz"
    try:
        with np.load(path) as stored:
            return {key: stored[key] for key in ("half", "validation")}
    except Exception as error:  # zip, key and value errors all mean the same here
        raise _damaged(path, f"is missing or damaged ({error})") from None


def _rows(part: str, folder: Path) -> np.ndarray | None:
    """The rows of the training file that ``part`` consists of; None for all."""
    if part in FILES:
        return None
    split = splits(folder)
    keep = np.ones(len(split["half"]), bool)
    for word in part.split("/"):
        keep &= {
            "P1": split["half"] == 1,
            "P2": split["half"] == 2,
            "fit": ~split["validation"],
            "validation": split["validation"],
        }[word]
    return np.flatnonzero(keep)


def check_part(part: str) -> None:
    """Raise ValueError, listing the parts, unless ``part`` is one of MNIST's."""
    if not isinstance(part, str) or part not in PARTS:
        raise ValueError(f"MNIST has no part called {part!r}: use one of {', '.join(PARTS)}.")


def load_mnist(part: str = "train", device=None, folder: str | Path | None = None) -> Dataset:
    """MNIST's images and labels as tensors on ``device`` (default: :func:`device.pick`).

    part: "train" (60 000), "test" (10 000), "P1" or "P2" (the disjoint halves of section 4.2,
    30 000 each), "validation" (10 000) and "fit" (the other 50 000), or "P1/fit",
    "P1/validation", "P2/fit", "P2/validation".
    folder: another data set in MNIST's format (see the module's first lines).

    Returns a :class:`Dataset`: .images (N, 1, 28, 28) float32 in [0, 1], .labels (N,) int64.
    Raises ValueError for an unknown part or a file of another shape, FileNotFoundError for a
    missing file, RuntimeError for a damaged one; each names the file and says what to do.
    """
    check_part(part)
    target = devices.pick(device)
    if not isinstance(folder, str | Path | None):
        raise TypeError(f"The folder must be a path, not {folder!r}.")
    where = FOLDER if folder is None else Path(folder).expanduser().resolve()
    images, labels = _read(where, "test" if part == "test" else "train")
    rows = _rows(part, where)
    if rows is None:
        rows = np.arange(len(labels))
    else:
        images, labels = images[rows], labels[rows]
    # bytes travel to the device, and become floats there: a quarter of the traffic; the copy
    # keeps the cached array read-only and safe
    pixels = torch.from_numpy(np.array(images))[:, None].to(target).float().div_(255)
    name = f"{'MNIST' if where == FOLDER else where.parent.name or where.name} {part}"
    return Dataset(
        pixels, torch.from_numpy(labels.astype(np.int64)).to(target), name, torch.from_numpy(rows)
    )


def check_images(
    images: torch.Tensor, shape: tuple[int, ...] | None = (1, 28, 28), box: bool = True
) -> None:
    """Raise, with a sentence, unless ``images`` is a float tensor (N, *shape), pixels in [0, 1].

    shape: None for any (channels, height, width); box: False where pixels may have any values, as
    in images with noise. TypeError for another type, ValueError for another shape, for a NaN or for
    pixels outside the box. Networks themselves check nothing.
    """
    if not isinstance(images, torch.Tensor):
        raise TypeError(
            f"Images must be a torch tensor, not {type(images).__name__}: use "
            "torch.as_tensor(images, dtype=torch.float32)."
        )
    if not images.is_floating_point():
        raise TypeError(
            f"Images must have a floating-point type, not {images.dtype}: for bytes from 0 to "
            "255 use images.float() / 255."
        )
    if images.ndim != 4 or (shape is not None and tuple(images.shape[1:]) != tuple(shape)):
        wanted = "channels, height, width" if shape is None else ", ".join(map(str, shape))
        raise ValueError(
            f"Images must have the shape (N, {wanted}), not {tuple(images.shape)}: a single "
            "image needs a batch axis, images[None]."
        )
    if not box:
        return
    if images.numel() and not torch.isfinite(images).all():
        raise ValueError("Images must be finite: there is a NaN or an infinity among the pixels.")
    if images.numel() and (images.min() < 0 or images.max() > 1):
        raise ValueError(
            f"Pixels must lie in [0, 1]; these go from {float(images.min()):.4g} to "
            f"{float(images.max()):.4g}. Bytes are divided by 255; undo any normalisation."
        )


def fingerprint(part: str) -> str:
    """A short hash of exactly which images and labels ``part`` of MNIST consists of. Raises
    ValueError for an unknown part."""
    check_part(part)
    sums = _checksums()
    names = FILES["test" if part == "test" else "train"]
    digest = hashlib.sha256("".join(sums[f"{n}.gz"] for n in names).encode())
    rows = _rows(part, FOLDER)
    if rows is not None:
        digest.update(rows.astype("<i8").tobytes())
    return digest.hexdigest()[:16]
