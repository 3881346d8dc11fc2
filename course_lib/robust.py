"""The closing suggestion of section 4.3, carried out: networks whose layers cannot stretch much.

The paper bounds a network by the product of its layers' norms and ends with the remark that one
might penalise these bounds; it runs no such experiment. Here are the penalty, with exact norms and
their exact gradient, and its rival, a network whose weight matrices have orthonormal rows.

A lesson calls

    net = robust.train_bounded("log-product", 0.1, dataset=few, epochs=5)    # seconds
    robust.penalty(net, kind="sum")                                          # what was penalised

and has the certificates of the result from :func:`course_lib.spectral.certified_radius`.
``benchmarks/robust.py`` chose the settings on validation images and made the record robust.json.
"""

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize

from . import device as devices
from . import models, spectral, training
from .copies import unharmed
from .data import Dataset, load_mnist
from .spectral.kinds import kind_of, stated_constant, why_unknown
from .spectral.plain import difference, is_plain, weight_now

KINDS = ("sum", "log-product")
# what keeps the layers small, in the order of the record's table
VARIANTS = ("plain", "decay", "sum", "log-product", "orthonormal")
ACTIVATIONS = ("relu", "sigmoid", "maxmin")


# ---------------------------------------------------------------- the penalty


def largest_singular_value(weight: torch.Tensor) -> torch.Tensor:
    """The operator norm of a matrix, with its gradient: a scalar tensor.

    weight: (outputs, inputs). The gradient of σ is u vᵀ, with u and v the singular vectors of σ.
    u comes from a full decomposition of the smaller Gram matrix, never from a number of power
    iterations: these stall just where a penalty leads, at several nearly equal singular values.
    An error ε in u costs σ an error of order ε². Where σ is multiple, its gradient is one of many
    (σ is then no differentiable function, but still a convex one, and u vᵀ is a subgradient).

    :func:`spectral.differentiable_norm` is for layers of any kind and certifies what it finds;
    this is for matrices in every step of a training, a fifth to a third of its time.
    Raises FloatingPointError for a NaN or an infinity among the weights.
    """
    _check_finite(weight)
    if weight.dtype in (torch.float16, torch.bfloat16):  # which have no decompositions
        return largest_singular_value(weight.float()).to(weight.dtype)
    if weight.shape[0] > weight.shape[1]:
        return largest_singular_value(weight.T)
    with torch.no_grad():
        u = torch.linalg.eigh(weight @ weight.T)[1][:, -1]
        v = F.normalize(weight.T @ u, dim=0)
    return u @ weight @ v


def _check_finite(weight: torch.Tensor) -> None:
    if not weight.isfinite().all():
        raise FloatingPointError(
            "There is a NaN or an infinity among the weights: train with a smaller learning rate, "
            "or look for one in the images."
        )


def norms_of_layers(
    net: nn.Module, input_shape: tuple[int, ...] = (1, 28, 28)
) -> list[torch.Tensor]:
    """The norms of all linear layers and convolutions of ``net``, differentiable, in its order.

    input_shape: one image's, without the batch axis; convolutions need it. Each is a scalar tensor
    on the net's device: exact for a linear layer, an upper bound for a convolution.
    Activations and pooling have constant norms, which no training changes: they are left out.
    Raises ValueError, naming it, for another layer that has parameters, for a network without any
    linear layer or convolution, and as the network does for images of a wrong shape; TypeError or
    ValueError for a ``lipschitz_constant`` that is no number from 0 on.
    """
    if not isinstance(net, nn.Module):
        raise TypeError(f"The network must be a torch module, not {type(net).__name__}.")
    layers = {}
    for name, module in net.named_modules():
        stated_constant(module)  # it is no part of the penalty, but must be one
        kind = kind_of(module)
        if kind and kind.weighted:
            layers[module] = name
        elif list(module.parameters(recurse=False)) and not _works_out_a_weight(name):
            why = f" ({why})" if (why := why_unknown(module)) else ""
            raise ValueError(
                f"The layer {name!r} is a {type(module).__name__}, whose norm is not penalised "
                f"here{why}: use linear layers and convolutions, or fold it into one of them."
            )
    if not layers:
        raise ValueError("There is no linear layer or convolution whose norm could be penalised.")
    shapes = _input_shapes(net, layers, input_shape)
    return [
        largest_singular_value(weight_now(layer))
        if is_plain(layer, (nn.Linear,))
        else spectral.differentiable_norm(layer, shapes[layer])
        for layer in layers
    ]


def _works_out_a_weight(name: str) -> bool:
    """Whether the module called ``name`` belongs to what works out a weight."""
    return "parametrizations" in name.split(".")


@torch.no_grad()
def _input_shapes(net: nn.Module, layers, input_shape) -> dict[nn.Module, tuple[int, ...]]:
    """What shape each convolution gets; without convolutions the network is not run. It is left as
    it was: running it in train mode would change the statistics of a batch normalisation."""
    convolutions = [layer for layer in layers if not is_plain(layer, (nn.Linear,))]
    shapes: dict[nn.Module, tuple[int, ...]] = {}
    hooks = [
        layer.register_forward_pre_hook(
            lambda layer, inputs: shapes.__setitem__(layer, tuple(inputs[0].shape[1:]))
        )
        for layer in convolutions
    ]
    try:
        if convolutions:
            with unharmed(net):
                net.eval()(torch.zeros(1, *input_shape, device=_device_of(net)))
    finally:
        for hook in hooks:
            hook.remove()
    return shapes


def _device_of(net: nn.Module) -> torch.device:
    # not through a layer's weight: to work that out goes on with the iteration of a spectral norm
    return next(net.parameters()).device


def penalty(
    net: nn.Module, input_shape: tuple[int, ...] = (1, 28, 28), kind: str = "log-product"
) -> torch.Tensor:
    """The upper bounds of the layers of ``net`` as a term of the loss: a scalar tensor.

    kind: "sum", Σ σ_k, the paper's words taken literally, or "log-product", Σ log σ_k, the
    logarithm of the bound on the whole network. The latter does not care how the bound is shared
    out among the layers; it has no lower bound itself, and from some strength on (1 is too much
    for 784-100-100-10) the loss falls for ever while the network shrinks to nothing.
    Multiply it by a strength; :func:`train_bounded` does, and :func:`training.train` takes it as

        training.train(net, dataset, epochs=5, penalty=lambda net: 0.1 * robust.penalty(net))

    The norm of a linear layer is exact; that of a convolution is the upper bound of
    :func:`spectral.differentiable_norm`, which is exact where the padding is circular.

    Raises ValueError for another kind, and as :func:`norms_of_layers` does.
    """
    if kind not in KINDS:
        raise ValueError(f"The kind of penalty is {' or '.join(KINDS)}, not {kind!r}.")
    norms = torch.stack(norms_of_layers(net, input_shape))
    return norms.sum() if kind == "sum" else norms.log().sum()


# ---------------------------------------------------------------- orthonormal rows


class NearestOrthonormal(torch.autograd.Function):
    """V (m, n), m <= n and of full rank, -> (V Vᵀ)^(-1/2) V, the nearest matrix whose rows are
    orthonormal.

    The derivative of G^(-1/2) in the basis of G's eigenvectors is that of G times the divided
    differences of λ^(-1/2) (Daletskii and Krein), which have a closed form; autograd's way through
    the eigenvectors would divide by λ_i - λ_j, which is near 0 here.
    """

    @staticmethod
    def forward(ctx, v: torch.Tensor) -> torch.Tensor:
        _check_finite(v)
        values, vectors = torch.linalg.eigh(v @ v.T)
        inverse_root = (vectors * values.rsqrt()) @ vectors.T
        ctx.save_for_backward(v, values.sqrt(), vectors, inverse_root)
        return inverse_root @ v

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> torch.Tensor:
        v, roots, vectors, inverse_root = ctx.saved_tensors
        differences = -1 / (roots[:, None] * roots * (roots[:, None] + roots))
        inner = vectors.T @ (gradient @ v.T) @ vectors
        of_gram = vectors @ (differences * inner) @ vectors.T
        return inverse_root @ gradient + (of_gram + of_gram.T) @ v


class OrthonormalRows(nn.Module):
    """A parametrisation of a weight matrix (outputs, inputs), outputs <= inputs: whatever the free
    parameters are, the rows of the matrix are orthonormal. Its norm is 1, and so are all of its
    singular values: what it does not drop, it keeps at its length."""

    def forward(self, free: torch.Tensor) -> torch.Tensor:
        return NearestOrthonormal.apply(free)

    def right_inverse(self, weight: torch.Tensor) -> torch.Tensor:
        return NearestOrthonormal.apply(weight)


def make_orthonormal(net: nn.Module) -> None:
    """Give all linear layers of ``net``, in place, weights with orthonormal rows that stay so in
    training, until :func:`settle_orthonormal`.

    Raises ValueError, naming the layer, where there are more outputs than inputs.
    """
    layers = {n: m for n, m in net.named_modules() if isinstance(m, nn.Linear)}
    for name, layer in layers.items():
        if why := difference(layer, nn.Linear):
            raise ValueError(
                f"The layer {name!r} need not compute what a Linear does: {why}. Orthonormal rows "
                "would not make its norm 1; use plain linear layers."
            )
        if layer.out_features > layer.in_features:
            raise ValueError(
                f"The layer {name!r} has {layer.out_features} outputs and {layer.in_features} "
                "inputs: so many rows cannot be orthonormal. Use widths that do not grow."
            )
    for layer in layers.values():
        parametrize.register_parametrization(layer, "weight", OrthonormalRows())


@torch.no_grad()
def settle_orthonormal(net: nn.Module) -> None:
    """Turn what :func:`make_orthonormal` made back into plain linear layers, in place, their rows
    orthonormal to float32's rounding (a last step in float64)."""
    ours = [
        m
        for m in net.modules()
        if parametrize.is_parametrized(m, "weight")
        and type(m.parametrizations["weight"][-1]) is OrthonormalRows
    ]
    for layer in ours:
        parametrize.remove_parametrizations(layer, "weight")
        exact = NearestOrthonormal.apply(layer.weight.cpu().double())
        layer.weight.copy_(exact)


class MaxMin(nn.Module):
    """Sorts pairs: (N, 2k) -> (N, 2k), x_i and x_(i+k) become the larger and the smaller of them.

    GroupSort with groups of two (Anil, Lucas and Grosse, 2019). It permutes its inputs, so it keeps
    every length and every gradient's length, where a ReLU loses what it sets to 0: in an
    orthonormal network with a ReLU, the bound 1 is hardly ever reached.
    """

    lipschitz_constant = 1.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second = x.chunk(2, dim=1)
        return torch.cat([torch.maximum(first, second), torch.minimum(first, second)], dim=1)


class MarginLoss:
    """Cross-entropy after the true logit was lowered by ``margin``, at ``temperature``, a mean.

    A network of norm 1 cannot make its logits large, so that plain cross-entropy would ask it for
    impossible confidence and spend its efforts on images that are right already. With logits
    z - margin · onehot(y), divided by the temperature, images have little loss once they lead by
    the margin; with orthonormal last rows that is a certified radius of margin/√2.
    """

    def __init__(self, margin: float, temperature: float):
        self.margin, self.temperature = margin, temperature

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        lowered = logits - self.margin * F.one_hot(labels, logits.shape[1])
        return F.cross_entropy(lowered / self.temperature, labels)


# ---------------------------------------------------------------- training


def build(
    activation: str = "relu", hidden: tuple[int, ...] = (100, 100), seed: int = 0
) -> nn.Sequential:
    """An untrained network: 28 x 28 pixels, fully connected layers ``hidden`` wide, 10 logits.

    Layers are called flatten, fc1, relu1 (sigmoid1, maxmin1), fc2, ...; the first weights of a seed
    are the same for all activations. Raises ValueError for an unknown activation, widths that are
    not positive, and odd ones with "maxmin", which sorts pairs.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"There is no activation called {activation!r}: use one of {', '.join(ACTIVATIONS)}."
        )
    if any(width < 1 for width in hidden):
        raise ValueError(f"Widths must be positive, and {tuple(hidden)} are not.")
    pairs = activation == "maxmin"
    if pairs and any(width % 2 for width in hidden):
        raise ValueError(f"The activation maxmin sorts pairs: the widths {hidden} must be even.")
    architecture = models.Architecture(tuple(hidden), "relu" if pairs else activation)
    net = models.assemble(architecture, models.initial_seed("robust", seed))
    if not pairs:
        return net
    layers = OrderedDict()
    for name, module in net.named_children():
        sorts = isinstance(module, nn.ReLU)
        layers[name.replace("relu", "maxmin")] = MaxMin() if sorts else module
    return nn.Sequential(layers)


def train_bounded(
    variant: str = "log-product",
    strength: float | None = None,
    *,
    activation: str = "relu",
    hidden: tuple[int, ...] = (100, 100),
    margin: float | None = None,
    temperature: float | None = None,
    dataset: Dataset | None = None,
    epochs: int = 10,
    learning_rate: float = 1e-2,
    batch_size: int = 256,
    seed: int = 0,
    device=None,
    progress: bool = True,
) -> nn.Sequential:
    """A network trained with one of five ways to keep its layers' norms small, in eval mode.

    variant, and what ``strength`` (not negative) then multiplies in the loss:
        "plain": nothing, and no strength;
        "decay": Σ w²/2, the usual weight decay;
        "sum", "log-product": the layers' upper bounds, see :func:`penalty`;
        "orthonormal": no strength either; all weight matrices have orthonormal rows, and the loss
        is :class:`MarginLoss` with ``margin`` (default 1) and ``temperature`` (default 1/4), which
        the other variants do not have.
    activation, hidden, seed: see :func:`build`; the seed is also that of the images' order.
    dataset: default MNIST's training images. epochs, learning_rate, batch_size, progress: of
    :func:`training.train`. On one core 10 epochs of all images take about 7 s ("plain", "decay"),
    12 s (the penalties) or 20 s ("orthonormal") at the default size, and 5 epochs of 20 000 images,
    for a demonstration, 2 to 5 s.

    Raises ValueError, before any training, for an unknown variant or activation, a strength that is
    missing, negative, or given to a variant without one, a margin or temperature likewise (they
    must be positive), and what :func:`build`, :func:`make_orthonormal` and :func:`training.train`
    refuse.
    """
    _check(variant, strength, margin, temperature)
    net = build(activation, hidden, seed)
    steps = {}
    if variant == "orthonormal":
        make_orthonormal(net)
        steps["loss"] = MarginLoss(margin or 1.0, temperature or 0.25)
    elif variant == "decay":
        steps["decay"] = strength
    elif variant in KINDS:
        steps["penalty"] = lambda net: strength * penalty(net, kind=variant)
    net.to(devices.pick(device))
    training.train(
        net,
        dataset or load_mnist("train", next(net.parameters()).device),
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        seed=models.initial_seed("robust", seed),
        progress=progress,
        **steps,
    )
    if variant == "orthonormal":
        settle_orthonormal(net)
    return net


def _check(variant: str, strength, margin, temperature) -> None:
    if variant not in VARIANTS:
        raise ValueError(
            f"There is no variant called {variant!r}: use one of {', '.join(VARIANTS)}."
        )
    with_strength = ("decay", *KINDS)
    if variant not in with_strength and strength is not None:
        raise ValueError(
            f"The variant {variant!r} has no strength, and {strength} was given: leave it out, or "
            f"use one of {', '.join(with_strength)}."
        )
    if variant in with_strength and strength is None:
        raise ValueError(f"The variant {variant!r} needs a strength, say 0.1 for log-product.")
    if strength is not None and not 0 <= strength < float("inf"):
        raise ValueError(
            f"The strength must not be negative: {strength} would reward layers that stretch."
        )
    for name, value in {"margin": margin, "temperature": temperature}.items():
        if value is None:
            continue
        if variant != "orthonormal":
            raise ValueError(
                f"The {name} belongs to the loss of the variant 'orthonormal', and {variant!r} "
                "has none: leave it out."
            )
        if not 0 < value < float("inf"):
            raise ValueError(f"The {name} must be positive, not {value}.")
