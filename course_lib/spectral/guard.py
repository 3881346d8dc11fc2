"""What was read and what was found, held against the network as it runs.

A bound is only as good as the reading of the network. So the steps are run beside the network, in
float64 and in the network's own precision, for a few images and for another number of them; the
largest slope that is found must not be above the bound, nor any slope of the network itself; and
inside a certified radius, where the margin falls fastest, the class must be the same. All of it
costs about as much as the answers for some thirty images.
"""

import math

import torch
from torch import nn

from .steps import Step, multiplications, run, tensors

# what may be lost of an answer, relative to the largest, in each precision; the rounding of the
# values between the layers is measured and allowed for besides. TF32 keeps as many digits as half.
AGREEMENT = {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}
PASSED_ON = 64  # times what rounding the values between the layers does, for all other rounding
BATCH = 3  # images in a comparison, another number than those that are traced
DISTANCES = (1e-3, 1.0, 30.0)  # between images whose slopes are taken, a pixel
TWICE = 2  # as many images a distance
# multiplications for one image from which on a network, or a layer, is held against one image only
HEAVY, HEAVY_LAYER = 1.5e9, 1e8
TRIED = 32  # images of each call whose radii are tried
INSIDE = 1 - 1e-6  # of a certified radius
SLACK = 1e-9  # relative, of a comparison of slopes


# --- the network as it runs ---


def probes(shape, dtype, count: int, weights) -> torch.Tensor:
    """Images (count, *shape) on the device of the first of ``weights``: the first two with pixels
    in [0, 1], another one beyond."""
    rng = torch.Generator().manual_seed(0)
    found = torch.rand(count, *shape, dtype=torch.float64, generator=rng)
    found[2:] = 3 * torch.randn(found[2:].shape, dtype=torch.float64, generator=rng)
    device = weights[0].device if weights else torch.device("cpu")
    return found.to(device, dtype)


def answer(net: nn.Module, probe: torch.Tensor, shape) -> torch.Tensor:
    """What ``net`` says of ``probe``; ValueError, with a sentence, if it does not take it."""
    try:
        with torch.no_grad(), torch.autocast(probe.device.type, enabled=False):
            out = net(probe.clone())
    except Exception as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"The network does not take images of the shape {tuple(shape)} ({first}): give the "
            "shape of one image, without the batch."
        ) from None
    if not isinstance(out, torch.Tensor) or out.ndim < 2 or len(out) != len(probe):
        raise ValueError(
            f"The network must return one tensor with a row for each image; for {len(probe)} "
            "images this one returns "
            f"{tuple(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__}."
        )
    if not out.numel():
        raise ValueError(
            f"The network's output for an image, of the shape {tuple(out.shape[1:])}, has no "
            "numbers, so there is nothing to bound: give its last layer at least one output."
        )
    if not torch.isfinite(out).all():
        raise ValueError(
            "The network's output is not finite for an image of pixels in [0, 1]: its weights are "
            "too large even for float64."
        )
    return out


def answer_with_gradient(net: nn.Module, probe: torch.Tensor) -> torch.Tensor | None:
    """What ``net`` says of ``probe`` while gradients are recorded; None where it does not run so,
    or has no row for each image (a squeeze() drops the axis of a single one)."""
    try:
        with torch.enable_grad():
            out = net(probe.clone().requires_grad_() * 1)  # a copy, on which it may work in place
    except Exception:  # the network's own code: without gradients it did run
        return None
    if not isinstance(out, torch.Tensor) or out.ndim < 2 or len(out) != len(probe):
        return None
    return out.detach()


def first_answer(exact: nn.Module, net: nn.Module, probe: torch.Tensor, shape) -> torch.Tensor:
    """:func:`answer` of the copy in float64; it also says so where only the copy fails."""
    try:
        return answer(exact, probe, shape)
    except ValueError as error:
        own = own_precision(net)
        if own == torch.float64 or compiled(net):
            raise
        try:
            answer(net, probes(shape, own, len(probe), tensors(net)), shape)
        except ValueError:
            raise error from None
        raise ValueError(
            f"The network runs in {own}, but a copy of it in float64 does not: see whether a hook "
            "or a function that is attached to it uses weights that are no part of it (make them "
            f"one), or call net.double() first. {error}"
        ) from None


def compare(
    steps: list[Step], probe: torch.Tensor, expected: torch.Tensor, precision=torch.float64
) -> None:
    """Raise ValueError unless ``steps`` answer ``expected``, up to the rounding of ``precision``,
    for the images ``probe``."""
    values = run(steps, probe.double())
    found, expected = values[-1], expected.double().to(values[-1].device)
    allowed = AGREEMENT[precision] * float(expected.abs().max())
    if precision != torch.float64:
        rounded = run(steps, probe.double(), precision)[-1]
        allowed += PASSED_ON * float((rounded - found).abs().max())
    if found.shape != expected.shape or not (found - expected).abs().max() <= allowed:
        raise ValueError(
            "The steps read off the graph do not compute what the network computes, so no bound is "
            "given: see whether its forward works in place on a value that is used again, draws "
            "random numbers, keeps something from call to call, or depends on the size of the "
            "batch or on whether gradients are recorded."
        )


def own_precision(net: nn.Module) -> torch.dtype:
    weights = tensors(net)
    return weights[0].dtype if weights else torch.float64


def compiled(net: nn.Module) -> bool:
    """Whether running ``net`` would start a compiler."""
    return any(
        hasattr(part, "_orig_mod") or part._compiled_call_impl is not None for part in net.modules()
    )


def compare_runs(steps, double: nn.Module, net: nn.Module, shape, casts) -> None:
    """:func:`compare` with the copy in float64, for another number of images, and with the network
    itself, in its own precision or that of its casts."""
    count = 1 if sum(multiplications(step) for step in steps) > HEAVY else BATCH
    probe = probes(shape, torch.float64, count, tensors(double))
    compare(steps, probe, answer(double, probe, shape))
    # once more, with gradients; and a single image
    for others in (probe, probe[:1])[: 1 if count == 1 else 2]:
        if (seen := answer_with_gradient(double, others)) is not None:
            compare(steps, others, seen)
    own = own_precision(net)
    if own not in AGREEMENT or compiled(net) or any(part.training for part in net.modules()):
        return  # in train mode a power iteration would go on
    if not tensors(net):  # its weights, if any, are no part of it, and of a type that is not known
        own = torch.get_default_dtype()
    probe = probes(shape, own, count, tensors(net))
    try:
        seen = answer(net, probe, shape)
    except ValueError:  # half precision lacks operations on a processor, and is soon infinite
        if own == torch.float64:
            raise
        return
    if probe.is_cuda and own == torch.float32:  # TF32
        own = torch.float16
    coarsest = max({own, *casts}, key=AGREEMENT.get)
    device = tensors(double)[0].device if tensors(double) else probe.device
    compare(steps, probe.to(device), seen, coarsest)


# --- bounds ---


def largest_seen(network: nn.Module, shape, device, times: int = TWICE) -> float:
    """The largest slope between a few images of the network itself, less what rounding may do.
    times: as many pairs for each distance."""
    rng = torch.Generator().manual_seed(1)
    x = torch.rand(times * len(DISTANCES), *shape, generator=rng, dtype=torch.float64)
    v = torch.randn(x.shape, generator=rng, dtype=torch.float64)
    lengths = torch.tensor(DISTANCES, dtype=torch.float64).repeat(times)
    step = v * lengths.reshape(-1, *[1] * len(shape))
    with torch.no_grad():
        both = network(torch.cat([x, x + step]).to(device)).flatten(1)
    change = (both[: len(x)] - both[len(x) :]).norm(dim=1).cpu()
    lost = 1e-12 * float(both.abs().max()) * math.sqrt(both.shape[1])
    slopes = (change - lost) / step.flatten(1).norm(dim=1)
    return float(slopes.max().clamp_min(0))


def check_bound(upper: float, lower: float, what: str) -> None:
    """Raise ValueError, with a sentence, if a slope that was found is above an upper bound."""
    if not lower <= upper * (1 + SLACK) + 1e-300:
        raise ValueError(
            f"No bound is given: for {what} a slope of {lower:.6g} was found, which is above the "
            f"bound {upper:.6g}. Either a lipschitz_constant that a module states is too small, or "
            "this is an error of the course's: then please report it with the network."
        )


@torch.no_grad()
def check_radii(network: nn.Module, x: torch.Tensor, labels: torch.Tensor, radii, box) -> None:
    """Raise ValueError if ``network`` gives an image another class inside its certified radius,
    straight down the margin to the next class.

    x: (N, *shape) float64; radii: method -> (N,); box: the methods that hold inside [0, 1] only.
    """
    x, labels = x[:TRIED], labels[:TRIED]
    down = steepest(network, x, labels)
    for method, radius in radii.items():
        radius = radius[:TRIED]
        chosen = (radius > 0) & radius.isfinite()
        if not chosen.any():
            continue
        length = (radius * INSIDE).reshape(-1, *[1] * (x.ndim - 1))
        there = torch.where(length.isfinite(), x + length * down, x)
        there = there.clamp(0, 1) if method in box else there
        logits = network(there)
        own = logits.gather(1, labels[:, None])
        others = logits.scatter(1, labels[:, None], -torch.inf).amax(1, keepdim=True)
        slack = SLACK * logits.abs().amax(1, keepdim=True)
        wrong = chosen & (others > own + slack)[:, 0]
        if wrong.any():
            raise ValueError(
                f"No certificate is given: image {int(wrong.nonzero()[0])} has another class "
                f"inside the radius that {method!r} found. Either a lipschitz_constant that a "
                "module states is too small, or this is an error of the course's: then please "
                "report it with the network."
            )


def steepest(network: nn.Module, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The unit vectors (N, *shape) along which the margin to the nearest class falls fastest; any
    direction where the network has no gradient."""
    try:
        with torch.enable_grad():
            point = x.detach().clone().requires_grad_()
            logits = network(point * 1)  # a copy, on which it may work in place
            own = logits.gather(1, labels[:, None])
            gaps = (own - logits).scatter(1, labels[:, None], torch.inf)
            (found,) = torch.autograd.grad(gaps.amin(1).sum(), point)
    except RuntimeError:
        found = torch.zeros_like(x)
    found = torch.where(found.isfinite(), -found, 0.0)
    size = found.flatten(1).norm(dim=1).reshape(-1, *[1] * (x.ndim - 1))
    any_way = torch.full_like(x, (x[0].numel() or 1) ** -0.5) if len(x) else x
    return torch.where(size > 0, found / size.clamp_min(1e-300), any_way)


def check_activations(steps: list[Step]) -> None:
    """:func:`check_slopes` of all steps that have some."""
    for step in steps:
        if step.kind == "slope":
            check_slopes(step.module, step.shape, step.slopes)


@torch.no_grad()
def check_slopes(layer: nn.Module, shape, slopes) -> None:
    """Raise ValueError if ``layer``, in float64, is no function of each number with ``slopes``."""
    rng = torch.Generator().manual_seed(2)
    weights = tensors(layer)
    x, v = (torch.randn(len(DISTANCES), *shape, generator=rng, dtype=torch.float64) for _ in "xv")
    lengths = torch.tensor(DISTANCES, dtype=torch.float64).reshape(-1, *[1] * len(shape))
    device = weights[0].device if weights else torch.device("cpu")
    x, step = (lengths * x).to(device), (lengths * v).to(device)
    y, there = layer(x.clone()), layer(x + step)
    rest = (there - y - slopes.middle * step).abs() - slopes.half * step.abs() * (1 + SLACK)
    size = y.abs() + there.abs() + slopes.steepest * (x.abs() + step.abs())
    if (rest > 1e-12 * size).any():
        raise ValueError(
            f"No bound is given: {layer} does not compute what its class does in torch. See "
            "whether something has replaced a function or a method of torch's."
        )


@torch.no_grad()
def check_layer(layer: nn.Module, shape, limit: float, linear_map=None) -> None:
    """Raise ValueError if ``layer``, in float64, stretches a difference of two inputs by more than
    ``limit``, does not take inputs of ``shape``, or is not the map that it was taken for."""
    weights = tensors(layer)
    # a weight is used once for each place of a grid, about
    heavy = sum(w.numel() for w in weights) * math.prod(shape[1:]) > HEAVY_LAYER
    try:
        device = weights[0].device if weights else "cpu"
        seen = largest_seen(layer, shape, device, 1 if heavy else TWICE)
        x = probes(shape, torch.float64, 1 if heavy else BATCH, weights)
        change = layer(x.clone()) - layer(torch.zeros_like(x))
    except Exception as error:  # whatever a layer raises that meets what it is not made for
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"{layer} does not take inputs of the shape {tuple(shape)} ({first}): give the shape "
            "of one input, without the batch."
        ) from None
    check_bound(limit, seen, f"{layer}")
    if linear_map is None:
        return
    read = linear_map(layer, shape).apply(x).flatten(1).to(change.device)
    change = change.flatten(1)
    allowed = AGREEMENT[torch.float64] * float(torch.maximum(change.abs(), x.abs().max()).max())
    if read.shape != change.shape or not (read - change).abs().max() <= allowed:
        raise ValueError(
            f"{layer} does not compute what its settings say, so no bound is given: an attribute "
            "may have been changed after it was made. Make it again with the new settings."
        )
