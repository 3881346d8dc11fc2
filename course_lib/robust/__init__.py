"""Training that makes a network harder to fool: the paper's pools (section 4.2), and its closing
suggestion (section 4.3) with what it competes with.

``penalties``    the layers' upper bounds as a term of the loss, with their exact gradient
``orthonormal``  layers that cannot stretch at all
``globally_robust``  a loss with a class for what is not certified
``bounded``      :func:`train_bounded`, networks trained with one of them

``places``       where in a network examples can be made: the pixels, and each layer's output
``examples``     examples made there: by one step, by several, by the attack
``pools``        a pool of examples of which a random part is replaced all the time
``objectives``   what each training lowers in a step
``against``      :func:`train_against`, the paper's procedure and seven others, one call for all

A lesson calls

    net = robust.train_bounded("log-product", 0.1, dataset=few, epochs=5)    # seconds
    robust.penalty(net, kind="sum")                                          # what was penalised
    hard = robust.train_against("pools", 1.0, dataset=few, epochs=5)         # .net, .attack_share

``benchmarks/robust.py`` and ``benchmarks/pools.py`` chose the settings on validation images and
made the records robust.json and pools.json.
"""

from .against import AGAINST, Hardened, train_against
from .bounded import ACTIVATIONS, VARIANTS, build, train_bounded
from .examples import Nearest, nearest, several_steps, single_step, virtual_step
from .globally_robust import GloballyRobustLoss
from .orthonormal import (
    MarginLoss,
    MaxMin,
    NearestOrthonormal,
    OrthonormalRows,
    make_orthonormal,
    settle_orthonormal,
)
from .penalties import KINDS, largest_singular_value, norms_of_layers, penalty
from .places import Place, places
from .pools import Pool

__all__ = [
    "ACTIVATIONS",
    "AGAINST",
    "KINDS",
    "VARIANTS",
    "GloballyRobustLoss",
    "Hardened",
    "MarginLoss",
    "MaxMin",
    "Nearest",
    "NearestOrthonormal",
    "OrthonormalRows",
    "Place",
    "Pool",
    "build",
    "largest_singular_value",
    "make_orthonormal",
    "nearest",
    "norms_of_layers",
    "penalty",
    "places",
    "settle_orthonormal",
    "several_steps",
    "single_step",
    "train_against",
    "train_bounded",
    "virtual_step",
]
