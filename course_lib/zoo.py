"""The trained networks by name: loaded if there, trained (in about a minute) if not, never stale.

One network of each name, seed 0, comes with the package; further seeds are trained when they are
first asked for and kept under :func:`storage.home`. Each file carries its recipe, its scores and a
checksum of its weights. A file whose recipe or data are not today's, that belongs to another
network, or that is damaged is noticed with a warning, left alone, and trained anew.
"""

import dataclasses
import hashlib
import json
import re
import warnings
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import nn

from . import device as devices
from . import models, storage, training
from .checked import TEXT, WHOLE, takes
from .data import Dataset, fingerprint, load_mnist

SHIPPED = storage.ASSETS / "zoo"
# Part of every recipe: raised when the code of training changes what it computes, so that a
# network is stale when its training changed and not when a source file was moved or reworded.
TRAINING_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    ``benchmarks/settings.py`` chose it on validation images alone; FC10's decay is in its name.

    method: "convex" (:func:`training.fit_softmax`), "steps" (:func:`training.train`), or
    "autoencoder" (:func:`training.train_autoencoder`, frozen, and the convex fit on its codes);
    decay, convention: see :func:`training.weight_decay`; epochs, learning_rate, batch_size: of the
    steps (also the autoencoder's); tolerance: of the convex fit; target, strength, filter_decay:
    see :func:`training.train_autoencoder`, where the last is called decay.
    """

    method: str = "steps"
    decay: float = 0.0
    convention: str = "half"
    epochs: int = 30
    learning_rate: float = 1e-2
    batch_size: int = 128
    tolerance: float = 1e-6
    target: float = 0.05
    strength: float = 3.0
    filter_decay: float = 5e-3


RECIPES = {
    "FC10(1e-4)": Recipe("convex", decay=1e-4),
    "FC10(1e-2)": Recipe("convex", decay=1e-2),
    "FC10(1)": Recipe("convex", decay=1.0),
    "FC100-100-10": Recipe(decay=4e-5, epochs=60),
    "FC200-200-10": Recipe(decay=4e-5),
    "AE400-10": Recipe("autoencoder", decay=1e-5, epochs=14, batch_size=250),
    "FC100-100-10-ReLU": Recipe(decay=5e-5, epochs=20, learning_rate=3e-3),
    "CONV": Recipe(decay=1e-5, epochs=6, learning_rate=5e-3),
    "FC100-100-10@P1": Recipe(decay=4e-5, epochs=60),
    "FC123-456-10@P1": Recipe(decay=4e-5, epochs=60),
    "FC100-100-10@P2": Recipe(decay=4e-5, epochs=60),
}


def recipe(name: str) -> Recipe:
    """The recipe of the network called ``name``; ValueError, listing the names, for another."""
    models.network(name)
    return RECIPES[name]


def recipe_fingerprint(name: str, chosen: Recipe) -> str:
    """A short hash of all that decides what a network becomes, its seed apart."""
    network = models.network(name)
    what = {
        "version": TRAINING_VERSION,
        "name": name,
        "architecture": dataclasses.asdict(network.architecture),
        "recipe": dataclasses.asdict(chosen),
        "data": fingerprint(network.trained_on),
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]


def weights_digest(tensors: dict[str, torch.Tensor]) -> str:
    """The SHA-256 sum of names, types, shapes and values of ``tensors``, in hexadecimal."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        total.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        total.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())  # NumPy has no bfloat16
    return total.hexdigest()


def kept() -> Path:
    """The folder for the networks that are trained on demand."""
    return storage.home() / "zoo"


@takes(name=TEXT, seed=WHOLE)
def file_name(name: str, seed: int) -> str:
    """A file name that every file system takes: FC10(1e-4), seed 0 is FC10-1e-4.0.safetensors."""
    models.network(name)
    return f"{re.sub('[^A-Za-z0-9-]+', '-', name).strip('-')}.{seed}.safetensors"


def train(
    name: str,
    seed: int = 0,
    *,
    dataset: Dataset | None = None,
    chosen: Recipe | None = None,
    device=None,
    progress: bool = True,
) -> nn.Sequential:
    """Train the network called ``name`` from the first weights of ``seed``; nothing is stored.

    dataset: other images than the network's own (a part of them, to choose settings on the rest);
    chosen: another recipe. Returns the network in eval mode, on the device it was trained on.
    """
    net = models.build(name, seed).to(devices.pick(device))
    chosen = chosen or recipe(name)
    where = next(net.parameters()).device
    if dataset is None:
        dataset = load_mnist(models.network(name).trained_on, where)
    dataset = dataset.to(where)
    steps = {
        "epochs": chosen.epochs,
        "learning_rate": chosen.learning_rate,
        "batch_size": chosen.batch_size,
        "seed": models.initial_seed(name, seed),
        "progress": progress,
    }
    if chosen.method == "steps":
        training.train(net, dataset, decay=chosen.decay, convention=chosen.convention, **steps)
        return net
    if chosen.method == "autoencoder":
        training.train_autoencoder(
            net.fc1,
            dataset,
            target=chosen.target,
            strength=chosen.strength,
            decay=chosen.filter_decay,
            **steps,
        )
        net.fc1.requires_grad_(False)
    fit_last(net, dataset, chosen, progress=progress)
    return net.eval()


def fit_last(net: nn.Sequential, dataset: Dataset, chosen: Recipe, progress: bool = True) -> None:
    """Bring the last layer of ``net`` to its optimum on what the layers below make of the images;
    these stay as they are."""
    *_, below, last = dict(net.named_children())
    training.fit_softmax(
        net.get_submodule(last),
        models.activations(net, dataset.images, below),
        dataset.labels,
        decay=chosen.decay,
        convention=chosen.convention,
        tolerance=chosen.tolerance,
        progress=progress,
    )


def scores(name: str, net: nn.Module) -> dict[str, float]:
    """Error rates in [0, 1] on the training images and on the test set, and on P1 and P2 for the
    networks of Table 3."""
    trained_on = models.network(name).trained_on
    where = next(net.parameters()).device
    parts = {"train": trained_on, "test": "test"}
    if trained_on != "train":
        parts |= {"P1": "P1", "P2": "P2"}
    return {key: models.error_rate(net, load_mnist(part, where)) for key, part in parts.items()}


def save(net: nn.Module, path: Path, name: str, seed: int, chosen: Recipe | None = None) -> dict:
    """Write ``net`` to ``path``, whole or not at all, with what it is; return that description."""
    chosen = chosen or recipe(name)
    tensors = {key: value.detach().cpu().contiguous() for key, value in net.state_dict().items()}
    card = {
        "name": name,
        "seed": seed,
        "recipe": dataclasses.asdict(chosen),
        "fingerprint": recipe_fingerprint(name, chosen),
        "weights": weights_digest(tensors),
        "scores": scores(name, net),
        "torch": torch.__version__,
    }
    with storage.atomic(path) as part:
        safetensors.torch.save_file(tensors, part, metadata={"card": json.dumps(card)})
    return card


def read(path: Path, name: str, seed: int) -> tuple[dict[str, torch.Tensor], dict]:
    """The weights and the card in the file ``path``, if it is what ``name`` and ``seed`` ask for.

    Raises RuntimeError with a sentence if the file is damaged, foreign or stale.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            card = json.loads((file.metadata() or {})["card"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        same = card["weights"] == weights_digest(tensors)
        wanted = {"name": name, "seed": seed}
        found = {key: card[key] for key in wanted}
        current = card["fingerprint"] == recipe_fingerprint(name, recipe(name))
    except FileNotFoundError:
        raise RuntimeError(f"{path} is missing") from None
    except (safetensors.SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise RuntimeError(f"{path} is damaged ({error})") from None
    if not same:
        raise RuntimeError(f"{path} is damaged (its weights do not match their checksum)")
    if found != wanted:
        raise RuntimeError(f"{path} holds another network ({found['name']}, seed {found['seed']})")
    if not current:
        raise RuntimeError(f"{path} is stale (it was made with another recipe or other data)")
    return tensors, card


@takes(name=TEXT, seed=WHOLE)
def find(name: str, seed: int = 0) -> tuple[dict[str, torch.Tensor], dict] | None:
    """Weights and card of a stored network that is right, or None, with a warning for each file
    that is there and cannot be used."""
    for folder in (SHIPPED, kept()):
        path = folder / file_name(name, seed)
        if not path.is_file():
            continue
        try:
            return read(path, name, seed)
        except RuntimeError as error:
            warnings.warn(f"The file {error}; it is not used.", stacklevel=3)
    return None


@takes(name=TEXT, seed=WHOLE)
def replicate(name: str, seed: int) -> int:
    """The seed whose file stands for ``seed``: 0 for a convex network, which has one optimum.

    Raises ValueError for an unknown name, and for a seed below 0.
    """
    if seed < 0:
        raise ValueError(f"Seeds count from 0; {seed} is none.")
    return 0 if recipe(name).method == "convex" else seed


@takes(name=TEXT, seed=WHOLE)
def load(name: str, seed: int = 0, device=None, progress: bool = True) -> nn.Sequential:
    """The trained network called ``name``, in eval mode, on ``device`` (default: device.pick()).

    seed: which replicate; 0 comes with the course, others are trained at the first call (about a
    minute on two cores) and kept. A convex network (FC10) has one optimum, and so is the same for
    every seed. Images (N, 1, 28, 28) in, logits (N, 10) out.
    Raises ValueError, listing the names, for an unknown one, and for a seed below 0.
    """
    where = devices.pick(device)
    seed = replicate(name, seed)
    net = models.build(name, seed)
    stored = find(name, seed)
    if stored is None:
        trained = train(name, seed, device=where, progress=progress)
        try:
            save(trained, kept() / file_name(name, seed), name, seed)
        except OSError as error:
            warnings.warn(
                f"{name}, seed {seed}, was trained but could not be kept ({error}): name a folder "
                "that can be written to in the variable COURSE_HOME.",
                stacklevel=2,
            )
        return trained
    net.load_state_dict(stored[0])
    return net.to(where).eval()


@takes(name=TEXT, seed=WHOLE)
def card(name: str, seed: int = 0) -> dict:
    """What the stored network says of itself: recipe, scores, versions. Trains it if need be."""
    seed = replicate(name, seed)
    stored = find(name, seed)
    if stored is None:
        load(name, seed)
        stored = find(name, seed)
    return stored[1]


def status() -> list[tuple[str, str, bool]]:
    """(name, a sentence, whether it is well) for the networks that come with the course."""
    rows = []
    for name in models.NETWORKS:
        path = SHIPPED / file_name(name, 0)
        try:
            found = read(path, name, 0)[1]["scores"]
        except RuntimeError as error:
            rows.append((name, f"{error}; get the file again with the course", False))
        else:
            rows.append((name, f"test error {found['test']:.2%}", True))
    return rows
