"""The smallest change that makes a network mistake an image (section 4.1 of the paper)."""

import functools
import inspect
from collections.abc import Callable

import torch
from torch import nn

from ..training import progress_bar
from . import averaging, losses, penalty, sqp
from .checking import check_kinds, check_net, dtype_and_device
from .measures import all_targets, check_labels, check_targets
from .problem import BestPoints, Problem
from .result import Adversarial, Call, adopt, report, unattacked
from .rounding import rounded
from .status import Status

LOSSES = ("margin", "cross-entropy", "sharpened")
NORMS = ("squared", "l2")
MEMORY = 2**28  # bytes that the solvers of one chunk may take; a network's own come on top
NEAR = 1.25  # which classes are attacked in full, in units of the nearest: see _near
# Quadratic programming that settles only after so many gradients has had creases in its way, and
# may have settled at the first hollow: averaged normals are asked, too, and the nearer one kept.
SLOW = 60
PENALTY_SETTINGS = tuple(
    name
    for name, parameter in inspect.signature(penalty.solve).parameters.items()
    if parameter.kind is parameter.KEYWORD_ONLY
)
PER_PIXEL = 60  # numbers that a solver keeps for each pixel


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
        so that for the same target no image ends farther than with the paper's loss, but for
        eight_bit's rounding (on a network with creases a search of its own stops at other ones,
        nearer or farther by chance); or a function of (logits, targets) to (n,) values, treated as
        the paper's.
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
    ulps = losses.ULPS * torch.finfo(dtype).eps if margin is None else margin
    # above 0 whatever the logits: a tie is no success
    wanted = (ulps * clean.abs().amax(1)).clamp_min(torch.finfo(dtype).tiny)
    call = Call(str(loss), norm, eight_bit, steps, settings, nearest=targets is None)
    result = unattacked(x, clean, targets, labels, predictions, wanted, call)
    if resume is not None:
        adopt(result, resume, x)
    solver = functools.partial(
        _attack, net, loss=loss, steps=steps, eight_bit=eight_bit, settings=settings
    )
    todo = (result.status == Status.INTERRUPTED).nonzero()[:, 0]
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
    if not result.call.nearest:
        problem = Problem(net, x, result.targets[rows], wanted, shape)
        report(result, rows, problem, solver(problem, clean[rows]), 1)
        return
    targets = all_targets(labels, clean.shape[1]).to(x.device)
    others = targets.shape[1]
    x, wanted, clean = (v.repeat_interleave(others, 0) for v in (x, wanted, clean[rows]))
    problem = Problem(net, x, targets.flatten(), wanted, shape)
    found = BestPoints.nothing(problem, Status.FAILED)
    near = torch.ones_like(problem.targets, dtype=torch.bool)
    if loss in ("margin", "sharpened"):
        near = _near(problem, found, others)
    chosen = near.nonzero()[:, 0]
    found.merge(chosen, solver(problem.take(chosen), clean[chosen]))
    report(result, rows, problem, found, others)


def _near(problem: Problem, found: BestPoints, others: int) -> torch.Tensor:
    """(N · others,) bool: which of each image's classes can be its nearest.

    A few steps of averaged normals bring all of them within some per cent of their distance
    (on the networks here: the nearest one within 7 % of the least); only those within 25 % of
    the least are attacked in full. A class that was not reached stays in.
    """
    first = averaging.solve(problem, sqp.FIRST)
    found.evaluations += first.evaluations
    size = first.square.sqrt().unflatten(0, (-1, others))
    return ((size <= NEAR * size.amin(1, keepdim=True)) | size.isinf()).flatten()


def _solve(problem, clean, *, loss, steps, eight_bit, settings) -> BestPoints:
    """The best points for the targets of ``problem``; clean: (N, classes) logits of its images."""
    found = _choose(problem, clean, loss, steps, settings)
    return rounded(problem, found, steps) if eight_bit else found


def _choose(problem, clean, loss, steps, settings) -> BestPoints:
    """The same by the solvers that belong to ``loss``, before any rounding."""
    if loss == "margin":
        found = sqp.solve(problem)
        slow = found.evaluations > SLOW
        left = ((found.status != Status.SETTLED) | ~found.square.isfinite() | slow).nonzero()[:, 0]
        if len(left):
            found.merge(left, averaging.solve(problem.take(left), steps))
        lost = (~found.square.isfinite()).nonzero()[:, 0]
        if len(lost):
            rest = problem.take(lost)
            sharp = losses.sharpened(clean[lost], rest.targets)
            found.merge(lost, penalty.solve(rest, sharp, polish=True))
        return found
    plain = loss if callable(loss) else losses.cross_entropy

    def faithful(logits, targets, rows):
        return plain(logits, targets)

    if loss != "sharpened":
        return penalty.solve(problem, faithful, **settings)
    settings = {"polish": True, **settings}
    found = penalty.solve(problem, faithful, **settings)
    sharp = losses.sharpened(clean, problem.targets)
    # at creases its valley is steeper than the paper's: it needs more patience
    return penalty.solve(problem, sharp, found, **{"decrease": 1e-5, **settings})
