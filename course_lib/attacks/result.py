"""What the attack returns: the result, how it begins, goes on from an interruption, is written."""

import dataclasses

import torch

from . import conditions, losses
from .measures import distortion
from .problem import MEASURED, BestPoints, Problem
from .status import Status

# A lead that takes more than this share of the distance shows, and is told.
COARSE = 1e-3
OUTWARD = (1.0002, 1.001, 1.005, 1.02)  # along the ray, where rounding has taken a success


@dataclasses.dataclass(frozen=True)
class Call:
    """What :func:`.minimal_adversarial` was asked for, beside the network and tensors; by it an
    interrupted result is known again.

    loss: its name, or a function as Python prints it; norm, eight_bit, steps: as there; settings:
    of the penalty method, by name; nearest: whether there were no targets; margin, budget: as
    there.
    """

    loss: str
    norm: str
    eight_bit: bool
    steps: int
    settings: dict[str, object]
    nearest: bool
    margin: float | None = None
    budget: int | None = None


@dataclasses.dataclass(eq=False)
class Adversarial:
    """What :func:`.minimal_adversarial` found: one row per image, on the images' device.

    images: (N, *shape), in [0, 1], in the network's precision; the clean image where there is no
    success. success: (N,) bool, the network gives the target, and judged as returned, by at least
    half the margin asked for (the other half is what another batch size may take).
    distortion: (N,) rms of the change (L2 norm / sqrt(pixels)), NaN without success.
    overshoot: (N,) the target's logit minus the largest other, as returned; a point of the boundary
    itself has 0, and a failure the clean image's negative margin (NaN with targets=None). c: (N,)
    the weight in c·|r|² + loss, or in c·|r| + loss with the norm "l2" (for the loss "margin" from
    its multipliers); NaN without success. evaluations: (N,) gradients taken, over all targets.
    status: (N,) int64, each a :class:`.Status`. stationarity, complementarity, multiplier: (N,) by
    how much the first-order conditions of a nearest point are missed by the image as returned, and
    the sum of the multipliers, each of which is >= 0 (:mod:`.conditions` says what they are, and
    within what they count as met: "settled" is said where they are, with the loss "margin"); NaN
    without success, and where nothing was changed. targets: (N,), -1 where targets=None found none;
    labels, predictions: (N,); predictions are those of the clean images.
    originals: (N, *shape) the clean images. margin: (N,) the lead that was asked for. call: what
    else was. For a network in half precision the numbers are float32, the images half.
    """

    images: torch.Tensor
    success: torch.Tensor
    distortion: torch.Tensor
    overshoot: torch.Tensor
    c: torch.Tensor
    evaluations: torch.Tensor
    status: torch.Tensor
    targets: torch.Tensor
    labels: torch.Tensor
    predictions: torch.Tensor
    originals: torch.Tensor
    margin: torch.Tensor
    stationarity: torch.Tensor
    complementarity: torch.Tensor
    multiplier: torch.Tensor
    call: Call

    def __len__(self) -> int:
        return len(self.images)

    @property
    def clean(self) -> torch.Tensor:
        """(N,) bool: whether the network was right on the clean image. The others are mistakes
        already, and are kept apart in every mean."""
        return self.predictions == self.labels

    @property
    def l2(self) -> torch.Tensor:
        """(N,) the L2 norm of the change."""
        return self.distortion * self.images[0].numel() ** 0.5

    def reasons(self) -> list[str]:
        """Why each image's search ended, in words."""
        return Status.messages(self.status)

    def mean_distortion(self) -> float:
        """The mean over the images that the network had right and that succeeded (section 4.2);
        NaN if there are none."""
        return float(self.distortion[self.clean & self.success].double().mean())

    def __repr__(self) -> str:
        right = self.clean
        won = int((self.success & right).sum())
        text = (
            f"Adversarial({won} of {int(right.sum())} images that were right changed class, "
            f"mean distortion {self.mean_distortion():.4f}"
        )
        wrong = int((~right).sum())
        unfinished = int((self.status == Status.INTERRUPTED).sum())
        text += f"; {wrong} misclassified from the start" if wrong else ""
        for status, words in (
            (Status.NO_GRADIENT, "have no gradient to follow, which is no robustness"),
            (Status.COARSE, "are limited by the rounding of the logits"),
        ):
            some = int((self.status == status).sum())
            text += f"; {some} of {len(self)} images {words}" if some else ""
        return text + (f"; {unfinished} interrupted)" if unfinished else ")")


def unattacked(x, clean, targets, labels, predictions, wanted, call: Call) -> Adversarial:
    """The result before any attack: every image interrupted, but for those with the target already.

    x: (N, *shape); clean: (N, classes) their logits; targets: (N,) or None, as ``call`` says;
    labels, predictions: (N,); wanted: (N,) the lead that counts as success.
    """
    n = len(x)
    status = torch.full((n,), Status.INTERRUPTED, device=x.device)
    # without targets any other class is a mistake already
    goal = predictions if targets is None else targets
    overshoot = losses.target_margin(clean, goal)
    there = (overshoot >= wanted) & (goal != labels)
    if targets is None:
        goal, overshoot = torch.where(there, goal, -1), torch.where(there, overshoot, torch.nan)
    status[there] = Status.ALREADY_THERE
    return Adversarial(
        images=x.clone(),
        success=there,
        distortion=torch.where(there, 0.0, torch.nan).to(wanted),
        overshoot=overshoot,
        c=torch.full_like(wanted, torch.nan),
        evaluations=torch.zeros(n, dtype=torch.int64, device=x.device),
        status=status,
        targets=goal,
        labels=labels,
        predictions=predictions,
        originals=x,
        margin=wanted,
        **{name: torch.full_like(wanted, torch.nan) for name in MEASURED},
        call=call,
    )


def same_lead(before: Adversarial, lead: torch.Tensor) -> bool:
    """Whether ``before`` asked for ``lead`` (N,), which comes from the network's logits; another
    chunk rounds these otherwise."""
    asked = before.margin.to(lead)
    return asked.shape == lead.shape and torch.allclose(asked, lead, rtol=1e-4, atol=0)


def adopt(result: Adversarial, before: Adversarial, lead: torch.Tensor) -> None:
    """Copy what an interrupted run had done; ValueError if it was another call's. lead: (N,) what
    counts as success where it is not known yet whether the network is linear."""
    fixed = ["originals", "labels", "predictions"]
    fixed += [] if result.call.nearest else ["targets"]
    pairs = [(getattr(before, name), getattr(result, name)) for name in fixed]
    same = before.call == result.call
    same = same and all(torch.equal(a.to(b.device), b) for a, b in pairs)
    if not (same and any(same_lead(before, known) for known in (result.margin, lead))):
        raise ValueError(
            "The result to resume belongs to another call: network, images, labels, targets, loss, "
            "norm and settings must be the same."
        )
    x = result.originals
    done = (before.status != Status.INTERRUPTED).to(x.device).nonzero()[:, 0]
    for field in dataclasses.fields(Adversarial):
        value = getattr(before, field.name)
        if isinstance(value, torch.Tensor):
            getattr(result, field.name)[done] = value.to(x.device)[done]


@torch.no_grad()
def report(
    result: Adversarial,
    rows: torch.Tensor,
    problem: Problem,
    found: BestPoints,
    others: int,
    blind: torch.Tensor,
    coarse: torch.Tensor | None = None,
) -> None:
    """Judge the points found once more, as they are returned, and write them into ``result``.

    rows: (n,) the images of ``result``; ``problem`` and ``found`` have ``others`` rows for each of
    them, one per target, of which the nearest success counts; blind, coarse: (n,) bool, the images
    without a gradient, and those whose lead rounding makes large.
    """
    given = problem.as_given(found.z)
    if given is not found.z:
        found.z, found.square = given, (given - problem.x).square().sum(1) + 0 * found.square
    lead = _beyond_rounding(problem, found)
    # half the margin: the other half is what another batch size may take
    success = found.square.isfinite() & (lead >= -problem.needed / 2)
    square = torch.where(success, found.square, torch.inf).unflatten(0, (-1, others))
    nearest = square.argmin(1) + others * torch.arange(len(rows), device=square.device)
    won = success[nearest]
    clean = result.originals[rows]
    points = found.z[nearest].unflatten(1, clean.shape[1:]).to(clean.dtype)
    result.images[rows] = torch.where(won.reshape(-1, *[1] * (clean.dim() - 1)), points, clean)
    result.success[rows] = won
    size = distortion(result.images[rows].to(lead.dtype), clean.to(lead.dtype))
    result.distortion[rows] = torch.where(won, size, torch.nan)
    result.targets[rows] = torch.where(won, problem.targets[nearest], result.targets[rows])
    overshoot = lead[nearest] + problem.needed[nearest]
    result.overshoot[rows] = torch.where(won, overshoot, result.overshoot[rows])
    c = found.c[nearest]
    if result.call.norm == "l2":  # the solvers' c goes with |r|²: see penalty
        c = c * 2 * square.amin(1).sqrt()
    result.c[rows] = torch.where(won, c, torch.nan)
    why = _why(problem, found, nearest, won, result.call.loss, result.call.margin)
    if coarse is not None:
        # by convexity the distance of a linear network, squared, falls by no more than twice this
        # share if nothing is needed: a small lead beside one class's gap may be a large one beside
        # another's
        share = found.multiplier[nearest] * problem.needed[nearest] / square.amin(1)
        coarse = coarse | (won & (result.call.margin is None) & (share > COARSE))
        why[coarse] = Status.COARSE
    why[blind] = Status.NO_GRADIENT
    result.status[rows] = why
    result.evaluations[rows] = found.evaluations.unflatten(0, (-1, others)).sum(1)
    for name in MEASURED:
        getattr(result, name)[rows] = torch.where(won, getattr(found, name)[nearest], torch.nan)


def _beyond_rounding(problem: Problem, found: BestPoints) -> torch.Tensor:
    """(N,) the leads of the points ``found``. Points that another batch takes the success from are
    moved outward, a little, to where it is one again."""
    lead = problem.lead(found.z)
    for t in OUTWARD:
        short = (found.square.isfinite() & (lead < -problem.needed / 2)).nonzero()[:, 0]
        if not len(short):
            break
        some = problem.take(short)
        z = some.as_given(torch.lerp(some.x, found.z[short], t).clamp(0, 1))
        found.z[short], found.square[short] = z, (z - some.x).square().sum(1)
        for name in MEASURED:
            getattr(found, name)[short] = torch.nan
        lead = problem.lead(found.z)
    return lead


def _why(problem: Problem, found: BestPoints, nearest, won, loss: str, margin) -> torch.Tensor:
    """(n,) the status of the points ``nearest`` (n,), of which ``won`` (n,) succeed, and the
    numbers behind it. margin: the lead that was asked for, None for what rounding forces."""
    ask = nearest[won]
    ask = ask[found.stationarity[ask].isnan()]
    conditions.judge(problem, found, ask)
    why = found.status[nearest]
    why = torch.where(why == Status.FAILED, Status.ENDED, why)  # a point on the way succeeded
    if loss == "margin":  # the others do not look for the nearest point
        why = torch.where(why == Status.SETTLED, Status.ENDED, why)
        why = torch.where(conditions.hold(problem, found, nearest), Status.SETTLED, why)
    # a failure that is rounding's, which forced the lead
    coarse = (why == Status.COARSE) & (margin is None)
    return torch.where(won | coarse, why, Status.FAILED)
