"""The smallest change that makes a network mistake an image (section 4.1 of the paper)."""

import dataclasses
import functools
import inspect
from collections.abc import Callable

import torch
from torch import nn

from ..training import progress_bar
from . import averaging, losses, penalty, sqp
from .checking import check_kinds, check_net, dtype_and_device
from .measures import all_targets, check_labels, check_targets, distortion
from .problem import Found, Problem

STATUS = (
    "settled",  # the first-order conditions hold: a nearest point, at least locally
    "closed",  # the search for c closed on its boundary
    "averaged",  # the best point of a fixed number of steps, on a network with kinks
    "ended",  # a success, but a budget ended before the search for c or a nearest point did
    "already there",  # the clean image has the target already: no change
    "failed",  # no c reached the target; the image is returned as it was, and is no success
    "interrupted",
)
SETTLED, CLOSED, AVERAGED, ENDED, THERE, FAILED, INTERRUPTED = range(len(STATUS))
LOSSES = ("margin", "cross-entropy", "sharpened")
NORMS = ("squared", "l2")
# The lead in the logits that counts as success, in units of rounding of the largest logit. Another
# batch size moves the logits of the networks here by up to 10 of them.
ULPS = 100
MEMORY = 2**28  # bytes that the solvers of one chunk may take; a network's own come on top
NEAR = 1.25
# Quadratic programming that settles only after so many gradients has had creases in its way, and
# may have settled at the first hollow: averaged normals are asked, too, and the nearer one kept.
SLOW = 60
PENALTY_SETTINGS = tuple(
    name
    for name, parameter in inspect.signature(penalty.solve).parameters.items()
    if parameter.kind is parameter.KEYWORD_ONLY
)
PER_PIXEL = 60  # numbers that a solver keeps for each pixel


@dataclasses.dataclass(eq=False)
class Adversarial:
    """What :func:`minimal_adversarial` found: one row per image, on the images' device.

    images: (N, *shape), in [0, 1], in the network's precision; the clean image where there is no
    success. success: (N,) bool, the network gives the target, and judged as returned, by at least
    half the margin asked for (the other half is what another batch size may take).
    distortion: (N,) rms of the change (L2 norm / sqrt(pixels)), NaN without success.
    overshoot: (N,) the target's logit minus the largest other, as returned; a point of the boundary
    itself has 0, and a failure the clean image's negative margin (NaN with targets=None). c: (N,)
    the weight in c·|r|² + loss, or in c·|r| + loss with the norm "l2" (for the loss "margin" from
    its multipliers); NaN without success. evaluations: (N,) gradients taken, over all targets.
    status: (N,) an index into :data:`STATUS`. targets: (N,), -1 where targets=None found none;
    labels, predictions: (N,); predictions are those of the clean images.
    originals: (N, *shape) the clean images. margin: (N,) the lead that was asked for.
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
    key: tuple = ()

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
        return [STATUS[code] for code in self.status.tolist()]

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
        unfinished = int((self.status == INTERRUPTED).sum())
        text += f"; {wrong} misclassified from the start" if wrong else ""
        return text + (f"; {unfinished} interrupted)" if unfinished else ")")


def minimal_adversarial(
    net: nn.Module,
    images: torch.Tensor,
    targets: torch.Tensor | None = None,
    labels: torch.Tensor | None = None,
    *,
    loss: str | Callable = "margin",
    norm: str = "squared",
    margin: float | None = None,
    steps: int = averaging.STEPS,
    eight_bit: bool = False,
    chunk: int | None = None,
    resume: Adversarial | None = None,
    progress: bool = False,
    **settings,
) -> Adversarial:
    """The nearest image, within the box [0, 1], that ``net`` gives the target class (section 4.1).

    net: any module in eval mode from images (N, *shape) to logits (N, classes); images: (N, *shape)
    pixels in [0, 1]; targets: (N,) classes, or None for the nearest of all other classes (every one
    that a few steps show to be within 25 % of the nearest is attacked in full, with the paper's
    loss every one; the smallest change is kept); labels: (N,) the true classes, or None
    for the network's own predictions.
    loss: "margin" (default, the smallest distances): min |r| such that the target's logit leads, by
        quadratic programming (:mod:`.sqp`) and, on networks with kinks, averaged normals
        (:mod:`.averaging`) of ``steps`` gradients;
        "cross-entropy": the paper's min c·|r| + loss(x + r, l) by box-constrained L-BFGS with a
        search for c (:mod:`.penalty`); "sharpened": the same, then once more from where it ended
        with the cross-entropy of sharpened logits, the best point kept and moved to the boundary,
        so that for the same target no image ends farther than with the paper's loss (on a network
        with creases a search of its own stops at other ones, nearer or farther by chance); or a
        function of (logits, targets) to (n,) values, treated as the paper's.
    norm: what c multiplies: "squared", the sum of squares, or "l2", its root; the points are the
        same and c is not (:mod:`.penalty` says why). settings: of :func:`.penalty.solve`, for the
        penalty method; "sharpened" gives them to both of its searches.
    margin: the lead in the logits that counts as success, relative to the largest absolute logit of
        the clean image; default 100 units of rounding (1.2e-5 in float32), so that success
        survives another batch size. eight_bit: round to multiples of 1/255, and keep success.
    chunk: images at a time; default, as many as fit :data:`MEMORY`, at most 500 on a CPU.
    resume: an interrupted result of the same call, to go on with. progress: show a bar.

    Ctrl-C returns what is done; images not yet done have the status "interrupted".
    Raises TypeError or ValueError, before any attack, for what :mod:`.checking` lists;
    labels or targets of another length or no classes; a target equal to the label; an unknown
    loss or norm; a result to resume that belongs to another call.
    """
    _check_settings(loss, norm, margin, steps, chunk, settings)
    check_kinds(net, images)
    dtype, where = dtype_and_device(net, images)
    chunk = chunk or _chunk(images, dtype, where)
    clean = check_net(net, images, chunk)
    classes = clean.shape[1]
    predictions = clean.argmax(1)
    labels = predictions if labels is None else check_labels(labels, len(images), classes)
    labels = labels.to(where)
    if targets is not None:
        targets = check_targets(targets, labels, classes)
    x = images.detach().to(where, dtype)
    ulps = ULPS * torch.finfo(dtype).eps if margin is None else margin
    # above 0 whatever the logits: a tie is no success
    wanted = (ulps * clean.abs().amax(1)).clamp_min(torch.finfo(dtype).tiny)
    key = (str(loss), norm, eight_bit, steps, *sorted(settings.items()))
    result = _empty(x, clean, targets, labels, predictions, wanted, key)
    if resume is not None:
        _adopt(result, resume, x)
    solver = functools.partial(
        _attack, net, loss=loss, steps=steps, eight_bit=eight_bit, settings=settings
    )
    todo = (result.status == INTERRUPTED).nonzero()[:, 0]
    if not len(todo):
        return result
    try:
        with progress_bar(len(todo), "adversarial examples", progress) as bar:
            for rows in todo.split(chunk if targets is not None else max(chunk // classes, 1)):
                _with_less_memory(solver, result, rows, clean)
                bar.update(len(rows))
    except KeyboardInterrupt:
        pass
    return result


def _check_settings(loss, norm, margin, steps, chunk, settings) -> None:
    if not callable(loss) and loss not in LOSSES:
        raise ValueError(
            f"There is no loss called {loss!r}: use one of {', '.join(LOSSES)}, or a function of "
            "(logits, targets) that returns one value for each image."
        )
    if norm not in NORMS:
        raise ValueError(f"There is no norm called {norm!r}: use one of {', '.join(NORMS)}.")
    if margin is not None and not margin >= 0:
        raise ValueError(f"The margin must not be negative; it is {margin}.")
    if steps < 1 or (chunk is not None and chunk < 1):
        raise ValueError("The steps and the chunk must be at least 1.")
    known = [] if loss == "margin" else sorted(set(PENALTY_SETTINGS))
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ValueError(
            f"The loss {loss!r} has no setting {unknown[0]!r}"
            + (f": use one of {', '.join(known)}." if known else "; it has none.")
        )


def _chunk(images, dtype, where) -> int:
    """As many images as fit the memory; on a CPU no more than keep its caches warm."""
    pixels = max(images[:1].numel(), 1)
    fit = MEMORY // (PER_PIXEL * pixels * torch.finfo(dtype).bits // 8)
    return max(1, min(fit, 500) if where.type == "cpu" else 32 * fit)


def _empty(x, clean, targets, labels, predictions, wanted, key) -> Adversarial:
    """The result before any attack: all images interrupted, those with the target there."""
    n = len(x)
    status = torch.full((n,), INTERRUPTED, device=x.device)
    # without targets any other class is a mistake already
    goal = predictions if targets is None else targets
    overshoot = losses.target_margin(clean, goal)
    there = (overshoot >= wanted) & (goal != labels)
    if targets is None:
        goal, overshoot = torch.where(there, goal, -1), torch.where(there, overshoot, torch.nan)
    status[there] = THERE
    return Adversarial(
        images=x.clone(),
        success=there,
        distortion=torch.where(there, 0.0, torch.nan).to(x.dtype),
        overshoot=overshoot,
        c=torch.full_like(wanted, torch.nan),
        evaluations=torch.zeros(n, dtype=torch.int64, device=x.device),
        status=status,
        targets=goal,
        labels=labels,
        predictions=predictions,
        originals=x,
        margin=wanted,
        key=(*key, targets is None),
    )


def _adopt(result: Adversarial, before: Adversarial, x: torch.Tensor) -> None:
    """Copy what an interrupted run had done; ValueError if it was another call's."""
    fixed = ["originals", "labels", "predictions", "margin"]
    fixed += [] if result.key[-1] else ["targets"]
    pairs = [(getattr(before, name), getattr(result, name)) for name in fixed]
    if before.key != result.key or not all(torch.equal(a.to(b.device), b) for a, b in pairs):
        raise ValueError(
            "The result to resume belongs to another call: network, images, labels, targets, loss, "
            "norm and settings must be the same."
        )
    done = (before.status != INTERRUPTED).to(x.device).nonzero()[:, 0]
    for field in dataclasses.fields(Adversarial):
        value = getattr(before, field.name)
        if isinstance(value, torch.Tensor):
            getattr(result, field.name)[done] = value.to(x.device)[done]


def _with_less_memory(solver, result, rows, clean) -> None:
    """Attack the images ``rows``; if the GPU's memory is too small, in two halves."""
    try:
        solver(result, rows, clean)
    except torch.OutOfMemoryError:
        if len(rows) == 1:
            raise
        torch.cuda.empty_cache()
        for half in rows.tensor_split(2):
            _with_less_memory(solver, result, half, clean)


def _attack(net, result, rows, clean, *, loss, steps, eight_bit, settings) -> None:
    """Attack the images ``rows`` and write what came out into ``result``."""
    shape = result.originals.shape[1:]
    x, labels, wanted = result.originals[rows].flatten(1), result.labels[rows], result.margin[rows]
    solver = functools.partial(
        _solve, loss=loss, steps=steps, eight_bit=eight_bit, settings=settings
    )
    if not result.key[-1]:
        problem = Problem(net, x, result.targets[rows], wanted, shape)
        _report(result, rows, problem, solver(problem, clean[rows]), 1)
        return
    targets = all_targets(labels, clean.shape[1]).to(x.device)
    others = targets.shape[1]
    x, wanted, clean = (v.repeat_interleave(others, 0) for v in (x, wanted, clean[rows]))
    problem = Problem(net, x, targets.flatten(), wanted, shape)
    found = Found.nothing(problem, FAILED)
    near = torch.ones_like(problem.targets, dtype=torch.bool)
    if loss in ("margin", "sharpened"):
        near = _near(problem, found, others)
    chosen = near.nonzero()[:, 0]
    found.merge(chosen, solver(problem.take(chosen), clean[chosen]))
    _report(result, rows, problem, found, others)


def _near(problem: Problem, found: Found, others: int) -> torch.Tensor:
    """(N · others,) bool: which of each image's classes can be its nearest.

    A few steps of averaged normals bring all of them within some per cent of their distance
    (on the networks here: the nearest one within 7 % of the least); only those within 25 % of
    the least are attacked in full. A class that was not reached stays in.
    """
    first = averaging.solve(problem, FAILED, steps=sqp.FIRST)
    found.evaluations += first.evaluations
    size = first.square.sqrt().unflatten(0, (-1, others))
    return ((size <= NEAR * size.amin(1, keepdim=True)) | size.isinf()).flatten()


def _solve(problem, clean, *, loss, steps, eight_bit, settings) -> Found:
    found = _choose(problem, clean, loss, steps, settings)
    return rounded(problem, found, steps) if eight_bit else found


def _choose(problem, clean, loss, steps, settings) -> Found:
    if loss == "margin":
        found = sqp.solve(problem, (SETTLED, FAILED))
        slow = found.evaluations > SLOW
        left = ((found.status != SETTLED) | ~found.square.isfinite() | slow).nonzero()[:, 0]
        if len(left):
            found.merge(left, averaging.solve(problem.take(left), AVERAGED, steps))
        lost = (~found.square.isfinite()).nonzero()[:, 0]
        if len(lost):
            rest = problem.take(lost)
            sharp = losses.sharpened(clean[lost], rest.targets)
            found.merge(lost, penalty.solve(rest, (CLOSED, ENDED, FAILED), sharp, polish=True))
        return found
    codes = (CLOSED, ENDED, FAILED)
    plain = loss if callable(loss) else losses.cross_entropy

    def faithful(logits, targets, rows):
        return plain(logits, targets)

    if loss != "sharpened":
        return penalty.solve(problem, codes, faithful, **settings)
    settings = {"polish": True, **settings}
    found = penalty.solve(problem, codes, faithful, **settings)
    sharp = losses.sharpened(clean, problem.targets)
    # at creases its valley is steeper than the paper's: it needs more patience
    return penalty.solve(problem, codes, sharp, found, **{"decrease": 1e-5, **settings})


@torch.no_grad()
def _report(result, rows, problem, found, others) -> None:
    """Judge the points found once more, as they are returned, and write them down."""
    lead = problem.lead(found.z)
    # half the margin: the other half is what another batch size may take
    success = found.square.isfinite() & (lead >= -problem.needed / 2)
    square = torch.where(success, found.square, torch.inf).unflatten(0, (-1, others))
    nearest = square.argmin(1) + others * torch.arange(len(rows), device=square.device)
    won = success[nearest]
    clean = result.originals[rows]
    points = found.z[nearest].unflatten(1, clean.shape[1:])
    result.images[rows] = torch.where(won.reshape(-1, *[1] * (clean.dim() - 1)), points, clean)
    result.success[rows] = won
    result.distortion[rows] = torch.where(
        won, distortion(result.images[rows], clean), torch.nan
    ).to(clean.dtype)
    result.targets[rows] = torch.where(won, problem.targets[nearest], result.targets[rows])
    overshoot = lead[nearest] + problem.needed[nearest]
    result.overshoot[rows] = torch.where(won, overshoot, result.overshoot[rows])
    c = found.c[nearest]
    if result.key[1] == "l2":  # the solvers' c goes with |r|²: see penalty
        c = c * 2 * square.amin(1).sqrt()
    result.c[rows] = torch.where(won, c, torch.nan)
    result.evaluations[rows] = found.evaluations.unflatten(0, (-1, others)).sum(1)
    why = found.status[nearest]
    why = torch.where(why == FAILED, ENDED, why)  # a point on the way succeeded
    result.status[rows] = torch.where(won, why, FAILED)


@torch.no_grad()
def rounded(problem: Problem, found: Found, steps: int) -> Found:
    """The points rounded to multiples of 1/255 and still successes, by two ways.

    A point that does not survive rounding is moved along its ray by 1 %, 2 %, 4 % ... and rounded
    again; if none of these does, the image is attacked again with a larger lead to lose.
    """
    best = dataclasses.replace(
        found,
        z=problem.x.clone(),
        square=torch.full_like(found.square, torch.inf),
        status=torch.full_like(found.status, FAILED),
        evaluations=found.evaluations.clone(),
    )

    def attempt(rows, points, status):
        some = problem.take(rows)
        points = (points.clamp(0, 1) * 255).round() / 255
        success = some.lead(points) >= 0
        best.note(problem.x, rows, points, success)
        best.status[rows[success]] = status[success]
        return rows[~success]

    left = found.square.isfinite().nonzero()[:, 0]
    for t in (1.0, *(1 + 0.01 * 2**k for k in range(5))):
        points = torch.lerp(problem.x[left], found.z[left], t)
        left = attempt(left, points, found.status[left])
    gap = problem.lead(problem.x).abs()
    for share in (0.01, 0.03, 0.1, 0.3):
        if not len(left):
            break
        harder = problem.take(left)
        harder.needed = harder.needed + share * gap[left]
        again = averaging.solve(harder, AVERAGED, steps)
        best.evaluations[left] += again.evaluations
        left = attempt(left, again.z, again.status)
    return best


__all__ = ["LOSSES", "NORMS", "STATUS", "Adversarial", "minimal_adversarial"]
