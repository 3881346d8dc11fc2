"""How large a change is, changes of a given size, and which class an image is to become.

Images are (N, *shape), any shape, float, pixels in [0, 1]. The paper's *distortion* of an image is
the root mean square of its change, sqrt(Σ (x'_i - x_i)² / n) (section 4.2); times sqrt(n), 28 for
MNIST, it is the L2 norm.
"""

import functools
import hashlib
import io

import numpy as np
import torch

from .. import data
from ..checked import SEED, instance, is_number, is_whole, takes

TARGETS = data.FOLDER / "targets.npz"
ALMOST = 1e-3  # beyond the box: no normalisation is off by so little
TARGET_SEEDS = {"train": 13126199, "test": 13126200}  # RandomState: a stream frozen for all time


def check_pixels(images: torch.Tensor, box: bool = True, what: str = "Images") -> None:
    """Raise, with a sentence, unless ``images`` is a float tensor (N, *shape) of finite pixels.

    box: whether the pixels must also lie in [0, 1]; what: the first word of the sentence.
    TypeError for another type, ValueError for the rest.
    """
    if not isinstance(images, torch.Tensor):
        raise TypeError(f"{what} must be a torch tensor, not {type(images).__name__}.")
    if images.layout != torch.strided or images.is_nested or images.is_meta:
        raise TypeError(
            f"{what} must be a plain tensor with values, not a sparse, nested or meta one: use "
            "images.to_dense(), or torch.stack, or load them."
        )
    if not images.is_floating_point():
        raise TypeError(
            f"{what} must have a floating-point type, not {images.dtype}: for bytes from 0 to 255 "
            "use images.float() / 255."
        )
    if images.ndim < 2:
        raise ValueError(
            f"{what} must have the shape (N, ...), not {tuple(images.shape)}: a single image needs "
            "a batch axis, images[None]."
        )
    if not images.numel():
        return
    if not torch.isfinite(images).all():
        raise ValueError(f"{what} must be finite: there is a NaN or an infinity among the pixels.")
    if box and (images.min() < 0 or images.max() > 1):
        low, high = float(images.min()), float(images.max())
        if low > -ALMOST and high < 1 + ALMOST:  # to four digits it would read "from 0 to 1"
            raise ValueError(
                f"{what} must have pixels in [0, 1]; these go from {low:.9g} to {high:.9g}, which "
                "is rounding: use images.clamp(0, 1)."
            )
        raise ValueError(
            f"{what} must have pixels in [0, 1]; these go from {low:.4g} to {high:.4g}. Bytes are "
            "divided by 255; undo any normalisation."
        )


def check_labels(labels, n: int, classes: int, what: str = "labels") -> torch.Tensor:
    """``labels`` as a tensor (N,) int64; the error calls them ``what``.

    Raises TypeError unless they are whole numbers, ValueError unless there are ``n`` of them, each
    from 0 to classes - 1.
    """
    labels = _as_tensor(labels, what)
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise TypeError(
            f"The {what} must be whole numbers, one class for each image, not {labels.dtype}."
        )
    if labels.shape != (n,):
        raise ValueError(
            f"The {what} have the shape {tuple(labels.shape)}, but there are {n} images: give one "
            f"class for each, shape ({n},)."
        )
    labels = labels.long()  # the unsigned types of more than a byte have no minimum
    if n and not (labels.min() >= 0 and labels.max() < classes):
        raise ValueError(
            f"The {what} must be classes from 0 to {classes - 1}; these go from "
            f"{int(labels.min())} to {int(labels.max())}."
        )
    return labels


def _as_tensor(labels, what: str) -> torch.Tensor:
    try:
        return torch.as_tensor(labels)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise TypeError(
            f"The {what} must be whole numbers, one class for each image: no tensor can be made of "
            f"them ({error})."
        ) from error


def check_targets(targets, labels: torch.Tensor, classes: int) -> torch.Tensor:
    """``targets`` as a tensor (N,) int64 beside ``labels`` (N,), on the labels' device.

    Raises as :func:`check_labels`, and ValueError, saying which, if a target is the image's label.
    """
    targets = check_labels(targets, len(labels), classes, "targets").to(labels.device)
    same = (targets == labels).nonzero().flatten().tolist()
    if same:
        raise ValueError(
            f"The target of {_images(same)} is its own label: a mistake has to be another class."
        )
    return targets


def _images(rows: list[int]) -> str:
    """Rows in words: "image 3", or "images 0, 4, 7, 8, 9 and 12 more"."""
    listed = ", ".join(map(str, rows[:5]))
    more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
    return f"image{'s' if len(rows) > 1 else ''} {listed}{more}"


# --- sizes -----------------------------------------------------------------------------------


def distortion(adversarial, images):
    """The distortion of each image: the rms of its change, section 4.2.

    adversarial, images: (N, *shape) tensors of the same shape. Returns (N,),
    sqrt(mean((x' - x)²)) over the pixels of each image, in units of a pixel.
    The paper's figure for a set of images is the mean of these. Raises
    ValueError for two shapes.
    """
    for x in (adversarial, images):
        if not (torch.is_tensor(x) and x.is_floating_point()):
            raise TypeError("Images are float tensors, as torch makes them.")
    if adversarial.shape != images.shape:
        shapes = f"{tuple(adversarial.shape)} and {tuple(images.shape)}"
        raise ValueError(f"These images have two shapes, {shapes}.")
    change = (adversarial - images).flatten(1)
    return change.square().mean(dim=1).sqrt()


@takes(seed=SEED)
def gaussian_noise(
    images: torch.Tensor, stddev: float, seed: int = 0, clip: bool = False
) -> torch.Tensor:
    """``images`` plus normal noise of standard deviation ``stddev``, in every pixel on its own.

    images: (N, *shape), finite. clip: whether to bring the pixels back to [0, 1]; the paper
    evidently did not, and on MNIST it makes a stddev of 0.1 one of 0.07 (measure the distortion
    again). seed: a whole number; the same seed gives the same noise on every device and in every
    version, and image k gets the same noise whether or not others come after it.
    Raises as :func:`check_pixels`, and ValueError for a negative stddev.
    """
    check_pixels(images, box=False)
    _check_stddev(stddev)
    normal = np.random.RandomState(seed).standard_normal(tuple(images.shape))
    noise = torch.from_numpy(normal).to(images.dtype).to(images.device)
    noisy = images + stddev * noise
    return noisy.clamp(0, 1) if clip else noisy


def amplify(
    adversarial: torch.Tensor, images: torch.Tensor, stddev: float, clip: bool = False
) -> torch.Tensor:
    """The images changed in the direction of ``adversarial``, by a distortion of ``stddev``.

    x + stddev · r / rms(r), r = x' - x: what the text and Table 4 mean by "amplified to stddev
    0.1". (The formula printed there, x + 0.1 · r / ||r||_2, would make the change sqrt(n) times
    smaller, 28 times on MNIST: its L2 norm would be 0.1, less than the examples' own.)

    adversarial, images: (N, *shape). clip: whether to bring the pixels back to [0, 1]; clipping
    makes the change smaller, so report :func:`distortion` of what comes out.
    Raises as :func:`check_pixels`, and ValueError for a negative stddev, for two shapes, and for
    images that are not changed at all, saying which.
    """
    check_pixels(images, box=False)
    check_pixels(adversarial, box=False, what="Adversarial images")
    _check_stddev(stddev)
    size = distortion(adversarial, images)
    unchanged = (size == 0).nonzero().flatten().tolist()
    if unchanged:
        raise ValueError(
            f"The change of {_images(unchanged)} is 0, which has no direction to amplify: leave "
            "such images out."
        )
    factor = (stddev / size).reshape(-1, *[1] * (images.ndim - 1))
    amplified = images + factor * (adversarial - images)
    return amplified.clamp(0, 1) if clip else amplified


def _check_stddev(stddev: float) -> None:
    if not (is_number(stddev) and 0 <= stddev < float("inf")):
        raise ValueError(f"A standard deviation is a number from 0 on, not {stddev!r}.")


# --- targets ---------------------------------------------------------------------------------


def _check_classes(labels, classes: int) -> torch.Tensor:
    if not is_whole(classes):
        raise TypeError(f"The number of classes must be a whole number, not {classes!r}.")
    if classes < 2:
        raise ValueError(f"With {classes} classes there is no other class to become.")
    labels = _as_tensor(labels, "labels")
    return check_labels(labels, labels.numel(), classes)


def next_targets(labels: torch.Tensor, classes: int = 10) -> torch.Tensor:
    """The class after each label, 0 after the last: (N,) int64. Raises as check_labels."""
    return (_check_classes(labels, classes) + 1) % classes


@takes(seed=SEED)
def random_targets(labels: torch.Tensor, seed: int = 0, classes: int = 10) -> torch.Tensor:
    """A class for each label (N,), uniform over the ``classes`` - 1 others: (N,) int64.

    The same for the same seed on every device and in every version. Raises as check_labels.
    """
    labels = _check_classes(labels, classes)
    offset = np.random.RandomState(seed).randint(1, classes, len(labels))
    return (labels + torch.from_numpy(offset.astype(np.int64)).to(labels.device)) % classes


def all_targets(labels: torch.Tensor, classes: int = 10) -> torch.Tensor:
    """Every other class of each label (N,), in order: (N, classes - 1) int64."""
    labels = _check_classes(labels, classes)
    others = torch.arange(classes - 1, device=labels.device).expand(len(labels), -1)
    return others + (others >= labels[:, None]).long()


def make_recorded(labels: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The rule behind the stored targets: part ("train", "test") -> (N,) uint8."""
    return {
        part: random_targets(torch.from_numpy(of_part.astype(np.int64)), TARGET_SEEDS[part])
        .numpy()
        .astype(np.uint8)
        for part, of_part in labels.items()
    }


@functools.lru_cache(maxsize=1)
def _recorded() -> dict[str, np.ndarray]:
    try:
        raw = TARGETS.read_bytes()
    except OSError as error:
        raise data._damaged(TARGETS, f"is missing ({error})") from None
    if hashlib.sha256(raw).hexdigest() != data._checksums().get(TARGETS.name):
        raise data._damaged(TARGETS, "is damaged (its SHA-256 sum is not the recorded one)")
    with np.load(io.BytesIO(raw)) as stored:
        return {part: stored[part].astype(np.int64) for part in TARGET_SEEDS}


@takes(dataset=instance(data.Dataset))
def recorded_targets(dataset: data.Dataset) -> torch.Tensor:
    """The course's fixed random targets for images of MNIST: (N,) int64, on the images' device.

    Drawn once, uniform over the nine other classes, one for each training and each test image, and
    stored with the package: an image has the same target in every sample of every part.
    Raises ValueError for images of another data set (:func:`random_targets` is the same rule), and
    RuntimeError if the stored file is missing or damaged.
    """
    source, _, part = dataset.name.split(",")[0].partition(" ")
    if source != "MNIST" or part not in data.PARTS:
        raise ValueError(
            f"There are recorded targets for MNIST's own images, not for {dataset.name!r}: use "
            "random_targets(dataset.labels, seed)."
        )
    stored = _recorded()["test" if part == "test" else "train"]
    targets = torch.from_numpy(stored[dataset.index.numpy()]).to(dataset.labels.device)
    if (targets == dataset.labels).any():
        raise ValueError(
            f"The labels of {dataset.name!r} are not MNIST's, so the recorded targets do not "
            "belong to them: use random_targets(dataset.labels, seed)."
        )
    return targets
