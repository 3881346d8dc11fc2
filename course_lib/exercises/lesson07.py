"""The exercises of lesson 07: bounds of whole networks, certificates, the sandwich, the penalty."""

import copy
import decimal
import itertools
import math

import numpy as np
import torch
from torch import nn

from course_lib.exercises import (
    Case,
    Exercise,
    Mistake,
    Option,
    Prediction,
    Quiz,
    ShortAnswer,
)

IMAGE = (1, 3, 4)  # of the little networks that the checks make up


def _draw(rng, *shape):
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def _linear(rng, inputs, outputs, scale=1.0):
    """A linear layer of its own: weights (outputs, inputs) and biases, in double precision."""
    layer = nn.Linear(inputs, outputs, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(_draw(rng, outputs, inputs) * scale / inputs**0.5)
        layer.bias.copy_(_draw(rng, outputs))
    return layer


def _network(rng, *widths, activation=nn.Sigmoid, scale=1.0):
    layers = [nn.Flatten()]
    for inputs, outputs in itertools.pairwise(widths):
        layers += [_linear(rng, inputs, outputs, scale), activation()]
    return nn.Sequential(*layers[:-1]).eval()


def _linear_layers(net):
    return [module for module in net.modules() if isinstance(module, nn.Linear)]


def _norm(matrix):
    return torch.linalg.matrix_norm(matrix, 2)


# --- log-bound -------------------------------------------------------------------------------

SLOPES = {"sigmoid": 0.25, "tanh": 1.0, "relu": 1.0}


def bound_cases(rng):
    def norms(count, low, high):
        return (low + (high - low) * torch.rand(count, generator=rng).double()).tolist()

    yield Case("two layers and a sigmoid", [2.0, 3.0], ["sigmoid"])
    yield Case("one layer", [9.25], [])
    yield Case("two sigmoids", [7.5, 10.5, 9.75], ["sigmoid", "sigmoid"])
    yield Case("rectified", norms(4, 2, 6), ["relu"] * 3)
    yield Case("one of each", norms(4, 0.5, 4), ["tanh", "sigmoid", "relu"])
    yield Case("a bound below 1", norms(3, 0.05, 0.3), ["sigmoid", "tanh"])
    yield Case("200 layers of norm 100", [100.0] * 200, ["relu", "sigmoid"] * 99 + ["tanh"])


def bound_of_decimals(norms, activations):
    """The product itself, in decimal numbers that do not overflow, and its logarithm."""
    with decimal.localcontext(prec=40):
        product = decimal.Decimal(1)
        for factor in [*norms, *(SLOPES[name] for name in activations)]:
            product *= decimal.Decimal(float(factor))
        return float(product.ln())


def bound_with_torch(norms, activations):
    slopes = {"sigmoid": 0.25}
    factors = [*norms, *(slopes.get(name, 1.0) for name in activations)]
    return torch.tensor(factors, dtype=torch.float64).log().sum()


def bound_by_counting(norms, activations):
    return float(np.log(norms).sum()) - math.log(4) * activations.count("sigmoid")


def _with_slopes(**slopes):
    def wrong(norms, activations):
        factors = [*norms, *({**SLOPES, **slopes}[name] for name in activations)]
        return float(np.sum(np.log(factors)))

    return wrong


def log_of_product(norms, activations):
    slopes = {"sigmoid": 0.25, "tanh": 1.0, "relu": 1.0}
    product = math.prod(norms) * math.prod(slopes[name] for name in activations)
    return math.log(product)


def the_bound_itself(norms, activations):
    slopes = {"sigmoid": 0.25, "tanh": 1.0, "relu": 1.0}
    return math.prod(norms) * math.prod(slopes[name] for name in activations)


def slope_once(norms, activations):
    return float(np.log(norms).sum()) - math.log(4) * ("sigmoid" in activations)


def slope_for_every_layer(norms, activations):
    return float(np.log(norms).sum()) - math.log(4) * len(norms)


def slopes_added(norms, activations):
    slopes = {"sigmoid": 0.25, "tanh": 1.0, "relu": 1.0}
    return float(np.log(norms).sum()) + sum(slopes[name] for name in activations)


LOG_BOUND = Exercise(
    slug="log-bound",
    title="A product that does not overflow",
    difficulty=1,
    minutes=5,
    hints=[
        "The logarithm of a product is the sum of the logarithms, which does not overflow.",
        "Every activation is a factor, too: its largest slope. 1 for relu and tanh. The sigmoid is "
        "steepest at 0, where its slope is σ(0)(1 - σ(0)).",
    ],
    cases=bound_cases,
    oracle=bound_of_decimals,
    on_device=False,
    valid=lambda got, want, case: bool(np.isfinite(got) and got >= want - 1e-9),
    loose="It is an upper bound on every network here, but a larger one than needed.",
    mistakes=[
        Mistake(
            "overflow",
            "The product is formed first and its logarithm taken then: with 200 layers the product "
            "overflows, and its logarithm is infinite. Add logarithms instead.",
            log_of_product,
            right_shape=True,
        ),
        Mistake(
            "the bound",
            "This is the bound itself: its natural logarithm is asked for.",
            the_bound_itself,
            right_shape=True,
        ),
        Mistake(
            "slope 1",
            "Every activation counts as 1. That is a valid bound, since no slope is larger. But "
            "the sigmoid's slope is at most 1/4, and each sigmoid makes your bound four times too "
            "large.",
            _with_slopes(sigmoid=1.0),
            right_shape=True,
            loose=True,
        ),
        Mistake(
            "slope 1/2",
            "The sigmoid counts as 1/2, which is its value at 0. A valid bound, but its slope "
            "there is σ(0)(1 - σ(0)) = 1/4.",
            _with_slopes(sigmoid=0.5),
            right_shape=True,
            loose=True,
        ),
        Mistake(
            "one sigmoid",
            "Only one sigmoid counts, however many there are: a valid bound, but each brings its "
            "own factor 1/4.",
            slope_once,
            right_shape=True,
            loose=True,
        ),
        Mistake(
            "1/4 for tanh",
            "The slope of tanh is taken to be 1/4, and it is 1 at 0: this is no upper bound. "
            "Indeed tanh t = 2σ(2t) - 1 is four times as steep as the sigmoid.",
            _with_slopes(tanh=0.25),
            right_shape=True,
        ),
        Mistake(
            "1/4 for all",
            "Every activation counts as 1/4, rectified units as well: their slope is 1 where they "
            "are active, so this is no upper bound.",
            _with_slopes(tanh=0.25, relu=0.25),
            right_shape=True,
        ),
        Mistake(
            "1/4 for every layer",
            "There is a factor 1/4 for each layer, whatever follows it: only the sigmoids that are "
            "listed count, and after the last layer there is none.",
            slope_for_every_layer,
            right_shape=True,
        ),
        Mistake(
            "slopes added",
            "The slopes are added as they are: they are factors of the product, so their "
            "logarithms are added. That this is a bound is luck.",
            slopes_added,
            right_shape=True,
            loose=True,
        ),
        Mistake(
            "log10",
            "This is the logarithm to the base 10: the natural one is asked for.",
            lambda norms, activations: bound_by_counting(norms, activations) / math.log(10),
            right_shape=True,
        ),
        Mistake(
            "log2",
            "This is the logarithm to the base 2: the natural one is asked for.",
            lambda norms, activations: bound_by_counting(norms, activations) / math.log(2),
            right_shape=True,
        ),
    ],
    variants=[bound_with_torch, bound_by_counting],
    done="Also where the product itself is 1e300 or more.",
)

# --- local-stretch ---------------------------------------------------------------------------


def stretch_cases(rng):
    def image():
        return torch.rand(*IMAGE, generator=rng, dtype=torch.float64)

    one = nn.Sequential(nn.Flatten(), _linear(rng, 4, 2))
    yield Case("one layer, two logits", one, torch.rand(1, 2, 2, generator=rng).double())
    yield Case("one layer, five logits", _network(rng, 12, 5), image())
    yield Case("sigmoids", _network(rng, 12, 8, 6, 5, scale=4.0), image())
    yield Case(
        "rectified units", _network(rng, 12, 9, 7, 4, activation=nn.ReLU, scale=2.0), image()
    )
    wide = _network(rng, 3, 20, 10, activation=nn.Tanh, scale=3.0)
    yield Case("more logits than pixels", wide, torch.rand(1, 1, 3, generator=rng).double())


@torch.no_grad()
def stretch_by_differences(net, image):
    """Central differences, pixel by pixel, and NumPy's singular values."""
    columns = []
    for k in range(image.numel()):
        step = torch.zeros(image.numel(), dtype=image.dtype)
        step[k] = 1e-6
        step = step.reshape(image.shape)
        columns.append((net((image + step)[None]) - net((image - step)[None]))[0] / 2e-6)
    return np.linalg.svd(torch.stack(columns, 1).numpy(), compute_uv=False)[0]


def stretch_row_by_row(net, image):
    x = image[None].clone().requires_grad_()
    logits = net(x)[0]
    rows = [torch.autograd.grad(z, x, retain_graph=True)[0].flatten() for z in logits]
    return torch.linalg.svdvals(torch.stack(rows))[0]


def stretch_of_gram(net, image):
    jacobian = torch.autograd.functional.jacobian(net, image[None]).reshape(-1, image.numel())
    return torch.linalg.eigvalsh(jacobian @ jacobian.T)[-1].sqrt()


def _jacobian(net, image):
    return torch.func.jacrev(lambda x: net(x[None])[0])(image).flatten(1)


def winners_gradient(net, image):
    return _jacobian(net, image)[net(image[None])[0].argmax()].norm()


def plain_gain(net, image):
    return net(image[None]).norm() / image.norm()


def of_softmax(net, image):
    return _norm(torch.func.jacrev(lambda x: net(x[None])[0].softmax(0))(image).flatten(1))


LOCAL_STRETCH = Exercise(
    slug="local-stretch",
    title="How much the network stretches here",
    difficulty=2,
    minutes=7,
    hints=[
        "Near an image the network is its derivative: f(x + r) is about f(x) + J r, with J the "
        "matrix of the derivatives of the logits with respect to the pixels. A matrix stretches "
        "by its largest singular value at most.",
        "`torch.func.jacrev(f)(image)` is the Jacobian of f at the image; let f add the batch axis "
        "and take it off again: f = lambda x: net(x[None])[0].",
        "It comes with the axes (logits, channel, height, width): flatten all but the first, and "
        "take `torch.linalg.matrix_norm(..., 2)`.",
    ],
    cases=stretch_cases,
    oracle=stretch_by_differences,
    on_device=False,
    mistakes=[
        Mistake(
            "Frobenius",
            "This is the Frobenius norm of the Jacobian, all its squares added up. No direction is "
            "stretched that much: as a lower bound of L it is wrong. The largest singular value is "
            "asked for.",
            lambda net, image: _jacobian(net, image).norm(),
            right_shape=True,
        ),
        Mistake(
            "the winner's gradient",
            "This is the length of the gradient of one logit, the largest one. It is a lower "
            "bound, but f has all the logits, and a change moves them together.",
            winners_gradient,
            right_shape=True,
        ),
        Mistake(
            "the longest gradient",
            "This is the longest gradient among those of the single logits, the longest row of "
            "the Jacobian. A change moves several logits at once, and the largest singular value "
            "is at least as large.",
            lambda net, image: _jacobian(net, image).norm(dim=1).max(),
            right_shape=True,
        ),
        Mistake(
            "the sum's gradient",
            "This is the gradient of the sum of the logits, what `net(x).sum().backward()` gives: "
            "logits that move against each other cancel in it.",
            lambda net, image: _jacobian(net, image).sum(0).norm(),
            right_shape=True,
        ),
        Mistake(
            "σ²",
            "This is the square of the largest singular value, the largest eigenvalue of J Jᵀ: "
            "take the root.",
            lambda net, image: _norm(_jacobian(net, image)) ** 2,
            right_shape=True,
        ),
        Mistake(
            "norm between largest entries",
            "This is the matrix norm that belongs to the maximum norm, the largest sum of a row's "
            "absolute values. For lengths in L2 it is the largest singular value: order 2.",
            lambda net, image: torch.linalg.matrix_norm(_jacobian(net, image), math.inf),
            right_shape=True,
        ),
        Mistake(
            "nuclear norm",
            "This is the sum of all singular values, and only the largest one counts.",
            lambda net, image: torch.linalg.matrix_norm(_jacobian(net, image), "nuc"),
            right_shape=True,
        ),
        Mistake(
            "smallest singular value",
            "This is the smallest singular value: torch sorts them in descending order.",
            lambda net, image: torch.linalg.svdvals(_jacobian(net, image))[-1],
            right_shape=True,
        ),
        Mistake(
            "output over input",
            "This is the length of the logits over that of the image. L is about differences: how "
            "much the logits change when the image changes.",
            plain_gain,
            right_shape=True,
        ),
        Mistake(
            "of the probabilities",
            "This is the Jacobian after a softmax. The network gives logits, and the bound is one "
            "of the logits.",
            of_softmax,
            right_shape=True,
        ),
    ],
    variants=[stretch_row_by_row, stretch_of_gram],
    done="No upper bound of this network can be smaller, wherever the image lies.",
    equivalent_mutants={
        "- jacobian = torch.func.jacrev(lambda x: net(x[None])[0])(image) / "
        "+ jacobian = torch.func.jacrev(lambda x: net(x[None])[-1])(image)": "The batch has one "
        "image, which is the first and the last."
    },
)

# --- two-layer-bound -------------------------------------------------------------------------


def two_layer_cases(rng):
    def double(rows):
        return torch.tensor(rows, dtype=torch.float64)

    def cancelling(units):
        """Hidden units that are all alike and are added and subtracted in turn: BA = 0."""
        signs = torch.ones(1, units, dtype=torch.float64)
        signs[:, 1::2] = -1
        return torch.ones(units, 1, dtype=torch.float64), signs

    yield Case("one hidden unit", double([[3.0]]), double([[2.0]]), 0.25)
    yield Case("one hidden unit, slope 2", double([[3.0]]), double([[2.0]]), 2.0)
    yield Case("two units that cancel, slope 1/2", *cancelling(2), 0.5)
    yield Case("two units that cancel, slope 2", *cancelling(2), 2.0)
    yield Case(
        "two that do not meet",
        double([[2.0, 0.0], [0.0, 1.0]]),
        double([[0.0, 1.0], [0.0, 3.0]]),
        1.0,
    )
    yield Case("sigmoids", 3 * _draw(rng, 5, 6), _draw(rng, 3, 5), 0.25)
    yield Case("rectified", _draw(rng, 6, 4), _draw(rng, 3, 6), 1.0)
    yield Case("slope 2", _draw(rng, 4, 5), _draw(rng, 2, 4), 2.0)
    first = _draw(rng, 5, 7)
    yield Case("well aligned", first, first.T.clone()[:4] + 0.3 * _draw(rng, 4, 5), 1.0)
    # two of the 2^14 patterns reach 7 s, and a search that tries a few hundred meets neither
    yield Case("fourteen units that cancel", *cancelling(14), 1.0)


def two_layer_of_numpy(first, second, slope):
    """By eigenvalues, and with the two parts taken apart as in the derivation."""

    def norm(a):
        return float(np.sqrt(np.linalg.eigvalsh(a @ a.T)[-1]))

    a, b = first.numpy(), second.numpy()
    straight = norm(slope / 2 * b @ a)
    bent = norm(b) * (slope / 2) * norm(a)
    return straight + bent


def largest_corner(first, second, slope):
    """The largest ‖B D A‖ over the corners D in {0, slope}^hidden: no bound can be smaller."""
    corners = itertools.product((0.0, slope), repeat=len(first))
    diagonals = torch.tensor(list(corners), dtype=first.dtype)
    return torch.linalg.matrix_norm(second @ (diagonals[:, :, None] * first), 2).max()


def valid_two_layer(got, want, case):
    """Whether ``got`` is no smaller than what some pattern of slopes reaches."""
    return bool(np.isfinite(got).all() and got >= float(largest_corner(*case.args)) - 1e-9)


def two_layer_svd(first, second, slope):
    def norm(matrix):
        return torch.linalg.svdvals(matrix)[0]

    middle = slope / 2 * torch.eye(len(first), dtype=first.dtype)
    return norm(second @ middle @ first) + norm(second) * norm(first) * slope / 2


def two_layer_arrays(first, second, slope):
    a, b = first.detach().numpy(), second.detach().numpy()
    product = np.linalg.norm(a, 2) * np.linalg.norm(b, 2)
    return slope * (np.linalg.norm(b @ a, 2) + product) / 2


def geometric_two_layer(first, second, slope):
    return slope * (_norm(second @ first) * _norm(second) * _norm(first)).sqrt()


def frobenius_two_layer(first, second, slope):
    return slope / 2 * ((second @ first).norm() + second.norm() * first.norm())


TWO_LAYER_BOUND = Exercise(
    slug="two-layer-bound",
    title="Two layers at once",
    difficulty=3,
    minutes=9,
    hints=[
        "Put σ(t) = s/2 · t + s/2 · ψ(t) into B σ(A x): one part is linear in x, the other is not.",
        "The linear part is s/2 · BA x, one matrix. The other part goes through three steps, A, ψ "
        "and B, whose constants are ‖A‖, 1 and ‖B‖, times s/2.",
        "The stretch of a sum is at most the sum of the stretches.",
    ],
    cases=two_layer_cases,
    oracle=two_layer_of_numpy,
    on_device=False,
    valid=valid_two_layer,
    loose="In none of the cases does a pattern of slopes stretch more than this, so nothing here "
    "speaks against it as a bound, but it is another number than the one derived above.",
    mistakes=[
        Mistake(
            "the product",
            "This is s‖B‖‖A‖, the product as before: valid, and what was to be improved on. The "
            "linear half of σ can be multiplied out.",
            lambda first, second, slope: slope * _norm(second) * _norm(first),
            right_shape=True,
            loose=True,
        ),
        Mistake(
            "as if linear",
            "This is s‖BA‖, the norm of the two layers with nothing between them. It is no bound: "
            "σ switches units off, and with that it undoes cancellations in BA.",
            lambda first, second, slope: slope * _norm(second @ first),
            right_shape=True,
        ),
        Mistake(
            "the linear half alone",
            "This is the linear half of σ alone, s/2 ‖BA‖: the other half, ψ, stretches too.",
            lambda first, second, slope: slope / 2 * _norm(second @ first),
            right_shape=True,
        ),
        Mistake(
            "the bent half alone",
            "This is the part with ψ alone, s/2 ‖B‖‖A‖: the linear half is missing, and without "
            "it this is no bound.",
            lambda first, second, slope: slope / 2 * _norm(second) * _norm(first),
            right_shape=True,
        ),
        Mistake(
            "slope forgotten",
            "The slope is not used: this is the bound for s = 1, which is too large for a sigmoid "
            "and too small where s is larger than 1.",
            lambda first, second, slope: (_norm(second @ first) + _norm(second) * _norm(first)) / 2,
            right_shape=True,
        ),
        Mistake(
            "s forgotten in the second part",
            "The part with ψ has lost its s: it is s/2 · ‖B‖‖A‖. Where s is larger than 1 yours is "
            "no bound: two hidden units that cancel in BA stretch by more.",
            lambda first, second, slope: (
                slope / 2 * _norm(second @ first) + _norm(second) * _norm(first) / 2
            ),
            right_shape=True,
        ),
        Mistake(
            "s forgotten in the first part",
            "The linear part has lost its s: it is s/2 · ‖BA‖. Where s is larger than 1 yours is "
            "no bound.",
            lambda first, second, slope: (
                _norm(second @ first) / 2 + slope / 2 * _norm(second) * _norm(first)
            ),
            right_shape=True,
        ),
        Mistake(
            "geometric mean",
            "This is s times the geometric mean of ‖BA‖ and ‖B‖‖A‖, and the two parts are added: "
            "half of each. The geometric mean is smaller, and it is no bound: where BA is 0 it is "
            "0, though σ switches units off that had cancelled each other.",
            geometric_two_layer,
            right_shape=True,
        ),
        Mistake(
            "no half",
            "The two parts are added with s each: σ is split into halves, so each has s/2. Valid, "
            "but it may even exceed the product.",
            lambda first, second, slope: (
                slope * (_norm(second @ first) + _norm(second) * _norm(first))
            ),
            right_shape=True,
            loose=True,
        ),
        Mistake(
            "Frobenius",
            "These are Frobenius norms (`norm()` of a matrix): valid, since they are never smaller "
            "than the largest singular value, but up to √rank times too large.",
            frobenius_two_layer,
            right_shape=True,
            loose=True,
        ),
        Mistake(
            "s²/4 in the second part",
            "The part with ψ has s/2 squared: ψ itself has slope 1, and s/2 stands before it once.",
            lambda first, second, slope: (
                slope / 2 * _norm(second @ first) + slope**2 / 4 * _norm(second) * _norm(first)
            ),
            right_shape=True,
        ),
        Mistake(
            "all corners",
            "You go through all patterns of slopes 0 and s. That is right, and even smaller than "
            "what is asked for: the smallest bound that a pattern of slopes gives. But it takes "
            "2^hidden norms, which ends at some twenty units; the bound asked for takes three.",
            largest_corner,
            right_shape=True,
            loose=True,
        ),
    ],
    variants=[two_layer_svd, two_layer_arrays],
    done="Never above the product, and equal to it only where the layers line up.",
)

# --- certificate -----------------------------------------------------------------------------


def certificate_cases(rng):
    def case(label, n, classes, hidden, below, bias=2.0, wrong=(), scale=1.0):
        last = scale * _draw(rng, classes, hidden)
        last = last * torch.linspace(0.3, 2.0, classes, dtype=torch.float64)[:, None]
        logits = 3 * _draw(rng, n, classes)
        labels = logits.argmax(1)
        for k in wrong:
            labels[k] = int(logits[k].argsort()[-2])
        logits[torch.arange(n), labels] += bias * (torch.arange(n) % 3 != 0)
        return Case(label, logits, labels, last, below)

    yield Case(
        "two classes",
        torch.tensor([[3.0, 1.0]]).double(),
        torch.tensor([0]),
        torch.tensor([[2.0, 0.0], [0.0, 1.0]]).double(),
        4.0,
    )
    yield Case(
        "the runner-up is far, another is near",
        torch.tensor([[4.0, 3.0, 1.0], [3.0, 4.0, 3.5]]).double(),
        torch.tensor([0, 1]),
        torch.tensor([[1.0, 0.0], [0.9, 0.1], [-9.0, 7.0]]).double(),
        2.0,
    )
    yield case("six images, five classes", 6, 5, 7, 3.5)
    yield case("below 1, small weights", 5, 4, 6, 0.2, scale=0.1)
    yield case("some misclassified", 9, 6, 5, 1.7, bias=0.0, wrong=(0, 4, 7))
    yield Case(
        "one direction for all classes",
        torch.tensor([[2.0, -1.0], [0.5, 1.0]]).double(),
        torch.tensor([0, 0]),
        torch.tensor([[3.0, 0.0], [-3.0, 0.0]]).double(),
        1.5,
    )


def certificate_in_loops(logits, labels, last, below):
    z, y, w = logits.numpy(), labels.numpy(), last.numpy()
    radii = []
    for i in range(len(z)):
        others = [j for j in range(z.shape[1]) if j != y[i]]
        leads = [(z[i, y[i]] - z[i, j]) / (math.dist(w[y[i]], w[j]) * float(below)) for j in others]
        radii.append(max(0.0, min(leads)))
    return np.array(radii)


def certificate_with_cdist(logits, labels, last, below):
    apart = torch.cdist(last, last)[labels] * below
    own = nn.functional.one_hot(labels, logits.shape[1]).bool()
    lead = (logits * own).sum(1, keepdim=True) - logits
    radii = torch.where(own, math.inf, lead / apart.masked_fill(own, 1.0))
    return torch.relu(radii.min(dim=1).values)


def certificate_image_by_image(logits, labels, last, below):
    found = []
    for z, y in zip(logits, labels, strict=True):
        rest = torch.arange(len(z), device=z.device) != y
        leads = (z[y] - z[rest]) / torch.linalg.norm(last[y] - last[rest], dim=1)
        least = leads.min() / below
        found.append(least if z.argmax() == y else 0 * least)
    return torch.stack(found)


def _margin(logits, labels):
    own = nn.functional.one_hot(labels, logits.shape[1]).bool()
    return (logits[own] - logits.masked_fill(own, -math.inf).amax(1)).clamp(min=0)


def _margin_over(factor):
    def wrong(logits, labels, last, below):
        return _margin(logits, labels) / (factor * _norm(last) * below)

    return wrong


def _leads_over(spread):
    """The least of (z_y - z_j) / (spread(w_y, w_j) · below) over j != y, 0 if misclassified."""

    def wrong(logits, labels, last, below):
        own = nn.functional.one_hot(labels, logits.shape[1]).bool()
        lead = logits[own][:, None] - logits
        apart = spread(last[labels][:, None], last[None])
        return (lead / apart).masked_fill(own, math.inf).amin(1).clamp(min=0) / below

    return wrong


def runner_up_by_margin(logits, labels, last, below):
    own = nn.functional.one_hot(labels, logits.shape[1]).bool()
    second = logits.masked_fill(own, -math.inf).argmax(1)
    lead = logits[own] - logits.gather(1, second[:, None])[:, 0]
    return (lead / (last[labels] - last[second]).norm(dim=1)).clamp(min=0) / below


def about_the_prediction(logits, labels, last, below):
    return certificate_with_cdist(logits, logits.argmax(1), last, below)


def own_class_among_them(logits, labels, last, below):
    lead = logits.gather(1, labels[:, None]) - logits
    return (lead / ((last[labels][:, None] - last).norm(dim=2) * below)).amin(1).clamp(min=0)


def own_class_as_zero(logits, labels, last, below):
    lead = logits.gather(1, labels[:, None]) - logits
    apart = (last[labels][:, None] - last).norm(dim=2) + 1e-12
    return (lead / (apart * below)).amin(1).clamp(min=0)


def _edited_below(change):
    def wrong(logits, labels, last, below):
        return certificate_with_cdist(logits, labels, last, change(below))

    return wrong


def negative_kept(logits, labels, last, below):
    own = nn.functional.one_hot(labels, logits.shape[1]).bool()
    lead = logits[own][:, None] - logits
    apart = torch.cdist(last, last)[labels].masked_fill(own, 1.0)
    return (lead / apart).masked_fill(own, math.inf).amin(1) / below


CERTIFICATE = Exercise(
    slug="certificate",
    title="A radius with a proof",
    difficulty=3,
    minutes=12,
    hints=[
        "All leads at once: z_y - z_j has the shape (N, classes), with z_y from "
        "`logits.gather(1, labels[:, None])`.",
        "All distances between rows at once: `(last[labels][:, None] - last).norm(dim=2)`, again "
        "(N, classes).",
        "For j = y both are 0, and 0/0 is no radius: put infinity there (`scatter`, `masked_fill`) "
        "before taking the minimum over j.",
        "A misclassified image has a negative lead somewhere: nothing can be promised, so its "
        "radius is 0.",
    ],
    cases=certificate_cases,
    oracle=certificate_in_loops,
    valid=lambda got, want, case: bool(
        np.isfinite(got).all() and (got >= 0).all() and (got <= want * (1 + 1e-9)).all()
    ),
    loose="No image gets a larger radius than it should, so all of it holds, but more can be "
    "promised.",
    on_device=False,
    mistakes=[
        Mistake(
            "margin over L",
            "This is the margin over L = ‖W‖ · below. It promises too much: one logit may rise "
            "while the other falls, and their difference changes by up to ‖w_y - w_j‖ · below "
            "times ‖r‖, which can exceed L ‖r‖.",
            _margin_over(1.0),
            right_shape=True,
        ),
        Mistake(
            "margin over 2L",
            "This is the margin over 2L, with L = ‖W‖ · below: each logit moves by L‖r‖ at most, "
            "their difference by twice that. It holds, but ‖w_y - w_j‖ is smaller than 2‖W‖.",
            _margin_over(2.0),
            right_shape=True,
            loose=True,
        ),
        Mistake(
            "margin over √2 L",
            "This is the margin over √2 L, with L = ‖W‖ · below. It holds, and is the best that L "
            "alone can give; but for most pairs of classes ‖w_y - w_j‖ is smaller than √2 ‖W‖.",
            _margin_over(math.sqrt(2)),
            right_shape=True,
            loose=True,
        ),
        Mistake(
            "the runner-up by margin",
            "Only the class with the second-largest logit is looked at. Another class, further "
            "behind, can be reached sooner, if its weights differ more: take the minimum of the "
            "quotients.",
            runner_up_by_margin,
            right_shape=True,
        ),
        Mistake(
            "distortion",
            "This is in units of distortion, 28 times less than the L2 radius that is asked for. "
            "Taken as an L2 radius it holds, and is far too small.",
            lambda logits, labels, last, below: (
                certificate_with_cdist(logits, labels, last, below) / 28
            ),
            right_shape=True,
            loose=True,
        ),
        Mistake(
            "misclassified images certified",
            "Images that are misclassified get a radius: it is that of the class the network "
            "gives, and says that the mistake is stable. For the label nothing is promised, so "
            "their radius is 0.",
            about_the_prediction,
            right_shape=True,
        ),
        Mistake(
            "negative radii",
            "Misclassified images have a negative radius here: it is 0, for there is nothing to "
            "promise.",
            negative_kept,
            right_shape=True,
        ),
        Mistake(
            "0/0",
            "For j = y the quotient is 0/0, and its NaN is the minimum: take j = y out.",
            own_class_among_them,
            right_shape=True,
        ),
        Mistake(
            "y among the others",
            "All radii are 0: the class y itself is among the j, with a lead of 0 over itself. "
            "Take it out. A radius of 0 holds, and promises nothing.",
            own_class_as_zero,
            right_shape=True,
            loose=True,
        ),
        Mistake(
            "‖w_j‖",
            "The quotient has ‖w_j‖: what moves is the difference of two logits, and that has the "
            "weights w_y - w_j.",
            _leads_over(lambda own, other: other.norm(dim=2)),
            right_shape=True,
        ),
        Mistake(
            "‖w_y‖ + ‖w_j‖",
            "The quotient has ‖w_y‖ + ‖w_j‖, as if both logits always moved against each other. It "
            "holds, by the triangle inequality, but ‖w_y - w_j‖ is smaller.",
            _leads_over(lambda own, other: own.norm(dim=2) + other.norm(dim=2)),
            right_shape=True,
            loose=True,
        ),
        Mistake(
            "‖w_y - w_j‖²",
            "The quotient has the square of ‖w_y - w_j‖: that is the multiplier μ of lesson 03 "
            "and not the distance.",
            _leads_over(lambda own, other: (own - other).square().sum(dim=2)),
            right_shape=True,
        ),
        Mistake(
            "nothing below",
            "The layers below are left out: this is how far the last hidden layer would have to "
            "move. A change of the image can arrive there `below` times as large.",
            _edited_below(lambda below: 1.0),
            right_shape=True,
        ),
        Mistake(
            "times below",
            "The bound of the layers below multiplies: the more they stretch, the *smaller* the "
            "radius.",
            _edited_below(lambda below: 1 / below),
            right_shape=True,
        ),
    ],
    variants=[certificate_with_cdist, certificate_image_by_image],
    done="Within this radius no change of the image, in the box or not, leads to another class.",
)

# --- robust-accuracy -------------------------------------------------------------------------


def accuracy_cases(rng):
    nan = math.nan

    def double(*numbers):
        return torch.tensor(numbers, dtype=torch.float64)

    yield Case(
        "four images", double(0.5, 0.2, 0.1, 0), double(2, 1, 0.3, 0), double(1, 1, 1, 0) > 0, 0.3
    )
    yield Case(
        "on the edge of both",
        double(0.25, 0.125, 0.5, 0.25, 0.0),
        double(0.75, 0.25, 1.0, 0.5, 0.25),
        double(1, 1, 1, 0, 0) > 0,
        0.25,
    )
    yield Case(
        "two attacks failed",
        double(0.1, 0.4, 0.2, 0.3, 0.5, 0.6),
        double(nan, 0.9, 0.25, nan, 1.5, 0.8),
        double(1, 1, 1, 0, 1, 0) > 0,
        0.3,
    )
    radii = torch.rand(40, generator=rng, dtype=torch.float64)
    factor = 1 + 4 * torch.rand(40, generator=rng, dtype=torch.float64)
    right = torch.rand(40, generator=rng) < 0.8
    yield Case("forty images", radii, radii * factor, right, 0.5)
    yield Case("a radius of 0", radii * right, radii * factor, right, 0.0)
    yield Case("a large radius", radii, radii * factor, right, 1.3)


def accuracy_in_loops(radii, distances, correct, radius):
    certified = surviving = 0
    for promised, found, right in zip(
        radii.tolist(), distances.tolist(), correct.tolist(), strict=True
    ):
        if not right:
            continue
        certified += promised > radius
        surviving += not found <= radius
    return [certified / len(radii), surviving / len(radii)]


def accuracy_of_numpy(radii, distances, correct, radius):
    promised, found, right = radii.numpy(), distances.numpy(), correct.numpy()
    found = np.where(np.isnan(found), np.inf, found)
    return np.mean(right & (promised > radius)), np.mean(right & (found > radius))


def accuracy_by_sums(radii, distances, correct, radius):
    n = len(correct)
    certified = (radii[correct] > radius).sum() / n
    fooled = (distances[correct] <= radius).sum() / n
    return certified, correct.sum() / n - fooled


def _accuracy(
    certified=lambda radii, radius: radii > radius,
    broken=lambda distances, radius: distances <= radius,
    mask=True,
):
    def wrong(radii, distances, correct, radius):
        right = correct if mask else torch.ones_like(correct)
        low = right & certified(radii, radius)
        high = right & ~broken(distances, radius)
        return low.double().mean(), high.double().mean()

    return wrong


def among_the_correct(radii, distances, correct, radius):
    low = (radii[correct] > radius).double().mean()
    return low, (~(distances[correct] <= radius)).double().mean()


def the_fooled(radii, distances, correct, radius):
    low = (correct & (radii > radius)).double().mean()
    return low, (~correct | (distances <= radius)).double().mean()


def swapped(radii, distances, correct, radius):
    low, high = accuracy_by_sums(radii, distances, correct, radius)
    return high, low


def mean_radius(radii, distances, correct, radius):
    return radii[correct].mean(), distances[correct].nanmean()


ROBUST_ACCURACY = Exercise(
    slug="robust-accuracy",
    title="Between what is proved and what is broken",
    difficulty=2,
    minutes=8,
    hints=[
        "Two shares of all images: those that are read correctly *and* have a certificate that "
        "reaches further than the radius; those that are read correctly *and* for which no mistake "
        "within the radius was found.",
        "A NaN compares as False with everything: decide which of `distances <= radius` and "
        "`distances > radius` should be False for an attack that found nothing.",
    ],
    cases=accuracy_cases,
    oracle=accuracy_in_loops,
    on_device=False,
    mistakes=[
        Mistake(
            "misclassified counted",
            "Images that are misclassified count as certified or surviving, if only their radius "
            "is large enough: accuracy counts those that are read correctly.",
            _accuracy(mask=False),
            right_shape=True,
        ),
        Mistake(
            "share of the correct",
            "These are shares of the images that are read correctly. Accuracy is a share of all "
            "images, and at radius 0 it is the clean accuracy.",
            among_the_correct,
            right_shape=True,
        ),
        Mistake(
            "certified at the radius itself",
            "An image whose certificate is exactly the radius counts as certified: there, at the "
            "end, the two classes may tie. At radius 0 this even certifies images without any "
            "certificate.",
            _accuracy(certified=lambda radii, radius: radii >= radius),
            right_shape=True,
        ),
        Mistake(
            "not broken at the distance itself",
            "An image that was fooled at exactly this distance counts as surviving: the mistake "
            "has been found, and it lies within the radius.",
            _accuracy(broken=lambda distances, radius: distances < radius),
            right_shape=True,
        ),
        Mistake(
            "failed attacks count as broken",
            "Where the attack found nothing (NaN) the image counts as broken, because NaN > radius "
            "is False. No mistake was found there: it survives.",
            _accuracy(broken=lambda distances, radius: ~(distances > radius)),
            right_shape=True,
        ),
        Mistake(
            "share of the fooled",
            "The second number is the share of mistakes, and the share that survives is asked for.",
            the_fooled,
            right_shape=True,
        ),
        Mistake(
            "the other way round",
            "The two are in the other order: the proved share, which is the smaller one, first.",
            swapped,
            right_shape=True,
        ),
        Mistake(
            "radius as a distortion",
            "The radius is divided by 28, as if it were an L2 norm and the others distortions: "
            "all three are L2 norms.",
            lambda radii, distances, correct, radius: accuracy_by_sums(
                radii, distances, correct, radius / 28
            ),
            right_shape=True,
        ),
        Mistake(
            "means",
            "These are the mean radius and the mean distance. Shares of images are asked for, "
            "those beyond the given radius.",
            mean_radius,
            right_shape=True,
        ),
    ],
    variants=[accuracy_of_numpy, accuracy_by_sums],
    done="The accuracy under the worst change within the radius lies between your two numbers.",
)

# --- inflated --------------------------------------------------------------------------------


def inflated_cases(rng):
    def net(*widths):
        return _network(rng, *widths, activation=nn.ReLU, scale=1.5)

    yield Case("one hidden layer", net(12, 6, 3), 10.0)
    yield Case("two hidden layers", net(12, 8, 7, 5), 1000.0)
    yield Case("a million", net(12, 9, 4), 1e6)
    small, bold = net(12, 5, 4), net(12, 6, 5)
    with torch.no_grad():
        _linear_layers(small)[1].weight *= 0.01
        _linear_layers(bold)[0].weight[0] *= 10
    yield Case("small weights behind", small, 100.0)
    yield Case("one unit much stronger than the others", bold, 100.0)


def log_product(net):
    """The logarithm of the product of the norms of all layers of ``net``.

    Raises TypeError for a layer other than the three kinds of which the norm is plain.
    """
    total = 0.0
    for module in net.modules():
        if list(module.children()):
            continue
        if isinstance(module, nn.Linear):
            total += math.log(float(_norm(module.weight.detach())))
        elif not isinstance(module, nn.ReLU | nn.Flatten | nn.Identity):
            raise TypeError(
                f"The network has a {type(module).__name__}: this exercise is about networks of "
                "nn.Flatten, nn.Linear and nn.ReLU."
            )
    return total


def seen_of_inflated(result, net, factor):
    """The logits on five images, and whether the product is ``factor`` times as large."""
    if result is None:  # the engine has its own sentence for that
        return None
    if not isinstance(result, nn.Module):
        raise TypeError("Return a network (an nn.Module).")
    images = torch.rand(5, *IMAGE, generator=torch.Generator().manual_seed(1)).double()
    grown = log_product(result) - log_product(net) >= math.log(factor) - 1e-6
    with torch.no_grad():
        return [result(images), 1.0 if grown else 0.0]


def inflated_oracle(net, factor):
    """Two more layers behind the logits, one undoing the other: not the way of the reference."""
    twin = copy.deepcopy(net)
    classes = _linear_layers(twin)[-1].out_features
    there, back = (nn.Linear(classes, classes, bias=False, dtype=torch.float64) for _ in range(2))
    with torch.no_grad():
        there.weight.copy_(torch.eye(classes))
        back.weight.copy_(torch.eye(classes))
        there.weight[0, 0], back.weight[0, 0] = 2 * factor, 1 / (2 * factor)
    return nn.Sequential(*twin, there, back)


def _rescaled(scales, incoming=True, bias=True, outgoing=True):
    """A network whose first hidden units are rescaled: scales(units, factor) each."""

    def wrong(net, factor):
        twin = copy.deepcopy(net)
        first, second, *_ = _linear_layers(twin)
        t = scales(len(first.weight), factor).to(first.weight)
        with torch.no_grad():
            first.weight *= t[:, None] if incoming else 1
            first.bias *= t if bias else 1
            second.weight *= 1 / t if outgoing is True else outgoing(t)
        return twin

    return wrong


def _one_unit(units, factor, t=None):
    scales = torch.ones(units, dtype=torch.float64)
    scales[0] = 100 * factor if t is None else t
    return scales


def inflated_by_halves(net, factor):
    """Half of the units up and half of them down, further and further until it is enough."""
    t = factor**0.5
    while True:
        half = torch.arange(len(_linear_layers(net)[0].weight)) % 2
        found = _rescaled(lambda n, f, t=t, half=half: t ** (2.0 * half - 1))(net, factor)
        if log_product(found) - log_product(net) >= math.log(factor):
            return found
        t *= 2


def inflated_by_one_unit(net, factor):
    return _rescaled(_one_unit)(net, factor)


def logits_scaled(net, factor):
    twin = copy.deepcopy(net)
    last = _linear_layers(twin)[-1]
    with torch.no_grad():
        last.weight *= factor
        last.bias *= factor
    return twin


def last_weights_scaled(net, factor):
    twin = copy.deepcopy(net)
    with torch.no_grad():
        _linear_layers(twin)[-1].weight *= factor
    return twin


INFLATED = Exercise(
    slug="inflated",
    title="The same network, a hopeless bound",
    difficulty=3,
    minutes=9,
    hints=[
        "Two layers that undo each other change nothing in what is computed. When does the product "
        "of their norms exceed 1?",
        "diag(t, 1, ..., 1) has norm t, and its inverse diag(1/t, 1, ..., 1) has norm 1: together "
        "t, although the two multiply to the identity. Put them behind the logits as two layers "
        "without biases, or ...",
        "... inside: relu(t a) = t relu(a) for t > 0, so one hidden unit's incoming weights *and "
        "its bias* can be multiplied by t and its outgoing weights divided by t. Check how much "
        "the product has grown: it is a little less than t.",
        "Work on `copy.deepcopy(net)`, under `torch.no_grad()`.",
    ],
    cases=inflated_cases,
    oracle=inflated_oracle,
    observe=seen_of_inflated,
    on_device=False,
    mistakes=[
        Mistake(
            "the product did not grow",
            "The network computes the same, but the product of its norms is not `factor` times as "
            "large. If all units are scaled alike, one norm grows by t and the next one shrinks "
            "by t: scale them differently.",
            _rescaled(lambda units, factor: torch.full((units,), float(factor))),
            right_shape=True,
        ),
        Mistake(
            "the bias forgotten",
            "The bias of the scaled unit is left as it was: relu(t·(w·x) + b) is not "
            "t·relu(w·x + b), so another function is computed.",
            _rescaled(_one_unit, bias=False),
            right_shape=True,
        ),
        Mistake(
            "the logits scaled",
            "The logits are `factor` times as large: the classes stay the same and the function "
            "does not. Its certificates stay as they are, too: the margin grows along with L.",
            logits_scaled,
            right_shape=True,
        ),
        Mistake(
            "the last weights scaled",
            "The last layer's weights are `factor` times as large and its bias is not: neither the "
            "function nor the classes stay the same.",
            last_weights_scaled,
            right_shape=True,
        ),
        Mistake(
            "not undone",
            "The unit's incoming weights and bias are scaled, and its outgoing weights are not "
            "divided: the scaling is not undone.",
            _rescaled(_one_unit, outgoing=lambda t: 1.0),
            right_shape=True,
        ),
        Mistake(
            "undone the wrong way",
            "The unit's outgoing weights are multiplied as well: divide them, to undo the scaling.",
            _rescaled(_one_unit, outgoing=lambda t: t),
            right_shape=True,
        ),
        Mistake(
            "a negative scale",
            "The scale is negative, and relu(-t a) is not -t relu(a): only positive factors pass "
            "through a rectified unit.",
            _rescaled(lambda units, factor: _one_unit(units, factor, -100 * factor)),
            right_shape=True,
        ),
    ],
    variants=[inflated_oracle, inflated_by_halves, inflated_by_one_unit],
    done="To every input it gives the same logits, so it has the same adversarial examples.",
    equivalent_mutants={
        "- after = first.weight[0].norm() * norm(second.weight[:, 1:]) / "
        "+ after = first.weight[0].norm() * norm(second.weight[:, 2:])": "The norm of fewer "
        "columns is smaller, so the unit is scaled by more than needed, which does no harm."
    },
)

# --- log-penalty -----------------------------------------------------------------------------


def penalty_cases(rng):
    yield Case("one layer", _network(rng, 12, 3))
    yield Case("sigmoids", _network(rng, 12, 6, 4, scale=2.0))
    yield Case("rectified units", _network(rng, 12, 7, 5, 4, activation=nn.ReLU))
    yield Case("small weights", _network(rng, 12, 5, 6, 3, activation=nn.ReLU, scale=0.2))


def penalty_of_numpy(net):
    weights = [layer.weight.detach().numpy() for layer in _linear_layers(net)]
    return float(np.log([np.sqrt(np.linalg.eigvalsh(w @ w.T)[-1]) for w in weights]).sum())


def penalty_by_svd(net):
    total = 0.0
    for layer in net.modules():
        if isinstance(layer, nn.Linear):
            total = total + torch.linalg.svdvals(layer.weight)[0].log()
    return total


def penalty_of_gram(net):
    grams = [m.weight @ m.weight.T for m in net.modules() if isinstance(m, nn.Linear)]
    return sum(torch.linalg.eigvalsh(gram)[-1].log() for gram in grams) / 2


def penalty_by_vectors(net):
    """u·W v with the singular vectors held fixed: the same value and the same gradient."""
    total = 0.0
    for layer in _linear_layers(net):
        u, _, v = torch.linalg.svd(layer.weight.detach(), full_matrices=False)
        total = total + (u[:, 0] @ layer.weight @ v[0]).log()
    return total


def _norms(net):
    return torch.stack([_norm(layer.weight) for layer in _linear_layers(net)])


def with_the_biases(net):
    return sum(
        torch.linalg.norm(p, 2).log() for p in net.parameters()
    )  # of a vector: its length, of a matrix: its largest singular value


LOG_PENALTY = Exercise(
    slug="log-penalty",
    title="The bound as a term of the loss",
    difficulty=2,
    minutes=6,
    hints=[
        "`net.modules()` gives all layers; those of class nn.Linear have the weights.",
        "Everything has to stay a tensor that knows where it came from: no `.item()`, `.detach()`, "
        "`float()`, NumPy. `torch.linalg.matrix_norm(weight, 2)` has a gradient.",
        "The logarithm of a product is the sum of the logarithms.",
    ],
    cases=penalty_cases,
    oracle=penalty_of_numpy,
    gradients=("net",),
    on_device=False,
    mistakes=[
        Mistake(
            "detached",
            "The value is right, but it is a constant: no gradient flows back to the weights, so "
            "training would not notice the penalty. Somewhere the norms are turned into numbers "
            "(`.item()`, `float()`, `.detach()`, `.data`).",
            lambda net: _norms(net).detach().log().sum(),
            right_shape=True,
        ),
        Mistake(
            "sum of the norms",
            "These are the norms added up, without the logarithm. They bound the product only "
            "loosely, and a step that shrinks a large norm counts as much as one that shrinks a "
            "small norm.",
            lambda net: _norms(net).sum(),
            right_shape=True,
        ),
        Mistake(
            "sum of squares",
            "These are the squared norms added up, which is another penalty: the logarithm of the "
            "product is asked for.",
            lambda net: _norms(net).square().sum(),
            right_shape=True,
        ),
        Mistake(
            "log of squares",
            "The norms are squared before the logarithm: everything is twice as large, as if L² "
            "were bounded.",
            lambda net: _norms(net).square().log().sum(),
            right_shape=True,
        ),
        Mistake(
            "the product",
            "This is the product itself: with many layers it overflows, and its gradient with it. "
            "Its logarithm is asked for.",
            lambda net: _norms(net).prod(),
            right_shape=True,
        ),
        Mistake(
            "log of the sum",
            "This is the logarithm of the sum of the norms: the product's is the sum of the "
            "logarithms.",
            lambda net: _norms(net).sum().log(),
            right_shape=True,
        ),
        Mistake(
            "Frobenius",
            "These are Frobenius norms (`weight.norm()`): the root of the sum of all squares, not "
            "the largest singular value. That is weight decay in another guise.",
            lambda net: sum(layer.weight.norm().log() for layer in _linear_layers(net)),
            right_shape=True,
        ),
        Mistake(
            "mean over the layers",
            "This is the mean over the layers, the sum is asked for.",
            lambda net: _norms(net).log().mean(),
            right_shape=True,
        ),
        Mistake(
            "the largest norm alone",
            "Only the layer with the largest norm counts: the other layers get no gradient, and "
            "the bound is the product of all.",
            lambda net: _norms(net).log().max(),
            right_shape=True,
        ),
        Mistake(
            "biases as well",
            "Biases are among the parameters that count. A bias moves the output and stretches "
            "nothing.",
            with_the_biases,
            right_shape=True,
        ),
    ],
    variants=[penalty_by_svd, penalty_of_gram, penalty_by_vectors],
    done="Its gradient at a layer is u vᵀ/σ, from the layer's first pair of singular vectors.",
)

EXERCISES = [
    LOG_BOUND,
    LOCAL_STRETCH,
    TWO_LAYER_BOUND,
    CERTIFICATE,
    ROBUST_ACCURACY,
    INFLATED,
    LOG_PENALTY,
]

PREDICTIONS = {
    "jacobian-below-product": Prediction(
        "FC100-100-10 has the product bound 46 on how much it stretches. How much does it stretch "
        "at the worst of 300 test images, to first order?",
        digits=2,
    ),
    "certified-over-attack": Prediction(
        "The certified radius divided by the distance of the attack, the median over images of "
        "FC100-100-10 (1 would be a perfect certificate):",
        digits=2,
    ),
    "radii-after-inflating": Prediction(
        "After your `inflated` has made the product a million times as large: by what factor do "
        "the distances change that the attack finds?",
        digits=3,
    ),
    "penalised-accuracy": Prediction(
        "Trained without a penalty, few images are certified at the L2 radius 0.3. Trained with "
        "it: which share of the test images is?",
        unit="%",
        digits=2,
    ),
}

QUIZZES = {
    "logits-times-ten": Quiz(
        "All logits of a network are multiplied by 10. What happens?",
        [
            Option(
                "L and the margins grow tenfold, certificates and attacks stay as they are",
                True,
                "The certificate is a quotient of two numbers that both grow tenfold. The classes "
                "do not change anywhere, so the distances to the nearest mistake cannot change.",
            ),
            Option(
                "L grows tenfold, so the network becomes less robust",
                False,
                "Which class has the largest logit does not change at a single image. L alone says "
                "nothing about robustness.",
            ),
            Option(
                "The margins grow tenfold, so the network becomes more robust",
                False,
                "The margin grows, and so does the speed at which a change of the image uses it "
                "up.",
            ),
        ],
    ),
    "jacobian-found": Quiz(
        "For FC100-100-10 a search has found no Jacobian with a norm above 22.3. What does that "
        "say about L, the smallest bound that is right everywhere?",
        [
            Option(
                "L is at most 22.3",
                False,
                "The search may have missed the place where the network stretches most. As an "
                "upper bound the number proves nothing.",
            ),
            Option(
                "L is at least 22.3",
                True,
                "At that image there is a direction that is stretched this much, so no smaller "
                "bound is right. Upper bounds come from the weights, lower bounds from examples.",
            ),
            Option(
                "L is 22.3, up to rounding",
                False,
                "It would be if the search were known to find the maximum. It is not: finding it "
                "is NP-hard, for two layers already.",
            ),
        ],
    ),
    "between-the-bounds": Quiz(
        "An image has the certified radius 0.2, and the attack has found a mistake at distance "
        "1.1. Is there a mistake at a distance below 0.6?",
        [
            Option(
                "No: the attack would have found it",
                False,
                "An attack that does not find anything proves nothing: it may have ended at a "
                "mistake that is not the nearest.",
            ),
            Option(
                "Yes: the certificate reaches no further than 0.2",
                False,
                "A certificate that ends at 0.2 does not say that a mistake begins there. The "
                "bound may be larger than what the network does.",
            ),
            Option(
                "These two numbers do not tell",
                True,
                "None below 0.2, one at 1.1, and in between nothing is known. A better certificate "
                "or a better attack would narrow it down.",
            ),
        ],
    ),
    "huge-product": Quiz(
        "The product bound of a network is 10^41 (that of a published network for photographs, "
        "EfficientNet-Lite0). What follows for its adversarial examples?",
        [
            Option(
                "It must have some, very near",
                False,
                "You have just built a network with a huge product that has none nearer than "
                "before. A large upper bound is a missing proof, not a proof of the contrary.",
            ),
            Option(
                "Nothing",
                True,
                "From a small bound over the margin it follows that there are none nearby. From a "
                "large one nothing follows. (That this network has them was found by attacking "
                "it.)",
            ),
            Option(
                "It is not Lipschitz",
                False,
                "It is: 10^41 is a finite constant. Just not one that helps.",
            ),
        ],
    ),
}

ANSWERS = {
    "discontinuous-and-lipschitz": ShortAnswer(
        'The abstract says that these networks "learn input-output mappings that are fairly '
        'discontinuous". Section 4.3 proves that they are Lipschitz, hence continuous. How can '
        "both be meant? Say what each word is about, and put a number to it for one network of "
        "this lesson.",
        rubric=[
            "Lipschitz is about the logits (or the softmax): a change r moves them by at most "
            "L · ‖r‖. That is proved, for every image.",
            "The class is the argmax: it takes ten values, so it is constant or jumps. It jumps on "
            "every boundary, in any classifier, also a perfect one.",
            'So "discontinuous" is not meant literally: it means that the jump lies very near to '
            "natural images, much nearer than where our eyes would put it.",
            "A number: for example the certified radius, the attack's distance, and for comparison "
            "how far images of two classes lie apart.",
            "What matters is L over the margin and not L alone: a large finite L allows such a "
            "jump nearby and does not force it.",
        ],
    ),
}
