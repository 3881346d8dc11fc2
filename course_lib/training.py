"""The paper's loss and weight decay; networks trained, reproducibly, on any device.

The loss of section 4.2 is the mean cross-entropy of the softmax plus, for each layer, a quadratic
decay of its weights. Two ways are here: :func:`train` takes steps of Adam on batches;
:func:`fit_softmax` brings the convex problem, softmax on given features, to its one optimum.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator

import numpy as np
import scipy.optimize
import torch
import torch.nn.functional as F
from torch import nn
from tqdm.auto import tqdm

from . import device as devices
from .checked import (
    CLASSES,
    COUNT,
    FLOATS,
    FUNCTION,
    GENERATOR,
    NETWORK,
    NUMBER,
    WHOLE,
    instance,
    takes,
)
from .data import Dataset, check_images

CONVENTIONS = ("paper", "half")


def weight_matrices(net: nn.Module) -> list[torch.Tensor]:
    """The weights that decay, layer by layer: those of linear layers and convolutions, no biases.

    Each is (units, ...): a layer's first axis counts its units (output channels). Frozen weights
    are left out: a decay could not move them.
    """
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    layers = [m for m in net.modules() if isinstance(m, kinds)]
    return [m.weight for m in layers if m.weight.requires_grad]


def weight_decay(
    net: nn.Module,
    strength: float,
    convention: str = "paper",
) -> torch.Tensor:
    """The weight decay of ``net`` as a term of the loss: a scalar tensor.

    strength: λ, not negative; convention: what is summed over the layers,
    "paper": λ · Σ w² / k, k the number of the layer's units (section 4.2);
    "half":  λ/2 · Σ w², the textbook's form.

    Biases do not decay. Raises ValueError for another convention or a
    negative strength.
    """
    if convention not in CONVENTIONS:
        kinds = " or ".join(CONVENTIONS)
        raise ValueError(f"The convention is {kinds}, not {convention!r}.")
    if strength < 0:
        raise ValueError(f"A decay of {strength} would make weights grow.")
    total = torch.zeros((), device=next(net.parameters()).device)
    for weight in weight_matrices(net):
        share = 1 / len(weight) if convention == "paper" else 1 / 2
        total = total + strength * share * weight.square().sum()
    return total


@dataclasses.dataclass
class History:
    """What a training run measured: one entry per epoch (or, for a convex fit, per iteration).

    loss: the mean loss, decay and penalty included; seconds: wall time of the whole run;
    gradient: the largest entry of the gradient at the end (convex fits only, else None).
    """

    loss: list[float] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    gradient: float | None = None


@takes(dataset=instance(Dataset), batch_size=COUNT, generator=GENERATOR)
def shuffled_batches(
    dataset: Dataset, batch_size: int, generator: torch.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """One epoch: (images, labels) of ``batch_size``, in a fresh order; a short last batch is left
    out (its images come in another epoch), so that every step averages over equally many."""
    order = torch.randperm(len(dataset), generator=generator).to(dataset.images.device)
    for rows in order.split(batch_size):
        if len(rows) == batch_size or len(dataset) < batch_size:
            yield dataset.images[rows], dataset.labels[rows]


def progress_bar(total: int, label: str, shown: bool):
    """A bar for a terminal or a notebook that leaves nothing behind when it is done."""
    hidden = {} if shown else {"disable": True}  # else TQDM_DISABLE has its say
    return tqdm(total=total, desc=label, leave=False, mininterval=0.2, **hidden)


def check(dataset: Dataset, **positive: float) -> None:
    """Raise ValueError unless there are images to train on and all settings are ``positive``."""
    if len(dataset) == 0:
        raise ValueError("There are no images to train on.")
    check_images(dataset.images, shape=None, box=False)
    for name, value in positive.items():
        if not value > 0:
            raise ValueError(f"The setting {name} must be positive, not {value}.")


def descend(
    weights: list[torch.Tensor],
    objective: Callable[..., torch.Tensor],
    epoch: Callable[[], Iterator[tuple[torch.Tensor, ...]]],
    steps_per_epoch: int,
    *,
    epochs: int,
    learning_rate: float,
    progress: bool,
) -> History:
    """Lower objective(*batch) by steps of Adam over the batches of ``epochs`` times epoch()."""
    where = weights[0].device
    optimizer = torch.optim.Adam(weights, lr=learning_rate, fused=where.type != "mps")
    steps = epochs * steps_per_epoch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        learning_rate,
        total_steps=steps,
        pct_start=0.2 if steps != 5 else 0.25,  # it divides by pct_start · steps - 1
        final_div_factor=40,
    )
    history, began = History(), time.perf_counter()
    with progress_bar(epochs, "training", progress) as bar:
        for _ in range(epochs):
            total, count = torch.zeros((), device=where), 0
            for batch in epoch():
                value = objective(*batch)
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
                if schedule.last_epoch < steps:  # another source may give more batches
                    schedule.step()
                total, count = total + value.detach(), count + 1
            history.loss.append(float(total) / count)
            if not np.isfinite(history.loss[-1]):
                raise FloatingPointError(
                    f"The loss is {history.loss[-1]} in epoch {len(history.loss)}: use a smaller "
                    "learning rate, or look for a NaN in the images or the penalty."
                )
            bar.update()
            bar.set_postfix(loss=f"{history.loss[-1]:.4f}")
    history.seconds = time.perf_counter() - began
    return history


@takes(
    net=NETWORK,
    dataset=instance(Dataset),
    epochs=WHOLE,
    batch_size=WHOLE,
    learning_rate=NUMBER,
    decay=NUMBER,
    seed=WHOLE,
    penalty=FUNCTION | None,
    batches=FUNCTION,
    loss=FUNCTION,
)
def train(
    net: nn.Module,
    dataset: Dataset,
    *,
    epochs: int,
    learning_rate: float = 1e-2,
    batch_size: int = 128,
    decay: float = 0.0,
    convention: str = "half",
    seed: int = 0,
    penalty: Callable[[nn.Module], torch.Tensor] | None = None,
    batches: Callable[..., Iterator[tuple[torch.Tensor, torch.Tensor]]] = shuffled_batches,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = F.cross_entropy,
    progress: bool = True,
) -> History:
    """Train ``net`` in place by Adam with a one-cycle learning rate; it ends in eval mode.

    Each step lowers  loss(net(images), labels) + weight decay + penalty(net).

    learning_rate: the largest one of the cycle. decay, convention: see :func:`weight_decay`.
    seed: of the order of the images (the first weights come with the net).
    penalty: a further term of the loss, of the net alone, say a bound on its layers' norms.
    batches: another source of batches, batches(dataset, batch_size, generator) for one epoch, say
    one that mixes adversarial examples in. loss: of (logits, labels), a mean over the batch.

    The images go to the net's device. Raises ValueError for settings that are not positive, a wrong
    decay or what are no images, and FloatingPointError when the loss becomes NaN or infinite.
    """
    check(dataset, epochs=epochs, learning_rate=learning_rate, batch_size=batch_size)
    weights = [p for p in net.parameters() if p.requires_grad]
    weight_decay(net, decay, convention)  # a wrong one is refused before any work
    dataset = dataset.to(weights[0].device)
    generator = devices.generator(seed)

    def objective(images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        value = loss(net(images), labels)
        if decay:  # reading a parametrised weight computes it anew: not for nothing
            value = value + weight_decay(net, decay, convention)
        return value if penalty is None else value + penalty(net)

    net.train()
    history = descend(
        weights,
        objective,
        lambda: batches(dataset, batch_size, generator),
        max(1, len(dataset) // batch_size),
        epochs=epochs,
        learning_rate=learning_rate,
        progress=progress,
    )
    net.eval()
    return history


def kl_sparsity(activations: torch.Tensor, target: float) -> torch.Tensor:
    """How far the units are from being active a share ``target`` of the time.

    activations: (N, units), in (0, 1); target: the wanted mean ρ, in (0, 1).
    Returns the sum over units of KL(Bernoulli(ρ) || Bernoulli(ρ̂)), which is
    ρ log(ρ/ρ̂) + (1-ρ) log((1-ρ)/(1-ρ̂)), where ρ̂ is the unit's mean over
    the batch: a scalar tensor, 0 if all units are on target.
    """
    mean = activations.mean(0).clamp(1e-6, 1 - 1e-6)
    rare = target * (target / mean).log()
    often = (1 - target) * ((1 - target) / (1 - mean)).log()
    return (rare + often).sum()


@takes(
    encoder=instance(nn.Linear),
    dataset=instance(Dataset),
    epochs=WHOLE,
    batch_size=WHOLE,
    learning_rate=NUMBER,
    decay=NUMBER,
    seed=WHOLE,
    target=NUMBER,
    strength=NUMBER,
    sparsity=FUNCTION,
)
def train_autoencoder(
    encoder: nn.Linear,
    dataset: Dataset,
    *,
    epochs: int,
    learning_rate: float = 1e-2,
    batch_size: int = 250,
    seed: int = 0,
    target: float = 0.05,
    strength: float = 3.0,
    decay: float = 5e-3,
    sparsity: Callable[[torch.Tensor, float], torch.Tensor] = kl_sparsity,
    progress: bool = True,
) -> History:
    """Train ``encoder``, in place and without labels, as the first half of a sparse autoencoder.

    The whole is x -> h = sigmoid(encoder(x)) -> sigmoid(V h + c), and a step lowers the
    cross-entropy between output and pixels (summed over pixels, averaged over images) plus
    ``strength`` · sparsity(h, ``target``) plus ``decay``/2 · Σ w² over both weight matrices.
    The decoder (V, c) is thrown away. sparsity: of (N, units) activations and the target.

    learning_rate, batch_size, seed: as in :func:`train`; the encoder's bias starts where the
    units are as active as they shall be. Raises as :func:`train` does, and ValueError for a
    target outside (0, 1).
    """
    check(dataset, epochs=epochs, learning_rate=learning_rate, batch_size=batch_size)
    if not 0 < target < 1:
        raise ValueError(f"Units are active a share of the time: {target} is not in (0, 1).")
    where, rng = encoder.weight.device, devices.generator(seed)
    dataset = dataset.to(where)
    decoder = nn.Linear(encoder.out_features, encoder.in_features)
    nn.init.xavier_normal_(decoder.weight, generator=rng)
    nn.init.constant_(encoder.bias, math.log(target / (1 - target)))
    with torch.no_grad():
        decoder.bias.copy_(torch.logit(dataset.images.flatten(1).mean(0), eps=1e-3))
    decoder.to(where)
    both = nn.Sequential(encoder, decoder)

    def objective(images: torch.Tensor, _labels: torch.Tensor) -> torch.Tensor:
        pixels = images.flatten(1)
        active = torch.sigmoid(encoder(pixels))
        output = decoder(active)
        error = F.binary_cross_entropy_with_logits(output, pixels, reduction="sum") / len(pixels)
        return error + strength * sparsity(active, target) + weight_decay(both, decay, "half")

    return descend(
        list(both.parameters()),
        objective,
        lambda: shuffled_batches(dataset, batch_size, rng),
        max(1, len(dataset) // batch_size),
        epochs=epochs,
        learning_rate=learning_rate,
        progress=progress,
    )


class _Converged(Exception):
    """Raised at the point where the gradient is small enough."""

    def __init__(self, point: np.ndarray):
        self.point = point


def _curvature_root(x: torch.Tensor, decay: torch.Tensor) -> torch.Tensor:
    """The lower Cholesky factor of (1/2) XᵀX/N + decay, Böhning's bound on the curvature, float64.

    x: (N, inputs) float32, decay: (inputs,). A feature that is always 0 has the decay alone.
    """
    gram = sum(part.double().T @ part.double() for part in x.split(10_000)) / (2 * len(x))
    return torch.linalg.cholesky(gram + torch.diag(decay + 1e-9))


@takes(
    layer=instance(nn.Linear),
    features=FLOATS,
    labels=CLASSES,
    decay=NUMBER,
    tolerance=NUMBER,
    iterations=COUNT,
)
def fit_softmax(
    layer: nn.Linear,
    features: torch.Tensor,
    labels: torch.Tensor,
    *,
    decay: float,
    convention: str = "half",
    tolerance: float = 1e-6,
    iterations: int = 5000,
    progress: bool = True,
) -> History:
    """Bring ``layer``, a softmax on fixed ``features`` (N, inputs), to the optimum of its loss.

    The loss, mean cross-entropy plus :func:`weight_decay`, is strictly convex in the weights when
    decay > 0: there is one optimum, and where one starts and in which order the images come does
    not matter. SciPy's L-BFGS-B goes there in float64, until the largest entry of the gradient is
    at most ``tolerance``. It works in coordinates in which the bound of Böhning (1992) on the
    curvature, (1/2) XᵀX/N + decay, is the identity, because pixels are strongly correlated.

    Raises ValueError for a decay that is not positive or a wrong convention, RuntimeError when
    ``iterations`` do not suffice; ``layer`` is then left as it was.
    """
    if not decay > 0:
        raise ValueError("Without a positive decay the softmax has no unique optimum.")
    weight_decay(layer, decay, convention)  # a wrong convention is refused before any work
    # float64 is not for MPS, and the features are multiplied over and over: the CPU will do
    where = "cpu" if layer.weight.device.type == "mps" else layer.weight.device
    y = labels.to(where)
    classes, n = layer.out_features, len(features)
    strength = decay / classes if convention == "paper" else decay / 2
    # the bias is the weight of a constant feature, and does not decay
    single = torch.cat([features.detach().to(where).float(), y.new_ones(n, 1)], dim=1)
    decayed = torch.ones(single.shape[1], dtype=torch.float64, device=where)
    decayed[-1] = 0.0
    root = _curvature_root(single, 2 * strength * decayed)
    history, began = History(), time.perf_counter()
    rows = torch.arange(n, device=where)

    def weights_of(flat: np.ndarray) -> torch.Tensor:
        scaled = torch.from_numpy(flat).to(where).reshape(classes, -1)
        return torch.linalg.solve_triangular(root, scaled, upper=False, left=False)

    def objective(flat: np.ndarray, x: torch.Tensor, goal: float) -> tuple[float, np.ndarray]:
        weights = weights_of(flat)
        scores = (x @ weights.to(x.dtype).T).double()
        value = F.cross_entropy(scores, y) + strength * (decayed * weights.square()).sum()
        error = scores.softmax(1)
        error[rows, y] -= 1
        gradient = (error.T.to(x.dtype) @ x).double() / n + 2 * strength * decayed * weights
        history.loss.append(float(value))
        history.gradient = float(gradient.abs().max())
        bar.update()
        bar.set_postfix(gradient=f"{history.gradient:.1e}")
        if history.gradient <= goal:
            raise _Converged(np.array(flat))
        scaled = torch.linalg.solve_triangular(root.T, gradient, upper=True, left=False)
        return float(value), scaled.cpu().numpy().ravel()

    flat = np.zeros(root.shape[0] * classes)
    options = {"maxiter": iterations, "maxfun": iterations, "ftol": 0, "gtol": 0, "maxcor": 20}
    with progress_bar(iterations, "convex fit", progress) as bar:
        # products in float32 bring it near for half the time; float64 has the last word
        for dtype, goal in ((torch.float32, 10 * tolerance), (torch.float64, tolerance)):
            x = single.to(dtype)
            try:
                flat = scipy.optimize.minimize(
                    objective, flat, (x, goal), jac=True, method="L-BFGS-B", options=options
                ).x
                converged = False
            except _Converged as end:
                flat, converged = end.point, True
    if not converged:
        raise RuntimeError(
            f"The softmax did not reach a gradient of {tolerance} (it is {history.gradient}): "
            "allow more iterations or a larger tolerance."
        )
    solution = weights_of(flat).to(layer.weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(solution[:, :-1])
        layer.bias.copy_(solution[:, -1])
    history.seconds = time.perf_counter() - began
    return history
