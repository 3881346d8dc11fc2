"""Exact operator norms, and bounds that sandwich the truth (section 4.3 of the paper).

One layer, in the order to read them:

``layers``       the norm of a layer, whatever its kind: what is called from outside
``kinds``        the table of the kinds of layers, one entry each; ``rules`` what an entry says
``geometry``     a convolution in numbers
``convolutions`` what their entry says; ``embedding`` bounds of those that are no circulants
``fourier``      the frequency domain: exact norms of circulants, with a certificate
``operators``    layers as linear maps: matrices, Lanczos, certificates for small layers
``linear``, ``pooling``, ``padding``, ``diagonals``, ``activations``   the other entries

A whole network:

``networks``     its bounds and its table: what is called from outside
``graph``        the network as a list of ``steps``, by ``reading`` its torch.fx graph
``plain``        whether a module computes what its class does; else it is read by its operations
``tracing``, ``guard``   read without being touched, and held against how it runs
``composites``   the norm of a layer with a forward of its own
``rows``         the table, a row for each step
``bounds``       from above: the product, and a tighter one; ``logarithms`` of both
``lipsdp``       the tightest, by a multiplier for each unit, and its proof
``blocks``       the same of residual and convolutional networks, by ``multipliers`` for channels
                 and the ``responses`` of a block at each frequency
``ascent``       from below: the largest slope that is found
``certificates`` the radius around an image within which no change of class is possible
``local``        the same, on the ball itself; ``pooled`` with convolutions and max pooling;
                 ``refined`` with sizes that are searched for each image
"""

from .activations import LocalContrastNormalisation
from .certificates import (
    METHODS,
    certified_accuracy,
    certified_radii,
    certified_radius,
    margins,
)
from .convolutions import symbols
from .layers import (
    NormBounds,
    NormRow,
    differentiable_norm,
    explicit_matrix,
    fold_batch_norm,
    norm_bounds,
    norm_row,
    operator_norm,
    singular_values,
    slope_range,
)
from .networks import Lipschitz, lipschitz

__all__ = [
    "METHODS",
    "Lipschitz",
    "LocalContrastNormalisation",
    "NormBounds",
    "NormRow",
    "certified_accuracy",
    "certified_radii",
    "certified_radius",
    "differentiable_norm",
    "explicit_matrix",
    "fold_batch_norm",
    "lipschitz",
    "margins",
    "norm_bounds",
    "norm_row",
    "operator_norm",
    "singular_values",
    "slope_range",
    "symbols",
]
