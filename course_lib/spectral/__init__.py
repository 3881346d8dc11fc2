"""Exact operator norms, and bounds that sandwich the truth (section 4.3 of the paper).

``geometry``     a convolution in numbers
``fourier``      the frequency domain: exact norms of circulants, with a certificate
``operators``    layers as linear maps: matrices, Lanczos, certificates for small layers
``pooling``      which windows a pixel is in, and what follows
``layers``       the norm of a layer, whatever its kind
``graph``        a network as a list of steps, read off its torch.fx graph
``networks``     bounds of a whole network: the product, a tighter one, one from below
``certificates`` the radius around an image within which no change of class is possible
``local``        the same, on the ball itself; ``pooled`` with convolutions and max pooling
"""

from .certificates import (
    METHODS,
    certified_accuracy,
    certified_radii,
    certified_radius,
    margins,
)
from .layers import (
    LocalContrastNormalisation,
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
    symbols,
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
