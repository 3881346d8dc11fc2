"""Adversarial examples (section 4.1 and 4.2 of the paper).

``minimal``      :func:`minimal_adversarial`, the smallest change that leads to a mistake
``routes``       the ways to it, and which classes are worth one
``turns``        several ways in turn, for images where the first one does not settle
``ways``         what these ways are
``penalty``      the paper's way: box-constrained L-BFGS on c·|r| + loss, and the search for c
``sqp``          to the boundary itself, for smooth networks
``averaging``    the same for networks with kinks
``descent``      the same where gradients turn quickly: steps of a fixed length
``metering``     gradients counted, for a budget
``linear``       the exact answer for linear networks, by the quadratic program of ``dual``
``exact``        the attack on a network that turns out to be linear
``proven``       lower and upper bounds for networks of rectified units, by ``branching`` on
                 the dual of their ``relaxation`` and exact programs in ``regions``; ``rectified``
``lines``        what can be found without a gradient
``conditions``   whether a point that is returned is a nearest one, in numbers
``first_order``  FGSM and DeepFool
``measures``     the distortion, noise and amplification, the rules for targets
``result``, ``status``, ``rounding``  what is returned, why a search ended, images of eight bits
``losses``, ``problem``, ``checking``, ``asking``  what these share
"""

from .branching import Proof
from .first_order import FirstOrder, deepfool, fgsm
from .linear import ExactMinimum, dual_bound, exact_minimum, linear_distance, linear_map
from .measures import (
    all_targets,
    amplify,
    distortion,
    gaussian_noise,
    next_targets,
    random_targets,
    recorded_targets,
)
from .minimal import minimal_adversarial
from .proven import ProvenMinimum, proven_minimum
from .result import Adversarial, Call
from .status import Status

__all__ = [
    "Adversarial",
    "Call",
    "ExactMinimum",
    "FirstOrder",
    "Proof",
    "ProvenMinimum",
    "Status",
    "all_targets",
    "amplify",
    "deepfool",
    "distortion",
    "dual_bound",
    "exact_minimum",
    "fgsm",
    "gaussian_noise",
    "linear_distance",
    "linear_map",
    "minimal_adversarial",
    "next_targets",
    "proven_minimum",
    "random_targets",
    "recorded_targets",
]
