"""Whole residual and convolutional networks, from above, block by block.

The network is cut where every way through it passes one value. Between two cuts lies a layer, whose
norm is known, or a block of convolutions and activations, of which :mod:`.multipliers` may prove
less than its layers' norms give. The network's bound is the product of them all.
"""

import math

from .bounds import NetworkBounds
from .logarithms import log_sum, rounded_up
from .multipliers import bounded
from .responses import Block, Unfit

WIDEST = 2304  # coefficients of the variables of a block
DEEP = 512  # coefficients up to which a block goes on beyond its first activations
MOST = 4  # layers of activations within
FARTHEST = 24  # cuts from a block's begin to its end
# cubes of the matrices of all blocks of a network, the cheapest ones first; less where the layers
# take long themselves, TAKEN for each multiplication of an image
WORK, TAKEN, LEAST = 3.0e11, 30.0, 5.0e10


def cuts(bounds: NetworkBounds) -> list[int]:
    """The steps that every way through the network passes, in order."""
    reach, found = 0, []
    last = [0] * len(bounds.steps)
    for i, step in enumerate(bounds.steps):
        for j in step.inputs:
            last[j] = i
    for i in range(len(bounds.steps)):
        if reach <= i:
            found.append(i)
        reach = max(reach, last[i])
    return found


def joined(bounds: NetworkBounds, begin: int, end: int) -> float:
    """log of the bound of the steps after ``begin`` up to ``end`` by their norms."""
    found = {begin: 0.0}
    for i in range(begin + 1, end + 1):
        step = bounds.steps[i]
        values = [found[j] for j in step.inputs]
        if step.kind == "sum":
            found[i] = log_sum(values)
        elif step.kind == "cat":
            found[i] = log_sum([2 * v for v in values]) / 2
        else:
            found[i] = values[0] + bounds.norms[i]
        found[i] = rounded_up(found[i])
    return found[end]


def planned(bounds: NetworkBounds) -> list[tuple[int, int, Block | None]]:
    """The network as parts (begin, end, its block or None), one after the other.

    From each cut the shortest part that has an activation within is a block; a narrow one goes on
    as far as it may. An activation behind it belongs to it.
    """
    steps, at = bounds.steps, cuts(bounds)
    found, k = [], 0
    while k + 1 < len(at):
        chosen = None
        for m in range(k + 1, min(k + FARTHEST, len(at) - 1) + 1):
            within = any(step.kind == "slope" for step in steps[at[k] + 1 : at[m]])
            if not within or steps[at[m]].kind == "slope":
                continue
            try:
                block = Block(steps, at[k], at[m])
            except Unfit:
                break
            wide = block.size > (WIDEST if chosen is None else DEEP)
            if wide or len(block.slopes) > MOST:
                break
            chosen = m, block
        m, block = chosen or (k + 1, None)
        if block and m + 1 < len(at) and steps[at[m + 1]].kind == "slope":
            m += 1
        found.append((at[k], at[m], block))
        k = m
    return found


def of_network(bounds: NetworkBounds) -> tuple[float, int]:
    """log of the bound by blocks, and how many blocks gave less than their layers' norms."""
    parts = planned(bounds)
    values = [joined(bounds, begin, end) for begin, end, _ in parts]
    order = (i for i, (_, _, block) in enumerate(parts) if block is not None)
    allowed = min(WORK, max(WORK - TAKEN * sum(bounds.costs), LEAST))
    spent, better = 0.0, 0
    for i in sorted(order, key=lambda i: parts[i][2].work):
        _, end, block = parts[i]
        if values[i] == -math.inf or spent + block.work > allowed:
            continue
        spent += block.work
        # what lies behind the block's end is one activation at most
        behind = bounds.norms[end] if end != block.end else 0.0
        value = rounded_up(bounded(block) + behind)
        if value < values[i]:
            values[i], better = value, better + 1
    return rounded_up(sum(values)), better


def whole(bounds: NetworkBounds, value: float, how: str) -> tuple[float, str]:
    """log of the bound of the whole network and a sentence on how; ``value`` and ``how``, those of
    another bound, unless it is below that."""
    found, better = of_network(bounds)
    if not better or found >= value:
        return value, how
    blocks = "a block" if better == 1 else f"each of {better} blocks"
    return found, f"LipSDP with multipliers for the channels of {blocks}, frequency by frequency"
