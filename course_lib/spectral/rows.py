"""The table of a network: a row for each step that does something, and its norm."""

import dataclasses
import math

from .layers import norm_row
from .logarithms import log
from .steps import Step


@dataclasses.dataclass(frozen=True)
class StepRow:
    """One row of the table: a step of the network and its norm between two bounds.

    name: of the module, or of the node in the graph; the rest as in
    :class:`~course_lib.spectral.layers.NormRow`.
    """

    name: str
    kind: str
    size: str
    stride: str
    lower: float
    upper: float
    method: str
    seconds: float


def step_rows(steps: list[Step]) -> tuple[list[StepRow], list[float]]:
    """A row for each step that does something, and the log of each step's norm, from above."""
    layers, norms, seen = [], [], {}
    for step in steps:
        if step.kind in ("input", "reshape", "permute"):
            norms.append(0.0)
            continue
        shape = steps[step.inputs[0]].shape
        key = (id(step.module), shape)
        if step.kind in ("sum", "cat"):
            row = joined_row(step)
        elif key in seen:
            row = dataclasses.replace(seen[key], name=step.name, seconds=0.0)
        else:
            row = seen[key] = layer_row(step, shape)
        layers.append(row)
        norms.append(0.0 if step.kind in ("sum", "cat") else log(row.upper))
    return layers, norms


def joined_row(step: Step) -> StepRow:
    kind, method = ("Sum", "added") if step.kind == "sum" else ("Concatenation", "Pythagoras")
    constant = math.sqrt(len(step.inputs)) if step.kind == "sum" else 1.0
    size = f"{len(step.inputs)} branches"
    return StepRow(step.name, kind, size, "", constant, constant, method, 0.0)


def layer_row(step: Step, shape) -> StepRow:
    """The row of one layer; ValueError, naming it, if it cannot be bounded."""
    if step.slopes is not None:  # read off the module with the graph
        value, method = step.slopes.steepest, "slope" if step.kind == "slope" else "stated"
        kind, size = type(step.module).__name__, " x ".join(map(str, step.shape))
        return StepRow(step.name, kind, size, "", value, value, method, 0.0)
    try:
        found = norm_row(step.module, shape)
    except (TypeError, ValueError) as error:
        raise ValueError(f"The layer {step.name!r} cannot be bounded: {error}") from None
    return StepRow(
        step.name,
        found.kind,
        found.size,
        "" if found.stride is None else " x ".join(map(str, found.stride)),
        found.lower,
        found.upper,
        found.method,
        found.seconds,
    )
