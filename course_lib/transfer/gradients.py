"""Why do they transfer? Input gradients that point alike, and images that lie near a boundary.

An example made for network A moves the image along A's gradient. To first order it crosses B's
boundary if its size times the cosine of the two networks' gradients exceeds B's distance to the
boundary, margin / ||gradient||. So the cosine and the margin should tell who is fooled; here that
is tested on images that were not used to fit it.
"""

import dataclasses

import numpy as np
import scipy.optimize
import scipy.special
import scipy.stats
import torch
from torch import nn

from .. import attacks
from ..checked import COUNT, FLOATS, NETWORK, SEED, instance, shown, takes
from ..data import Dataset
from .sets import AdversarialSet, device_of

CHUNK = 1000
FEWEST = 10  # fooled images, and others, that each half must have
FEATURES = {
    "margin": ("distance", "towards"),
    "cosine": ("cosine",),
    "margin and cosine": ("distance", "towards", "cosine"),
    "margin, cosine and size": ("distance", "towards", "cosine", "size"),
    "first order": ("reach",),
}


@takes(net=NETWORK)
def input_gradients(net: nn.Module, images: torch.Tensor, labels, targets=None) -> torch.Tensor:
    """(N, pixels) the gradient, with respect to each image, of how much it is mistaken.

    With ``labels`` (N,) alone, of log Σ_{j≠y} exp z_j - z_y, y the label: parallel to the gradient
    of the cross-entropy loss, of which it is the log-odds, but exact where the network is so sure
    that the loss is 0 in float32. With ``targets`` (N,), of z_t - z_y, the way to the target.
    """
    attacks.measures.check_pixels(images, box=False)
    where = device_of(net, images)
    labels = attacks.measures.check_labels(labels, len(images), 10**9).to(where)
    if targets is not None:
        targets = attacks.measures.check_targets(targets, labels, 10**9)
    found = []
    for rows in torch.arange(len(images)).split(CHUNK):
        x = images[rows].detach().to(where).requires_grad_()
        with torch.enable_grad():
            z = net(x)
            y = labels[rows, None]
            if targets is None:
                against = z.scatter(1, y, -torch.inf).logsumexp(1)
            else:
                against = z.gather(1, targets[rows, None])[:, 0]
            (gradient,) = torch.autograd.grad((against - z.gather(1, y)[:, 0]).sum(), x)
        found.append(gradient.flatten(1).detach())
    return torch.cat(found)


@takes(a=FLOATS, b=FLOATS)
def cosines(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """(N,) the cosine of row k of ``a`` and row k of ``b`` (N, pixels), signed; NaN where one is 0.

    Two random directions in d dimensions have mean 0 and the root mean square 1/sqrt(d): 1/28 for
    MNIST. The sign matters: opposed gradients would undo each other's examples.
    """
    if a.shape != b.shape:
        raise ValueError(f"Gradients of two shapes: {tuple(a.shape)} and {tuple(b.shape)}.")
    a, b = a.double(), b.double()
    return (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))


@takes(net_a=NETWORK, net_b=NETWORK)
def gradient_cosines(net_a, net_b, images, labels, targets=None) -> torch.Tensor:
    """(N,) :func:`cosines` of the :func:`input_gradients` of two networks, image by image.

    Raises ValueError for networks that do not take the images, labels of another length or no
    classes, and targets that are their own labels.
    """
    given = [input_gradients(net, images, labels, targets).cpu() for net in (net_a, net_b)]
    return cosines(*given)


def distance(net: nn.Module, images: torch.Tensor, labels, targets=None) -> torch.Tensor:
    """(N,) about how far each image is from the network's boundary, as an rms change of a pixel.

    margin / ||its gradient|| / sqrt(pixels), the margin being the label's logit minus that of the
    class in ``targets``, by default the largest other: exact for that class's plane of a linear
    network without the box, first order else; below 0 for a mistake.
    """
    where = device_of(net, images)
    labels = torch.as_tensor(labels).to(where)
    if targets is None:
        with torch.no_grad():
            z = torch.cat([net(part.to(where)) for part in images.split(CHUNK)])
        targets = z.scatter(1, labels[:, None], -torch.inf).argmax(1)
    targets = torch.as_tensor(targets).to(where)
    size = input_gradients(net, images, labels, targets).norm(dim=1)
    with torch.no_grad():
        z = torch.cat([net(part.to(where)) for part in images.split(CHUNK)])
    margin = (z.gather(1, labels[:, None]) - z.gather(1, targets[:, None]))[:, 0]
    return (margin / size).cpu() / images[0].numel() ** 0.5


@dataclasses.dataclass(frozen=True)
class Prediction:
    """How well the features tell, on images not used to fit, whom the examples fool.

    auc: by name of the features, {"value", "low", "high"}: the share of pairs of a fooled and a
    spared image that are in the right order, 0.5 for guessing; skill: {"value", "low", "high"}, the
    share of the plain base rate's log-loss that is saved, 0 for guessing and below 0 for worse;
    fooled: the share of fooled images; fitted, judged: how many images.
    """

    auc: dict[str, dict[str, float]]
    skill: dict[str, dict[str, float]]
    fooled: float
    fitted: int
    judged: int


@takes(source=NETWORK, target=NETWORK, examples=instance(AdversarialSet), seed=SEED, draws=COUNT)
def who_is_fooled(
    source: nn.Module,
    target: nn.Module,
    examples: AdversarialSet,
    *,
    rows=None,
    seed: int = 0,
    draws: int = 500,
) -> Prediction | None:
    """Predict which of the examples made for ``source`` fool ``target``, from the clean images.

    Features, each a set in :data:`FEATURES`: "margin", the target network's :func:`distance` to its
    nearest boundary and towards the example's class; "cosine", of the two networks' gradients on
    the way to that class; the size of the change. For comparison "first order", which looks at the
    change itself: the share of the target network's way to that class that it goes, if that
    network were linear. A logistic regression is fitted on one half of the images, drawn with
    ``seed``, and judged on the other; the interval is over ``draws`` bootstrap draws of the judged
    images. rows: (N,) bool, which images count; default, those that both networks have right and
    whose attack succeeded.

    Returns None where fewer than 10 images of either half are fooled, or spared.
    """
    data, labels = examples.dataset, examples.dataset.labels
    with torch.no_grad():
        where = device_of(target, data.images)
        clean, after = (
            torch.cat([target(part.to(where)).argmax(1) for part in x.split(CHUNK)]).to(labels)
            for x in (data.images, examples.adversarial)
        )
    if rows is None:
        rows = examples.changed & examples.right & (clean == labels)
    if not isinstance(rows, torch.Tensor) or rows.dtype != torch.bool or rows.shape != labels.shape:
        raise TypeError(f"The rows must be a tensor ({len(labels)},) of bools, not {shown(rows)}.")
    rows = rows.cpu()
    few: Dataset = data[rows]
    targets = examples.targets[rows.to(examples.targets.device)]
    change = (examples.adversarial.cpu()[rows] - few.images.cpu()).flatten(1)
    towards = distance(target, few.images, few.labels, targets)
    slope = input_gradients(target, few.images, few.labels, targets).cpu()
    size = examples.distortion.cpu()[rows]
    table = {
        "distance": distance(target, few.images, few.labels),
        "towards": towards,
        "cosine": gradient_cosines(source, target, few.images, few.labels, targets),
        "size": size,
        "reach": (size * cosines(change, slope) / towards).clamp(-10, 10),
    }
    fooled = (after != labels).cpu()[rows].numpy()
    return judge({k: v.double().numpy() for k, v in table.items()}, fooled, seed, draws)


def judge(
    table: dict[str, np.ndarray], fooled: np.ndarray, seed: int = 0, draws: int = 500
) -> Prediction | None:
    """Fit each set of :data:`FEATURES` on half of the rows, judge it on the others.

    table: the features by name, (N,) each; fooled: (N,) bool. As :func:`who_is_fooled`.
    """
    rng = np.random.RandomState(seed)
    order = rng.permutation(len(fooled))
    fit, judged = order[: len(order) // 2], order[len(order) // 2 :]
    if min((fooled[h] == kind).sum() for h in (fit, judged) for kind in (True, False)) < FEWEST:
        return None
    again = rng.randint(0, len(judged), (draws, len(judged)))
    base = fooled[fit].mean()
    auc, skill = {}, {}
    for name, columns in FEATURES.items():
        x = np.stack([table[column] for column in columns], 1)
        middle, spread = x[fit].mean(0), x[fit].std(0)
        x = (x - middle) / np.where(spread > 0, spread, 1)
        weights = fit_logistic(x[fit], fooled[fit])
        score = scipy.special.expit(x[judged] @ weights[1:] + weights[0])
        truth = fooled[judged]
        auc[name] = _with_interval(area, score, truth, again)
        skill[name] = _with_interval(
            lambda s, t: 1 - log_loss(s, t) / log_loss(np.full(len(t), base), t),
            score,
            truth,
            again,
        )
    return Prediction(auc, skill, float(fooled.mean()), len(fit), len(judged))


def _with_interval(measure, score, truth, draws) -> dict[str, float]:
    found = [measure(score[d], truth[d]) for d in draws if 0 < truth[d].sum() < len(d)]
    low, high = np.quantile(found, (0.025, 0.975)) if found else (np.nan, np.nan)
    return {"value": float(measure(score, truth)), "low": float(low), "high": float(high)}


def fit_logistic(x: np.ndarray, y: np.ndarray, ridge: float = 1e-3) -> np.ndarray:
    """(1 + k,) intercept and weights of a logistic regression on (N, k) features: the minimum of
    the mean log-loss + ridge/2 · Σ w², the intercept free."""
    x = np.concatenate([np.ones((len(x), 1)), x], 1)
    free = np.concatenate([[0.0], np.ones(x.shape[1] - 1)])

    def loss(w):
        z = x @ w
        gradient = x.T @ (scipy.special.expit(z) - y) / len(y) + ridge * free * w
        value = np.mean(np.logaddexp(0, z) - y * z)
        return value + ridge / 2 * (free * w * w).sum(), gradient

    return scipy.optimize.minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x


def area(score: np.ndarray, truth: np.ndarray) -> float:
    """The area under the ROC curve: how often a true one scores above a false one, ties half."""
    ranks = scipy.stats.rankdata(score)
    ones = int(truth.sum())
    return float((ranks[truth].sum() - ones * (ones + 1) / 2) / (ones * (len(truth) - ones)))


def log_loss(share: np.ndarray, truth: np.ndarray) -> float:
    """The mean of -log of the probability that was given to what happened."""
    share = np.clip(share, 1e-12, 1 - 1e-12)
    return float(-np.mean(np.where(truth, np.log(share), np.log1p(-share))))
