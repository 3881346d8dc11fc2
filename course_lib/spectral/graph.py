"""A network as a list of steps, read off its torch.fx graph.

Walking a module's children would miss what its ``forward`` does between them (a functional
relu, a sum of two branches, a layer used twice) and would bound another function. So the network
is traced, every node of the graph becomes a :class:`~.steps.Step` whose constant is known
(:mod:`.reading`), and the steps are run beside the network: if they do not compute what it
computes, nothing is said about it.
"""

import dataclasses

import torch
from torch import nn

from ..checked import shape_of
from ..copies import all_within, in_double, unharmed
from ..hooks import hooks_of
from ..modes import exported, in_training
from . import guard
from .kinds import rule_of
from .plain import iterates, refuse_hooks_of_all
from .reading import Reader
from .steps import Step, tensors
from .tracing import Exact, InExact, Tracer, Untraceable, Whole, refuse_training

SPREAD = (nn.DataParallel, nn.parallel.DistributedDataParallel)
COMPILED = (torch.jit.ScriptModule, torch.export.ExportedProgram)


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
    """A network that was read: its steps, and a copy of it in float64 that runs as it does, hooks
    and all, beside which they can be checked."""

    steps: list[Step]
    network: nn.Module


def trace(net: nn.Module, input_shape) -> list[Step]:
    """The steps of ``net``, see :func:`read`."""
    return read(net, input_shape).steps


def read(net: nn.Module, input_shape, any_mode: bool = False) -> Program:
    """The steps of ``net`` for images of ``input_shape`` (without the batch): input first, output
    last, each after its inputs. The network itself is not touched (its hooks are run); the steps
    lie on its device (on the CPU for MPS, which has no float64). any_mode: take what is in train
    mode as it is.

    Raises TypeError for what is no module, and a stated constant that is no number; ValueError,
    with a sentence, for a network in train mode or with weights that are not finite, for a stated
    constant that is negative or not finite, for images that do not fit, for a forward that torch.fx
    cannot trace, for a node whose constant is not known, naming it, and where the steps do not
    compute what the network computes.
    """
    net = eager(net)
    shape = checked_shape(net, input_shape, any_mode)
    double = in_double(net)
    exact = InExact(double)
    probe = guard.probes(shape, torch.float64, 2, tensors(double))
    with unharmed(double), unharmed(net):
        expected = guard.first_answer(exact, net, probe, shape)
    whole = Whole(double)
    tracer = Tracer(probe)
    try:
        with torch.no_grad(), unharmed(double), Exact():
            graph = tracer.trace(whole)
    except Untraceable:
        raise
    except Exception as error:  # whatever the network's own code raises when it meets a proxy
        raise ValueError(
            "The network's forward cannot be traced by torch.fx, so its operations are not known "
            f"({str(error).splitlines()[0] if str(error) else type(error).__name__}): rewrite "
            "branches or loops that depend on the data."
        ) from None
    reader = Reader(whole, graph, probe)
    steps = reader.read()
    guard.compare(steps, probe, expected)
    with unharmed(double), unharmed(net):
        guard.compare_runs(steps, exact, net, shape, reader.casts)
    return Program(steps, exact)


def eager(net):
    """``net``, or what it was compiled from. Raises TypeError, saying what to do, for what is no
    module, and ValueError for a scripted one."""
    if isinstance(net, COMPILED):
        raise ValueError(
            f"The network is compiled ({type(net).__name__}), and its operations cannot be read: "
            "pass the module that it was made from (before torch.jit.script, trace or export)."
        )
    if not isinstance(net, nn.Module):
        raise TypeError(f"The network must be a torch module, not {type(net).__name__}.")
    if hasattr(net, "_orig_mod"):  # torch.compile: the same, but for hooks that were added to it
        if hooks_of(net):
            raise ValueError(
                "The network was compiled by torch.compile, and then given hooks: pass the module "
                "that it was made from, with the hooks on it."
            )
        return eager(net._orig_mod)
    if type(net) in SPREAD and not hooks_of(net):
        return eager(net.module)
    for name, part in net.named_modules():
        if exported(part):
            raise ValueError(
                f"The module {name or 'itself'!r} was exported (torch.export), and its operations "
                "are not read: use the module that it was made from."
            )
        if isinstance(part, COMPILED):
            raise ValueError(
                f"The module {name!r} is compiled ({type(part).__name__}), and its operations "
                "cannot be read: use the module that it was made from."
            )
    return net


def checked_shape(net: nn.Module, input_shape, any_mode: bool = False) -> tuple[int, ...]:
    """``input_shape`` as a tuple, if ``net`` is in eval mode with finite weights, and what its
    modules state as their constants are some."""
    shape = shape_of(input_shape)
    if not any_mode and (training := in_training(net)):
        raise ValueError(
            f"{training}. Dropout and batch statistics would make it another function at every "
            "call."
        )
    for part in () if any_mode else all_within(net)[1:]:
        if any(iterates(inner) for inner in part.modules()):
            refuse_training(part)
    for name, value in [*net.named_parameters(), *net.named_buffers()]:
        checked_weight(name, value)
    refuse_hooks_of_all()
    for part in net.modules():
        rule_of(part)  # raises for a stated constant that is none, before torch.fx meets it
    return shape


def checked_weight(name: str, value: torch.Tensor) -> None:
    """Raise ValueError, with a sentence, for a weight that has no finite real values."""
    if isinstance(value, nn.parameter.UninitializedTensorMixin):
        raise ValueError(
            f"The weights called {name!r} have no size yet: run the network once on an image, "
            "net(image[None])."
        )
    if value.is_meta:
        raise ValueError(
            f"The weights called {name!r} lie on the meta device, where they have no values: build "
            "the network on a real device and load its weights."
        )
    if value.is_complex():
        raise ValueError(f"The weights called {name!r} are complex: only real ones are supported.")
    if value.layout != torch.strided:
        raise ValueError(f"The weights called {name!r} are sparse: use value.to_dense().")
    if value.is_floating_point() and not torch.isfinite(value.detach()).all():
        raise ValueError(
            f"The weights called {name!r} are not finite (there is a NaN or an infinity): the "
            "network has no bound. Train it again, with a smaller step."
        )
