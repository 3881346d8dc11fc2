"""A network as a list of steps, read off its torch.fx graph.

Walking a module's children would miss what its ``forward`` does between them (a functional
relu, a sum of two branches, a layer used twice) and would bound another function. So the network
is traced, every node of the graph becomes a :class:`~.steps.Step` whose constant is known
(:mod:`.reading`), and the steps are run beside the network: if they do not compute what it
computes, nothing is said about it.
"""

import copy
import operator

import torch
from torch import nn
from torch.nn.utils import parametrize

from .kinds import stated_constant
from .reading import Reader, Tracer
from .steps import Step, run, tensors

AGREEMENT = 1e-9  # of the steps with the network, relative to its largest output


def trace(net: nn.Module, input_shape) -> list[Step]:
    """The steps of ``net`` for images of ``input_shape`` (without the batch): input first, output
    last, each after its inputs. The network itself is not touched; the steps lie on its device (on
    the CPU for MPS, which has no float64).

    Raises TypeError for what is no module, and a stated constant that is no number; ValueError,
    with a sentence, for a network in train mode or with weights that are not finite, for a stated
    constant that is negative or not finite, for images that do not fit, for a forward that torch.fx
    cannot trace, and for a node whose constant is not known, naming it.
    """
    shape = checked_shape(net, input_shape)
    double = in_double(net)
    probe = torch.rand(2, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    probe = probe.to(next((t.device for t in tensors(double)), torch.device("cpu")))
    expected = answer(double, probe, shape)
    try:
        graph = Tracer().trace(double)
    except Exception as error:  # whatever the network's own code raises when it meets a proxy
        raise ValueError(
            "The network's forward cannot be traced by torch.fx, so its operations are not known "
            f"({str(error).splitlines()[0] if str(error) else type(error).__name__}): rewrite "
            "branches or loops that depend on the data."
        ) from None
    steps = Reader(double, graph, probe).read()
    found = run(steps, probe)[-1]
    scale = float(expected.abs().max())
    if found.shape != expected.shape or not (found - expected).abs().max() <= AGREEMENT * scale:
        raise ValueError(
            "The steps read off the graph do not compute what the network computes, so no bound is "
            "given: see whether its forward works in place on a value that is used again, or "
            "depends on the size of the batch."
        )
    return steps


def checked_shape(net: nn.Module, input_shape) -> tuple[int, ...]:
    """``input_shape`` as a tuple, if ``net`` is a module in eval mode with finite weights, and what
    its modules state as their constants are some."""
    if not isinstance(net, nn.Module):
        raise TypeError(f"The network must be a torch module, not {type(net).__name__}.")
    try:
        shape = tuple(operator.index(n) for n in input_shape)
    except TypeError:
        shape = ()
    if not shape or min(shape) < 1:
        raise ValueError(
            f"The input's shape must be whole numbers without the batch, such as (1, 28, 28), not "
            f"{input_shape!r}."
        )
    training = [name or "the network" for name, part in net.named_modules() if part.training]
    if training:
        raise ValueError(
            f"The network is in train mode ({training[0]}): dropout and batch statistics would "
            "make it another function at every call. Call net.eval() first."
        )
    for name, value in [*net.named_parameters(), *net.named_buffers()]:
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ValueError(
                f"The weights called {name!r} are not finite (there is a NaN or an infinity): the "
                "network has no bound. Train it again, with a smaller step."
            )
    for part in net.modules():
        stated_constant(part)  # raises for what is none, before torch.fx meets it
    return shape


def in_double(net: nn.Module) -> nn.Module:
    """A copy of ``net`` in float64, its parametrised weights worked out, without gradients."""
    double = copy.deepcopy(net)
    for part in double.modules():
        if parametrize.is_parametrized(part):
            for name in list(part.parametrizations):
                parametrize.remove_parametrizations(part, name, leave_parametrized=True)
    if any(t.device.type == "mps" for t in tensors(double)):
        double = double.cpu()
    return double.double().requires_grad_(False)


def answer(net: nn.Module, probe: torch.Tensor, shape) -> torch.Tensor:
    """What ``net`` says of ``probe``; ValueError, with a sentence, if it does not take it."""
    try:
        with torch.no_grad():
            out = net(probe.clone())
    except Exception as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"The network does not take images of the shape {tuple(shape)} ({first}): give the "
            "shape of one image, without the batch."
        ) from None
    if not isinstance(out, torch.Tensor) or out.ndim < 2 or len(out) != len(probe):
        raise ValueError(
            "The network must return one tensor with a row for each image; for two images this one "
            f"returns {tuple(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__}."
        )
    if not torch.isfinite(out).all():
        raise ValueError(
            "The network's output is not finite for an image of pixels in [0, 1]: its weights are "
            "too large even for float64."
        )
    return out
