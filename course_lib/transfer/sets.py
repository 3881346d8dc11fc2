"""Adversarial images of one network for a set of images, made once and kept.

The attack is the paper's (section 4.1), image by image to a target class; what comes out depends on
what the network computes, the images, their labels and targets, the attack's settings and its code,
and on nothing else: these make the key under which it lies in the course's folder.
"""

import dataclasses
import functools
import hashlib
import json
import warnings
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import nn

from .. import attacks, identity, storage, zoo
from ..attacks import Adversarial, Call, Status
from ..checked import VECTOR, takes
from ..data import Dataset
from ..sourcecode import code_digest

BLOCK = 10_000  # images that share a file: what an interruption by force can cost
FIELDS = [f.name for f in dataclasses.fields(Adversarial) if f.name not in ("originals", "call")]
JOINED = ("images", "success", "distortion", "overshoot", "targets", "predictions", "status")
TARGETS = ("random", "nearest")
PLAIN = bool | int | float | str | None


@dataclasses.dataclass(frozen=True, eq=False)
class AdversarialSet:
    """The adversarial images that :func:`adversarial_set` made for one network.

    dataset: the clean images, N of them; adversarial: (N, 1, 28, 28) in [0, 1], the clean image
    where the attack failed; success: (N,) bool, the network gives the target; distortion: (N,) rms
    of the change, 0 where the clean image has the target already, NaN at a failure; overshoot: (N,)
    the target's logit minus the largest other, 0 on the boundary itself; targets, predictions:
    (N,), the latter of the clean images; status: (N,) int64, each an attacks.Status. settings:
    loss, rule of the targets and whatever else was asked for.
    """

    dataset: Dataset
    adversarial: torch.Tensor
    success: torch.Tensor
    distortion: torch.Tensor
    overshoot: torch.Tensor
    targets: torch.Tensor
    predictions: torch.Tensor
    status: torch.Tensor
    settings: dict

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def right(self) -> torch.Tensor:
        """(N,) bool: whether the network has the clean image right."""
        return self.predictions == self.dataset.labels

    @property
    def changed(self) -> torch.Tensor:
        """(N,) bool: success by a change; without one there is no direction to amplify."""
        return self.success & (self.distortion > 0)

    def amplified(self, stddev: float, clip: bool = False) -> torch.Tensor:
        """(N, 1, 28, 28) the same changes made so large that their rms is ``stddev``.

        Images that are not :attr:`changed` come out as they went in: leave them out of a mean.
        clip: bring the pixels back to [0, 1], which makes the change smaller again. Raises
        ValueError unless stddev > 0. (:func:`attacks.amplify` says what the paper's formula is.)
        """
        check_stddev(stddev)
        images, rows = self.dataset.images.clone(), self.changed
        if rows.any():
            images[rows] = attacks.amplify(self.adversarial[rows], images[rows], stddev, clip)
        return images

    def equal_noise(self, seed: int = 0) -> torch.Tensor:
        """(N, 1, 28, 28) Gaussian noise in place of each change, exactly as large as it.

        Not clipped: clipping makes noise smaller, and the control would be too weak.
        """
        return scaled_noise(self.dataset.images, self.distortion.nan_to_num(0.0), seed)

    def __repr__(self) -> str:
        left = int((~self.success).sum())
        text = f"AdversarialSet({int(self.success.sum())} of {len(self)} images, "
        text += f"mean distortion {float(self.distortion[self.right & self.success].mean()):.4f}"
        return text + (f"; {left} failed and are left out)" if left else ")")


def check_stddev(stddev: float) -> None:
    """Raise ValueError unless ``stddev`` is a finite number above 0."""
    if not (isinstance(stddev, int | float) and 0 < stddev < float("inf")):
        raise ValueError(f"The stddev of a change is a number above 0, not {stddev!r}.")


@takes(size=VECTOR)
def scaled_noise(images: torch.Tensor, size: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """``images`` (N, ...) plus normal noise whose rms in image k is exactly ``size[k]``."""
    attacks.measures.check_pixels(images, box=False)
    if size.shape != images.shape[:1]:
        raise ValueError(f"There are {len(images)} images and {len(size)} sizes of a change.")
    noise = attacks.gaussian_noise(torch.zeros_like(images), 1.0, seed)
    rms = noise.flatten(1).square().mean(1).sqrt()
    return images + (size.to(noise) / rms).reshape(-1, *[1] * (images.dim() - 1)) * noise


def adversarial_set(
    net,
    dataset: Dataset,
    *,
    targets="random",
    loss: str = "cross-entropy",
    cache: bool = True,
    progress: bool = False,
    **settings,
) -> AdversarialSet:
    """The smallest changes of all images of ``dataset`` that lead ``net`` to other classes.

    net: a network, the name of one in the zoo, or (name, seed). targets: "random", the course's
    recorded ones (MNIST's own images only); "nearest", for each image the class that needs the
    smallest change; or (N,) classes. loss, settings: of :func:`attacks.minimal_adversarial`; the
    default is the paper's loss.

    cache: whether to look into the course's folder first and to keep what is made. Only networks
    that consist of torch's own layers, without hooks, are kept: what other code computes is not in
    the key, which knows a network by its weights, its settings and its answers to fixed images. A
    file that is damaged is said to be so and made again. Ctrl-C keeps what is done; the same call
    goes on from there.

    Raises ValueError for a data set without images, for recorded targets of other data, for an
    unknown rule, and as :func:`attacks.minimal_adversarial`, before any attack.
    """
    net = network(net)
    if not isinstance(dataset, Dataset):
        raise TypeError(
            f"The images must be a data set, with labels, not {type(dataset).__name__}: make one "
            "by course_lib.data.Dataset(images, labels, name, index)."
        )
    if not len(dataset):
        raise ValueError(f"The data set {dataset.name!r} has no images: there is nothing to do.")
    dataset = dataset.to(device_of(net, dataset.images))
    aims = targets_of(targets, dataset)
    settings = {"loss": loss, **settings}
    # a setting of another kind, as a function or a tensor, has no text that tells all of it
    keep = cache and all(isinstance(value, PLAIN) for value in settings.values())
    who = _identity(net, dataset) if keep else None
    parts = []
    for rows in torch.arange(len(dataset)).split(BLOCK):
        few = dataset[rows]
        aim = None if aims is None else aims[rows.to(aims.device)]
        path = None
        if who is not None:
            path = folder() / f"{key(who, few, aim, settings)}.safetensors"
        parts.append(_block(net, few, aim, settings, path, progress))
    joined = {
        name: torch.cat([getattr(part, name) for part in parts]).to(dataset.images.device)
        for name in JOINED
    }
    rule = targets if isinstance(targets, str) else "given"
    adversarial = joined.pop("images")
    return AdversarialSet(dataset, adversarial, settings=settings | {"targets": rule}, **joined)


def network(net) -> nn.Module:
    """``net`` itself, or the zoo's network of that name, or (name, seed)."""
    if isinstance(net, nn.Module):
        return net
    name, seed = (net, 0) if isinstance(net, str) else _pair(net)
    return zoo.load(name, seed)


def _pair(net) -> tuple:
    if not (isinstance(net, tuple | list) and len(net) == 2 and isinstance(net[0], str)):
        raise TypeError(
            "A network is a torch module, the name of one in the zoo, or (name, seed), not "
            f"{type(net).__name__}."
        )
    return tuple(net)


def device_of(net: nn.Module, images: torch.Tensor) -> torch.device:
    """Where ``net`` computes; where ``images`` lie if it has no weights."""
    return next((p.device for p in net.parameters()), images.device)


def targets_of(rule, dataset: Dataset) -> torch.Tensor | None:
    """(N,) the classes that a rule asks for, or None for the nearest of all."""
    if isinstance(rule, str):
        if rule not in TARGETS:
            raise ValueError(
                f"There is no rule of targets called {rule!r}: use one of {', '.join(TARGETS)}, or "
                "give a tensor with a class for each image."
            )
        return attacks.recorded_targets(dataset) if rule == "random" else None
    return attacks.measures.check_targets(rule, dataset.labels, 10**9)


# --- the files -------------------------------------------------------------------------------


def folder() -> Path:
    """Where the sets lie."""
    return storage.home() / "transfer"


def _identity(net: nn.Module, dataset: Dataset) -> str | None:
    """What ``net`` computes, as a hash; None where no hash tells, and nothing is kept."""
    if not identity.is_plain(net):
        return None
    try:
        return identity.digest(net, dataset.images.shape[1:])
    except TypeError:
        return None


def key(network: str, dataset: Dataset, targets, settings: dict) -> str:
    """What decides the adversarial images, as a short hash: any change of it is another file.
    network: :func:`course_lib.identity.digest`."""
    what = {
        "network": network,
        "images": zoo.weights_digest({"images": dataset.images, "labels": dataset.labels}),
        "targets": None if targets is None else targets.tolist(),
        "settings": sorted(settings.items()),
        "code": code_digest(Path(attacks.__file__)),
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:32]


def _block(net, few, targets, settings, path, progress) -> Adversarial:
    """The attack's result for some images, from the file ``path`` as far as it is there."""
    attack = functools.partial(
        attacks.minimal_adversarial, net, few.images, targets, few.labels, **settings
    )
    before = None if path is None else _read(path, few)
    if before is not None and (before.status != Status.INTERRUPTED).all():
        return before
    found = attack(resume=before, progress=progress)
    unfinished = int((found.status == Status.INTERRUPTED).sum())
    if path is not None:
        _write(path, found)
    if unfinished:
        what = "are kept: call again to go on" if path is not None else "are lost"
        raise KeyboardInterrupt(
            f"Stopped; {len(few) - unfinished} of {len(few)} adversarial images {what}."
        )
    return found


def _write(path: Path, found: Adversarial) -> None:
    tensors = {name: getattr(found, name).detach().cpu().contiguous() for name in FIELDS}
    card = {
        "call": dataclasses.asdict(
            found.call
        ),  # by which the attack knows an interrupted result of its own
        "weights": zoo.weights_digest(tensors),
        "torch": torch.__version__,
    }
    try:
        with storage.atomic(path) as part:
            safetensors.torch.save_file(tensors, part, metadata={"card": json.dumps(card)})
    except OSError as error:
        warnings.warn(
            f"The adversarial images could not be kept ({error}): name a folder that can be "
            "written to in the variable COURSE_HOME.",
            stacklevel=4,
        )


def _read(path: Path, few: Dataset) -> Adversarial | None:
    """The stored result, or None: silently if there is none, with a warning if it is damaged."""
    if not path.is_file():
        return None
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            card = json.loads((file.metadata() or {})["card"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        call = Call(**card["call"])
        if card["weights"] != zoo.weights_digest(tensors) or set(tensors) != set(FIELDS):
            raise ValueError("its contents do not match their checksum")
    except (safetensors.SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        warnings.warn(
            f"The file {path} is damaged ({error}); its adversarial images are made again.",
            stacklevel=4,
        )
        return None
    where = few.images.device
    stored = {name: value.to(where) for name, value in tensors.items()}
    return Adversarial(originals=few.images.to(stored["images"].dtype), call=call, **stored)
