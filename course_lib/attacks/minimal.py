"""The smallest change that makes a network mistake an image (section 4.1 of the paper)."""

import functools
import inspect
import numbers
from collections.abc import Callable

import torch
from torch import nn

from ..training import progress_bar
from . import averaging, exact, lines, losses, penalty, routes, turns
from .asking import Asked
from .checking import STEPS, check_kinds, check_loss, check_net
from .measures import check_labels, check_targets, is_number, is_whole
from .metering import Meter
from .problem import MEASURED, BestPoints, Problem
from .result import COARSE, Adversarial, Call, adopt, report, same_lead, unattacked
from .rounding import rounded
from .status import Status

LOSSES = ("margin", "cross-entropy", "sharpened")
NORMS = ("squared", "l2")
MEMORY = 2**28  # bytes that the solvers of one chunk may take; a network's own come on top
# On a CPU half of that, and no more images than this: of large images a network takes longer for
# each, the more there are (EfficientNet-Lite0, 224 x 224: 57 ms a gradient of 3, 74 of 7).
CPU_IMAGES = 500
TOGETHER = 3  # images that are attacked together for any class, however many classes each has
PENALTY_SETTINGS = tuple(
    name
    for name, parameter in inspect.signature(penalty.solve).parameters.items()
    if parameter.kind is parameter.KEYWORD_ONLY and name != "budget"
)
HALF = 1e-4  # a coarser unit of rounding than this is that of half precision
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
    budget: int | None = None,
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
    loss every one; of more than ten those whose linearised planes are the nearest; where a network
    bends too quickly for few steps to tell, the others get the paper's loss; the smallest change is
    kept); labels: (N,) the true classes, or None for the network's own predictions.
    loss: "margin" (default, the smallest distances): min |r| such that the target's logit leads, by
        quadratic programming (:mod:`.sqp`) and, where that does not settle soon, in up to five
        other ways of ``steps`` gradients or twice as many, each followed by it, by up to four more
        beginnings of one of them where it leads nowhere, and by up to six brief ones where it leads
        on (:mod:`.turns`);
        exactly, if the network computes something linear (:mod:`.exact`); where all this finds
        nothing, by the other losses, and along lines to other images (:mod:`.lines`), so that an
        image's answer may then depend on the others;
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
    margin: the lead in the logits that counts as success, relative to by how much the logits change
        from the image to half of it (or the image's own gap, if that is more), in which a constant
        added to a logit has no part; default 100 units of rounding of that (1.2e-5 in float32) and
        no less than what rounding does to the logits that are compared, so that success survives
        another batch size. budget: gradients an image (a gap's for one class is one), None for as
        many as it takes: the best success within them, which a larger budget never makes farther.
    eight_bit: round to multiples of 1/255, and keep success.
    chunk: images at a time; default, as many as fit :data:`MEMORY`, fewer on a CPU.
    resume: an interrupted result of the same call, to go on with. progress: show a bar.

    Ctrl-C returns what is done; images not yet done have the status "interrupted". What the other
    statuses say is said of the images as they are returned: :class:`.Status`, :mod:`.conditions`.
    Raises TypeError or ValueError, before any attack, for what :mod:`.checking` lists;
    labels or targets of another length or no classes; a target equal to the label; an unknown
    loss or norm; a result to resume that belongs to another call.
    """
    _check_settings(loss, norm, margin, steps, budget, eight_bit, chunk, settings)
    if resume is not None and not isinstance(resume, Adversarial):
        raise TypeError(f"What is resumed is a result of this attack, no {type(resume).__name__}.")
    check_kinds(net, images)
    asked = Asked(net, images)
    with asked.plain():
        chunk = chunk or _chunk(images, asked.working, asked.device)
        clean = check_net(asked, images, chunk, sparing=budget is not None)
        classes = clean.logits.shape[1]
        predictions = clean.logits.argmax(1)
        labels = predictions if labels is None else check_labels(labels, len(images), classes)
        labels = labels.to(asked.device)
        if targets is not None:
            targets = check_targets(targets, labels, classes)
        if callable(loss):
            check_loss(loss, clean.logits[:2], labels[:2])
        # a copy: what was made in inference mode has no gradient
        x = images.detach().clone().to(asked.device, asked.dtype).contiguous()
        of, stopped = None, False
        general = _wanted(clean, asked.epsilon(), targets, margin)[0]
        over = resume is not None and not (resume.status == Status.INTERRUPTED).any()
        if loss == "margin" and not (over and same_lead(resume, general)):
            try:
                of = exact.recognise(asked, x.to(asked.working), clean, chunk)
            except KeyboardInterrupt:
                stopped = True
        wanted, coarse = _wanted(clean, asked.epsilon(), targets, margin, of)
        call = Call(str(loss), norm, eight_bit, steps, settings, targets is None, margin, budget)
        result = unattacked(x, clean.logits, targets, labels, predictions, wanted, call)
        if resume is not None:
            adopt(result, resume, general)
        todo = (result.status == Status.INTERRUPTED).nonzero()[:, 0]
        if stopped or not len(todo):
            return result
        settings = {"loss": loss, "steps": steps, "eight_bit": eight_bit, "settings": settings}
        settings |= {"budget": budget, "size": chunk}
        others = 1 if targets is not None else min(classes - 1, routes.CANDIDATES)
        if of is not None and targets is None:
            others = classes - 1
        try:
            solver = functools.partial(_attack, asked, of=of, coarse=coarse, **settings)
            with progress_bar(len(todo), "adversarial examples", progress) as bar:
                for rows in todo.split(max(chunk // others, min(chunk, TOGETHER))):
                    _with_less_memory(solver, result, rows, clean.logits)
                    bar.update(len(rows))
        except KeyboardInterrupt:
            pass
        return result


def _wanted(clean, epsilon: float, targets, margin, of=None):
    """(N,) the lead that counts as success and (N,) bool, whether rounding makes it a large one.

    clean: :class:`.checking.Clean`; epsilon: the unit of rounding of the logits; of: the network's
    map if it is linear: then the rounding of its logits is known, and need not be guessed.
    """
    top, first = clean.logits.topk(2, dim=1)[0].T, clean.logits.argmax(1)
    level, moved = top[0].abs(), clean.moved[first]
    if targets is None:
        gap, moved = top[0] - top[1], 2 * moved
    else:
        of_target = clean.logits.gather(1, targets[:, None])[:, 0]
        gap, level = top[0] - of_target, torch.maximum(level, of_target.abs())
        moved = moved + clean.moved[targets]
    size = torch.maximum(clean.varies, gap)
    tiny = torch.finfo(size.dtype).tiny  # above 0 whatever the logits: a tie is no success
    if margin is not None:
        return (margin * size).clamp_min(tiny), torch.zeros_like(gap, dtype=torch.bool)
    ulps = losses.ULPS if epsilon <= HALF else losses.ULPS_COARSE
    # twice what is left of a lead when half of it is taken: the report asks for half
    rounding = torch.maximum(STEPS * epsilon * level, STEPS * moved)
    wanted = torch.maximum(ulps * epsilon * size, rounding)
    if of is not None:
        wanted = exact.lead(of, clean, epsilon, gap)
    wanted = wanted.clamp_min(tiny)
    return wanted, wanted > COARSE * gap


def _check_settings(loss, norm, margin, steps, budget, eight_bit, chunk, settings) -> None:
    if not callable(loss) and loss not in LOSSES:
        raise ValueError(
            f"There is no loss called {loss!r}: use one of {', '.join(LOSSES)}, or a function of "
            "(logits, targets) that returns one value for each image."
        )
    if norm not in NORMS:
        raise ValueError(f"There is no norm called {norm!r}: use one of {', '.join(NORMS)}.")
    if margin is not None and (not isinstance(margin, numbers.Real) or margin == float("inf")):
        raise ValueError(f"The margin must be a finite number, not {margin!r}.")
    if margin is not None and not margin >= 0:
        raise ValueError(f"The margin must not be negative; it is {margin}.")
    if not all(is_whole(n) and n >= 1 for n in (steps, 1 if chunk is None else chunk)):
        raise ValueError(
            "The steps and the chunk must be at least 1, and whole numbers, not "
            f"{steps!r} and {chunk!r}."
        )
    if budget is not None and not (is_whole(budget) and budget >= 1):
        raise ValueError(f"The budget is a whole number of gradients, 1 or more, not {budget!r}.")
    if budget is not None and eight_bit:
        raise ValueError(
            "What does not survive rounding to eight bits is attacked again, past any budget: "
            "leave out one of budget and eight_bit."
        )
    for name, value in settings.items():
        if name in PENALTY_SETTINGS and not is_number(value):
            raise ValueError(f"The setting {name!r} is a number, not {value!r}.")
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
    return max(1, min(fit // 2, CPU_IMAGES) if where.type == "cpu" else 32 * fit)


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


def _attack(
    net,
    result,
    rows,
    clean,
    *,
    loss,
    steps,
    eight_bit,
    settings,
    size,
    of=None,
    coarse=None,
    budget=None,
) -> None:
    """Attack the images ``rows`` and write what came out into ``result``.

    net: an :class:`.asking.Asked`; clean: (N, classes) logits; size: problems at a time; of: the
    network's map if it is linear, else None; coarse: (N,) bool, where the lead is large because of
    rounding; budget: gradients an image, or None.
    """
    shape = result.originals.shape[1:]
    everything = result.originals.to(clean.dtype).flatten(1)
    x, wanted, logits, labels = everything[rows], result.margin[rows], clean[rows], None
    targets, others, meter = result.targets[rows], 1, None
    if result.call.nearest:
        targets = labels = result.labels[rows]
    of_x = {"pixels": result.originals.dtype, "away": labels is not None, "most": size}
    one = Problem(net, x, targets, wanted, shape, **of_x)
    if budget is not None and of is None:  # a linear network is computed, not followed
        meter = Meter(x, budget, labels)
        one = one.metered(meter, torch.arange(len(rows), device=x.device))
    problem = one
    if labels is not None:
        if meter is not None and loss == "margin":
            routes.soon(one, logits)
        classes = routes.candidates(one, logits, every=of is not None)
        others = classes.shape[1]
        problem = one.for_each(classes)
        logits = logits.repeat_interleave(others, 0)
    found = BestPoints.nothing(problem, Status.FAILED)
    left, seen = torch.ones_like(problem.targets, dtype=torch.bool), None
    if of is not None:
        found, done = exact.solve(problem, of, others)
        left = ~done
    elif others > 1 and loss in ("margin", "sharpened"):
        seen = routes.near(problem, others, size, among=logits.shape[1] - 1)
        found.evaluations += seen.spent
        left = seen.left
    for chosen in (left & ~problem.exhausted()).nonzero()[:, 0].split(size):
        some = problem.take(chosen)
        found.merge(chosen, _choose(some, logits[chosen], loss, steps, settings))
    if seen is not None and loss == "margin":
        routes.look_again(problem, logits, steps, found, seen, size)
    blind = _lost(problem, found, others, loss, everything, result.predictions)
    if of is not None and (of.weight != of.weight[:1]).any():
        # that a linear network has no such image in the box is proven, however weak its gradient
        blind &= left.unflatten(0, (-1, others)).any(1)
    if meter is not None:
        problem, found = _within(meter, one, problem, found, others)
        others = 1
    if eight_bit:
        found = rounded(problem, found, steps)
    report(result, rows, problem, found, others, blind, None if coarse is None else coarse[rows])
    if meter is not None:
        result.evaluations[rows] = meter.spent


def _within(meter: Meter, one: Problem, problem: Problem, found: BestPoints, others: int):
    """One problem for each image, and the best points that the budget allowed.

    one: a problem for each image; problem, found: ``others`` for each, and what was found for them.
    """
    first = others * torch.arange(len(one), device=one.x.device)
    best = found.square.unflatten(0, (-1, others)).argmin(1) + first
    problem, found = problem.take(best), found.take(best)
    out = meter.exhausted(one.numbers)
    better = out | (meter.square < found.square)
    found.z[better], found.square[better] = meter.z[better], meter.square[better]
    found.c[better] = torch.nan
    for name in MEASURED:
        getattr(found, name)[better] = torch.nan
    found.status[better] = torch.where(out[better], Status.BUDGET, Status.ENDED)
    if one.away:
        problem.targets = torch.where(better, one.best_other(found.z), problem.targets)
    return problem, found


def _lost(problem, found, others, loss, images, classes) -> torch.Tensor:
    """What can be done for images without any success, and (n,) bool: which of these n images have
    no gradient to follow. images (M, D), classes (M,): all of the call."""
    nothing = found.square.isinf().unflatten(0, (-1, others)).all(1)
    lost = nothing.repeat_interleave(others).nonzero()[:, 0]
    if not len(lost):
        return nothing
    some = problem.take(lost)
    without = lines.without_gradient(some)
    refused = some.refused()
    if refused.any():
        without = torch.where(refused, some.meter.flat[some.numbers], without)
    blind = without.unflatten(0, (-1, others)).all(1)
    found.evaluations[lost] += 1
    if loss == "margin":
        # what a budget that has ended does not allow would be thrown away
        lost = lost[~some.exhausted()]
        if len(lost):
            some = problem.take(lost)
            found.merge(lost, lines.solve(some, images, classes))
            turns.onward(some, found, lost)
    return nothing.masked_scatter(nothing, blind)


def _choose(problem, clean, loss, steps, settings) -> BestPoints:
    """The best points for the targets of ``problem``, by the solvers that belong to ``loss``;
    clean: (N, classes) logits of its images."""
    if loss == "margin":
        return routes.targeted(problem, clean, steps)
    if problem.meter is not None:
        settings = {"budget": problem.meter.budget, **settings}
    faithful = losses.faithful(clean, problem.targets, loss if callable(loss) else None)
    if loss != "sharpened":
        return penalty.solve(problem, faithful, **settings)
    settings = {"polish": True, **settings}
    found = penalty.solve(problem, faithful, **settings)
    sharp = losses.sharpened(clean, problem.targets)
    # at creases its valley is steeper than the paper's: it needs more patience
    return penalty.solve(problem, sharp, found, **{"decrease": 1e-5, **settings})
