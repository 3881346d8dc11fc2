"""The exercises of lesson 01: the loss, its gradients, training, and comparing two networks."""

import copy
import math
from collections import OrderedDict

import numpy as np
import scipy.special
import scipy.stats
import torch
import torch.nn.functional as F
from torch import nn

from course_lib import training
from course_lib.exercises import (
    Case,
    Exercise,
    Mistake,
    Option,
    Prediction,
    Quiz,
    ShortAnswer,
)

# --- stable-cross-entropy --------------------------------------------------------------------


def logits_cases(rng):
    yield Case(
        "two images, three classes",
        torch.tensor([[1.0, 2.0, 0.0], [0.5, -1.0, 3.0]]),
        torch.tensor([1, 0]),
    )
    yield Case(
        "seven images",
        torch.randn(7, 10, generator=rng) * 3,
        torch.tensor([3, 1, 4, 1, 5, 9, 2]),
    )
    yield Case("a very small probability", torch.tensor([[0.0, 60.0, 1.0]]), torch.tensor([0]))
    yield Case(
        "large logits",
        torch.tensor([[1000.0, 990.0], [-1000.0, -1001.0], [0.0, 300.0]]),
        torch.tensor([1, 0, 0]),
    )


def cross_entropy_of_scipy(logits, labels):
    z = logits.detach().double().numpy()
    rows = np.arange(len(z))
    return (scipy.special.logsumexp(z, axis=1) - z[rows, labels.numpy()]).mean()


def _picked(table, labels):
    return table[torch.arange(len(labels), device=labels.device), labels]


def ce_logsumexp(logits, labels):
    return torch.logsumexp(logits, dim=1).mean() - _picked(logits, labels).mean()


def ce_loop(logits, labels):
    losses = []
    for row, label in zip(logits.double(), labels, strict=True):
        top = row.detach().max()
        losses.append(top + sum(torch.exp(z - top) for z in row).log() - row[label])
    return sum(losses) / len(losses)


def ce_one_hot(logits, labels):
    one_hot = F.one_hot(labels, logits.shape[1]).to(logits.dtype)
    return -torch.einsum("nk,nk->", one_hot, logits.log_softmax(1)) / len(logits)


def ce_naive(logits, labels):
    return (logits.exp().sum(1).log() - _picked(logits, labels)).mean()


def ce_one_shift(logits, labels):
    shift = logits.max()
    return ((logits - shift).exp().sum(1).log() + shift - _picked(logits, labels)).mean()


def ce_half_shifted(logits, labels):
    top = logits.max(dim=1, keepdim=True).values
    return ((logits - top).exp().sum(1).log() - _picked(logits, labels)).mean()


def ce_one_sum(logits, labels):
    shifted = logits - logits.max()
    return (shifted.exp().sum().log() - _picked(shifted, labels)).mean()


def ce_all_labels(logits, labels):
    shifted = logits - logits.max(dim=1, keepdim=True).values
    return (shifted.exp().sum(1).log() - shifted[:, labels]).mean()


EPSILON = (
    "A small number is added to the probability (or it is clamped) before the logarithm, so a "
    "confident mistake costs too little and has no gradient: take the logarithm of the sum of "
    "exponentials instead; the probability itself is never needed."
)


def looks_capped(answer):
    """A probe: right at moderate logits, too small where the probability is e^-30 or less."""
    label = torch.tensor([0])
    mild = float(answer(torch.tensor([[0.0, 2.0]]), label))
    wild = float(answer(torch.tensor([[0.0, 80.0]]), label))
    mild_is_right = abs(mild - math.log(1 + math.exp(2))) < 1e-3
    return EPSILON if mild_is_right and 4 < wild < 79 else None


CROSS_ENTROPY = Exercise(
    slug="stable-cross-entropy",
    title="A cross-entropy that does not overflow",
    difficulty=2,
    minutes=8,
    hints=[
        "Subtract each row's largest logit from the row first. Neither the softmax nor the loss "
        "changes, and no exponential exceeds 1.",
        "`logits.max(dim=1, keepdim=True).values` is that column of maxima. The loss of one image "
        "is the logarithm of the row's sum of exponentials, minus the label's logit: both after "
        "the subtraction.",
        "`shifted[torch.arange(len(labels)), labels]` picks the label's entry out of every row.",
    ],
    cases=logits_cases,
    oracle=cross_entropy_of_scipy,
    gradients=("logits",),
    probes=[looks_capped],
    mistakes=[
        Mistake(
            "not stabilised",
            "The formula is right, but float32 cannot hold its parts: exp(1000) is infinite there, "
            "and exp(-1000) is 0. Subtract each row's largest logit first.",
            ce_naive,
            right_shape=True,
        ),
        Mistake(
            "logarithm of the softmax",
            "The softmax is fine and its logarithm is not: a probability below 1e-45 is stored as "
            "0, and log(0) is infinite. Simplify log(softmax) on paper first.",
            lambda logits, labels: -_picked(logits.softmax(1), labels).log().mean(),
            right_shape=True,
        ),
        Mistake(
            "log(softmax + ε)",
            EPSILON,
            lambda logits, labels: -(_picked(logits.softmax(1), labels) + 1e-8).log().mean(),
            right_shape=True,
        ),
        Mistake(
            "one shift for the batch",
            "The largest logit of the whole batch is subtracted, and in rows far below it every "
            "exponential is 0: each row needs its own maximum.",
            ce_one_shift,
            right_shape=True,
        ),
        Mistake(
            "one sum for the batch",
            "The exponentials of the whole batch are added up: each image has its own sum, along "
            "`dim=1`.",
            ce_one_sum,
            right_shape=True,
        ),
        Mistake(
            "every label of every row",
            "The index `[:, labels]` takes all the labels' columns of every row, N x N numbers: "
            "pair row n with label n, by `shifted[torch.arange(len(labels)), labels]`.",
            ce_all_labels,
            right_shape=True,
        ),
        Mistake(
            "half shifted",
            "The maximum is subtracted inside the sum of exponentials, but not from the label's "
            "logit: the two no longer belong together. Shift the logits once, and use those.",
            ce_half_shifted,
            right_shape=True,
        ),
        Mistake(
            "over the batch",
            "The softmax runs over the images instead of over the classes: a row is an image, so "
            "its exponentials are summed along `dim=1`.",
            lambda logits, labels: -_picked(logits.log_softmax(0), labels).mean(),
            right_shape=True,
        ),
        Mistake(
            "sum for mean",
            "These losses are summed over the batch: take their mean, or the step would grow with "
            "the number of images.",
            lambda logits, labels: F.cross_entropy(logits, labels, reduction="sum"),
            right_shape=True,
        ),
        Mistake(
            "mean over the classes as well",
            "The mean runs over all N x 10 entries: nine of ten are zeros of the one-hot labels. "
            "Divide by the number of images only.",
            lambda logits, labels: F.cross_entropy(logits, labels) / logits.shape[1],
            right_shape=True,
        ),
        Mistake(
            "bits",
            "This is in bits: the paper's (and everybody's) cross-entropy has the natural "
            "logarithm, `log` and not `log2`.",
            lambda logits, labels: F.cross_entropy(logits, labels) / math.log(2),
            right_shape=True,
        ),
        Mistake(
            "the winner for the label",
            "The loss is taken at the class with the largest logit, not at the label: a network "
            "that is sure of a wrong class would be rewarded for it.",
            lambda logits, labels: F.cross_entropy(logits, logits.argmax(1)),
            right_shape=True,
        ),
        Mistake(
            "sign",
            "The sign is missing: this is the mean logarithm of the label's probability, which "
            "training would lower.",
            lambda logits, labels: -F.cross_entropy(logits, labels),
            right_shape=True,
        ),
        Mistake(
            "a vector",
            "This is the loss of each image, a vector: its mean is asked for.",
            lambda logits, labels: F.cross_entropy(logits, labels, reduction="none"),
        ),
        Mistake(
            "probability without logarithm",
            "This is minus the label's mean probability: the cross-entropy has its logarithm.",
            lambda logits, labels: -_picked(logits.softmax(1), labels).mean(),
            right_shape=True,
        ),
    ],
    variants=[ce_logsumexp, ce_loop, ce_one_hot],
    done="The values and the gradients agree with SciPy's logsumexp, also for logits of 1000.",
)

# --- weight-decay ----------------------------------------------------------------------------


def _net(*layers):
    return nn.Sequential(*layers)


def decay_cases(rng):
    yield Case("one layer, 3 inputs, 2 units", _net(nn.Linear(3, 2)), 0.5)
    yield Case("the same, half", _net(nn.Linear(3, 2)), 0.5, "half")
    two = OrderedDict(fc1=nn.Linear(6, 5), sigmoid1=nn.Sigmoid(), fc2=nn.Linear(5, 3))
    yield Case("two layers", nn.Sequential(two), 0.01, "paper")
    yield Case("two layers, half", nn.Sequential(OrderedDict(two)), 0.01, "half")
    frozen = _net(nn.Linear(4, 3), nn.Sigmoid(), nn.Linear(3, 2))
    frozen[0].requires_grad_(False)
    yield Case("the first layer frozen", frozen, 0.2)
    yield Case(
        "a convolution",
        _net(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)),
        0.1,
        "paper",
    )


def value_and_gradients(result, net, strength, convention="paper"):
    """What is compared: the term, and what it does to each parameter that can move."""
    weights = [p for p in net.parameters() if p.requires_grad]
    if not (isinstance(result, torch.Tensor) and result.requires_grad):
        return [result, "no gradient"]
    found = torch.autograd.grad(result.sum(), weights, allow_unused=True)
    pairs = zip(found, weights, strict=True)
    return [result, [torch.zeros_like(w) if g is None else g for g, w in pairs]]


def decay_by_units(net, strength, convention="paper"):
    """Unit by unit, in double precision."""
    total = torch.zeros((), dtype=torch.float64)
    for layer in net:
        if not isinstance(layer, nn.Linear | nn.Conv2d) or not layer.weight.requires_grad:
            continue
        units = [torch.dot(u.flatten(), u.flatten()) for u in layer.weight.double()]
        total += sum(units) / (len(units) if convention == "paper" else 2)
    return strength * total


def decay_norms(net, strength, convention="paper"):
    _guard(strength, convention)
    total = 0.0
    for layer in net.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d) and layer.weight.requires_grad:
            units = layer.weight.shape[0]
            factor = strength / units if convention == "paper" else strength / 2
            total = total + factor * torch.linalg.vector_norm(layer.weight) ** 2
    return total


def decay_by_name(net, strength, convention="paper"):
    _guard(strength, convention)
    terms = []
    for name, p in net.named_parameters():
        if name.endswith("weight") and p.requires_grad:
            flat = p.double().reshape(len(p), -1)
            k = len(p) if convention == "paper" else 2
            terms.append(torch.einsum("ui,ui->", flat, flat) / k)
    return strength * torch.stack(terms).sum()


def _guard(strength, convention):
    if strength < 0 or convention not in ("paper", "half"):
        raise ValueError("no such decay")


def _decay(term, select=training.weight_matrices):
    """A wrong decay: the sum of term(weight, λ, convention) over ``select(net)``."""

    def wrong(net, strength, convention="paper"):
        _guard(strength, convention)
        return sum(term(weight, strength, convention) for weight in select(net))

    return wrong


def _share(weight, convention):
    return 1 / len(weight) if convention == "paper" else 1 / 2


def _right(weight, strength, convention):
    return strength * _share(weight, convention) * weight.square().sum()


def decay_all_units(net, strength, convention="paper"):
    _guard(strength, convention)
    weights = training.weight_matrices(net)
    squares = strength * sum(w.square().sum() for w in weights)
    return squares / (sum(len(w) for w in weights) if convention == "paper" else 2)


def decay_unguarded(net, strength, convention="paper"):
    return sum(_right(w, strength, convention) for w in training.weight_matrices(net))


def also_frozen(net):
    return [m.weight for m in net.modules() if isinstance(m, nn.Linear | nn.Conv2d)]


def trainable(net):
    return [p for p in net.parameters() if p.requires_grad]


GUARDED = (
    "The term is right, but the docstring promises a ValueError for a negative strength and for a "
    "convention that does not exist: keep the two `if` lines of the stub."
)


def guards(answer):
    """A probe: bad settings are refused."""
    for strength, convention in ((-1.0, "paper"), (-1.0, "half"), (1.0, "third")):
        try:
            answer(_net(nn.Linear(2, 2)), strength, convention)
        except ValueError:
            continue
        return GUARDED
    answer(_net(nn.Linear(2, 2)), 0.0)  # no decay at all is allowed
    return None


WEIGHT_DECAY = Exercise(
    slug="weight-decay",
    title="The weight decay, as a term of the loss",
    difficulty=2,
    minutes=8,
    hints=[
        "Loop over `weight_matrices(net)` and add up one number per layer. The result must stay a "
        "tensor, so that a gradient can flow back to the weights.",
        "A weight matrix has one row per unit: k is `len(weight)`.",
        '`strength * weight.square().sum() / len(weight)` is a layer\'s term for "paper"; "half" '
        "has another factor in place of 1/k.",
    ],
    reference=training.weight_decay,
    cases=decay_cases,
    oracle=decay_by_units,
    observe=value_and_gradients,
    probes=[guards],
    mistakes=[
        Mistake(
            "no half",
            'The convention "half" is λ/2 · Σ w²: the 1/2 is missing (it makes the gradient λw).',
            ("1 / 2", "1.0"),
            right_shape=True,
        ),
        Mistake(
            "the half everywhere",
            'The 1/2 belongs to the convention "half" alone: the paper divides by k, and by '
            "nothing else.",
            _decay(
                lambda w, s, c: _right(w, s, c) / (2 if c == "paper" else 1),
            ),
            right_shape=True,
        ),
        Mistake(
            "k for the inputs",
            "The k of a layer is the number of its units, its outputs: you divide by the number of "
            "inputs. The first axis of a weight matrix counts the units.",
            _decay(
                lambda w, s, c: s * w.square().sum() / (w.shape[1] if c == "paper" else 2),
            ),
            right_shape=True,
        ),
        Mistake(
            "mean over all weights",
            "This divides by the number of weights (a mean of squares): the paper divides their "
            "sum by the number of units.",
            _decay(
                lambda w, s, c: s * (w.square().mean() if c == "paper" else w.square().sum() / 2),
            ),
            right_shape=True,
        ),
        Mistake(
            "no λ",
            "The strength λ does not appear: multiply the sum by it.",
            _decay(lambda w, s, c: _share(w, c) * w.square().sum()),
            right_shape=True,
        ),
        Mistake(
            "not divided by k",
            'In the convention "paper" each layer\'s sum is divided by k, its number of units: '
            "that division is missing.",
            ("1 / len(weight)", "1.0"),
            right_shape=True,
        ),
        Mistake(
            "one k for all layers",
            "All layers' squares are added up first and then divided by the number of all units: "
            "each layer has its own k.",
            decay_all_units,
            right_shape=True,
        ),
        Mistake(
            "biases too",
            "The biases decay as well here: a bias does not stretch what comes in, so it is left "
            "alone. `weight_matrices(net)` leaves them out.",
            _decay(_right, trainable),
            right_shape=True,
        ),
        Mistake(
            "frozen layers too",
            "A frozen layer is counted: its weights cannot move, so its decay is a constant that "
            "only blurs the loss. `weight_matrices(net)` leaves frozen weights out.",
            _decay(_right, also_frozen),
            right_shape=True,
        ),
        Mistake(
            "absolute values",
            "These are absolute values (the lasso's penalty): a quadratic decay sums squares.",
            (".square()", ".abs()"),
            right_shape=True,
        ),
        Mistake(
            "norms without their square",
            "This sums the norms of the layers: the decay has their squares, so leave the root "
            "out.",
            (".square().sum()", ".norm()"),
            right_shape=True,
        ),
        Mistake(
            "the last layer only",
            "Only the last layer's term is left at the end: add to `total`, do not replace it.",
            ("total = total + strength", "total = strength"),
            right_shape=True,
        ),
        Mistake(
            "no gradient",
            "The number is right, but no gradient flows back from it: keep the tensors, without "
            "`.item()`, `.data`, `.detach()` or `float(...)`, or the decay will not move anything.",
            _decay(lambda w, s, c: _right(w, s, c).detach()),
        ),
        Mistake("no guards", GUARDED, decay_unguarded),
    ],
    variants=[decay_norms, decay_by_name],
    done="The term and its gradient are right in both conventions.",
)

# --- sigmoid-layer-backward ------------------------------------------------------------------


def layer_cases(rng):
    for images, inputs, units in ((2, 3, 1), (5, 4, 3), (4, 3, 3), (6, 2, 5)):
        x = torch.randn(images, inputs, generator=rng)
        weight = torch.randn(units, inputs, generator=rng)
        bias = torch.randn(units, generator=rng)
        h = torch.sigmoid(x @ weight.T + bias)
        g = torch.randn(images, units, generator=rng)
        label = f"{images} images, {inputs} inputs, {units} unit{'s' * (units > 1)}"
        yield Case(label, x, weight, h, g)


def layer_by_autograd(x, weight, h, g):
    """Autograd in double precision; the bias is found from the activations."""
    x, weight, h, g = (t.detach().double() for t in (x, weight, h, g))
    bias = (torch.logit(h) - x @ weight.T).mean(0)
    leaves = [t.requires_grad_() for t in (x, weight, bias)]
    return torch.autograd.grad((torch.sigmoid(x @ weight.T + bias) * g).sum(), leaves)


def layer_einsum(x, weight, h, g):
    dz = g * (h - h.square())
    return (
        torch.einsum("nb,ba->na", dz, weight),
        torch.einsum("nb,na->ba", dz, x),
        torch.einsum("nb->b", dz),
    )


def layer_loop(x, weight, h, g):
    dx, dw, db = torch.zeros_like(x), torch.zeros_like(weight), torch.zeros_like(h[0])
    for n in range(len(x)):
        for b in range(len(weight)):
            dz = g[n, b] * h[n, b] * (1 - h[n, b])
            dx[n] += dz * weight[b]
            dw[b] += dz * x[n]
            db[b] += dz
    return dx, dw, db


def layer_numpy(x, weight, h, g):
    x, weight, h, g = (t.detach().cpu().double().numpy() for t in (x, weight, h, g))
    dz = g * h * (1 - h)
    return [dz @ weight, dz.T @ x, dz.sum(axis=0)]


def _layer(slope, scale=lambda dx, dw, db, n: (dx, dw, db)):
    """A backward pass whose dz is slope(h, g), its results passed through ``scale``."""

    def wrong(x, weight, h, g):
        dz = slope(h, g)
        return scale(dz @ weight, dz.T @ x, dz.sum(0), len(x))

    return wrong


def _true_slope(h, g):
    return g * h * (1 - h)


def transposed_weight(x, weight, h, g):
    dz = g * h * (1 - h)
    return dz @ weight.T, dz.T @ x, dz.sum(0)


SIGMOID_LAYER = Exercise(
    slug="sigmoid-layer-backward",
    title="Backwards through a sigmoid layer",
    difficulty=3,
    minutes=12,
    hints=[
        "Go back one operation at a time. From h = σ(z) to z: multiply g by σ'(z), entry by "
        "entry. You are not given z, but σ'(z) = σ(z) (1 - σ(z)) and σ(z) is h.",
        "Let dz be the gradient with respect to z, (N, b). Since z = x Wᵀ + bias: every "
        "z[n, j] = Σ_i x[n, i] W[j, i] + bias[j]. So dx[n, i] sums dz[n, j] W[j, i] over j. Which "
        "index is summed in dW, and in db?",
        "The shapes decide: dx is (N, a) = (N, b) @ (b, a); dW is (b, a) = (b, N) @ (N, a); db "
        "is (b,), a sum over the images.",
    ],
    cases=layer_cases,
    oracle=layer_by_autograd,
    mistakes=[
        Mistake(
            "no derivative of the sigmoid",
            "The gradient g is passed on as if the layer were linear: from h back to the "
            "pre-activation, multiply by σ'.",
            _layer(lambda h, g: g),
            right_shape=True,
        ),
        Mistake(
            "σ' of the activation",
            "The derivative is taken at h, which went through the sigmoid already: σ'(z) is "
            "h (1 - h), without another sigmoid.",
            _layer(lambda h, g: g * torch.sigmoid(h) * (1 - torch.sigmoid(h))),
            right_shape=True,
        ),
        Mistake(
            "h for σ'",
            "Here g is multiplied by h alone: σ' is h (1 - h), small at both ends.",
            _layer(lambda h, g: g * h),
            right_shape=True,
        ),
        Mistake(
            "the other half of σ'",
            "Here g is multiplied by 1 - h alone: σ' is h (1 - h), small at both ends.",
            _layer(lambda h, g: g * (1 - h)),
            right_shape=True,
        ),
        Mistake(
            "tanh's derivative",
            "The slope 1 - h² is the derivative of tanh: the sigmoid's is h (1 - h).",
            _layer(lambda h, g: g * (1 - h * h)),
            right_shape=True,
        ),
        Mistake(
            "g left out",
            "The gradient g does not appear: by the chain rule σ' is multiplied by what comes back "
            "from above.",
            _layer(lambda h, g: h * (1 - h)),
            right_shape=True,
        ),
        Mistake(
            "a mean for dW and db",
            "Both dW and db are divided by N once too often: the mean over the batch is part of "
            "the loss, so its 1/N is in g already. Sum over the images here.",
            _layer(_true_slope, lambda dx, dw, db, n: (dx, dw / n, db / n)),
            right_shape=True,
        ),
        Mistake(
            "a mean for db",
            "Your db is a mean over the images and dW a sum: both are sums, the 1/N is in g "
            "already.",
            _layer(_true_slope, lambda dx, dw, db, n: (dx, dw, db / n)),
            right_shape=True,
        ),
        Mistake(
            "a mean for everything",
            "Everything is divided by N, which the loss has done already: g is the gradient of "
            "the mean loss, with the 1/N in it.",
            _layer(_true_slope, lambda dx, dw, db, n: (dx / n, dw / n, db / n)),
            right_shape=True,
        ),
        Mistake(
            "multiplied by N",
            "Both dW and db are N times too large: sum dz over the images, and multiply by "
            "nothing.",
            _layer(_true_slope, lambda dx, dw, db, n: (dx, dw * n, db * n)),
            right_shape=True,
        ),
        Mistake(
            "W transposed in dx",
            "Your dx goes through the transposed weight: forward it was x @ Wᵀ, so backwards it is "
            "dz @ W. With as many inputs as units no error message would tell you.",
            transposed_weight,
        ),
        Mistake(
            "dW transposed",
            "The gradient dW must have the shape of W, (units, inputs): yours is its transpose.",
            _layer(_true_slope, lambda dx, dw, db, n: (dx, dw.T, db)),
        ),
        Mistake(
            "db for each image",
            "Your db has a row per image: the bias is shared by all of them, so its gradient is "
            "the sum over the images.",
            lambda x, weight, h, g: (
                (g * h * (1 - h)) @ weight,
                (g * h * (1 - h)).T @ x,
                g * h * (1 - h),
            ),
        ),
        Mistake(
            "another order",
            "The three are right and in another order: return dx, dW, db.",
            _layer(_true_slope, lambda dx, dw, db, n: (dw, db, dx)),
        ),
    ],
    variants=[layer_einsum, layer_loop, layer_numpy],
    done="All three agree with automatic differentiation in double precision.",
)

# --- training-step ---------------------------------------------------------------------------


def step_cases(rng):
    def batch(n):
        images = torch.rand(n, 1, 2, 3, generator=rng)
        return images, torch.randint(3, (n,), generator=rng)

    yield Case(
        "one linear layer, two images",
        _net(nn.Flatten(), nn.Linear(6, 3)),
        *batch(2),
        learning_rate=0.5,
        decay=0.1,
    )
    yield Case(
        "a hidden layer, no decay",
        _net(nn.Flatten(), nn.Linear(6, 4), nn.Sigmoid(), nn.Linear(4, 3)),
        *batch(5),
        learning_rate=2.0,
        decay=0.0,
    )
    used = _net(nn.Flatten(), nn.Linear(6, 5), nn.Sigmoid(), nn.Linear(5, 3))
    images, labels = batch(4)
    F.cross_entropy(used(images), labels).backward()
    yield Case(
        "gradients left over from an earlier batch",
        used,
        *batch(7),
        learning_rate=0.3,
        decay=0.2,
    )


def loss_and_weights(result, net, images, labels, learning_rate, decay):
    """What is compared: the loss that was returned, and where the parameters are now."""
    return [result, list(net.parameters())]


def step_in_double(net, images, labels, learning_rate, decay):
    """The step of a copy in double precision, with PyTorch's own cross-entropy."""
    twin = copy.deepcopy(net).double()
    loss = F.cross_entropy(twin(images.double()), labels)
    rates = [decay if name.endswith("weight") else 0 for name, _ in twin.named_parameters()]
    slopes = torch.autograd.grad(loss, list(twin.parameters()))
    value = loss.detach()
    with torch.no_grad():
        for p, q, slope, rate in zip(
            net.parameters(), twin.parameters(), slopes, rates, strict=True
        ):
            p.copy_(q - learning_rate * (slope + rate * q))
            value += rate / 2 * q.square().sum()
    return value


def _objective(net, images, labels, decay, reduction="mean"):
    loss = F.cross_entropy(net(images), labels, reduction=reduction)
    return loss + training.weight_decay(net, decay, "half")


def step_sgd(net, images, labels, learning_rate, decay):
    """The decay by the optimizer's own setting, for weights and not for biases."""
    groups = [
        {"params": [p for p in net.parameters() if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in net.parameters() if p.ndim == 1]},
    ]
    optimizer = torch.optim.SGD(groups, lr=learning_rate)
    loss = _objective(net, images, labels, decay)
    optimizer.zero_grad()
    F.cross_entropy(net(images), labels).backward()
    optimizer.step()
    return loss


def step_autograd(net, images, labels, learning_rate, decay):
    objective = _objective(net, images, labels, decay)
    slopes = torch.autograd.grad(objective, list(net.parameters()))
    for p, slope in zip(net.parameters(), slopes, strict=True):
        p.data.sub_(learning_rate * slope)
    return objective.detach()


def step_data(net, images, labels, learning_rate, decay):
    net.zero_grad()
    objective = _objective(net, images, labels, decay)
    objective.backward()
    for p in net.parameters():
        p.data = p.data - learning_rate * p.grad
    return float(objective.detach())


def _step(objective=_objective, zero=True, sign=-1, after=False, late_zero=False):
    """A wrong training step."""

    def wrong(net, images, labels, learning_rate, decay):
        if zero:
            net.zero_grad()
        loss = objective(net, images, labels, decay)
        loss.backward()
        if late_zero:
            for p in net.parameters():
                p.grad.zero_()
        with torch.no_grad():
            for p in net.parameters():
                p += sign * learning_rate * p.grad
            if after:
                loss = objective(net, images, labels, decay)
        return loss.detach()

    return wrong


def all_decay(net, images, labels, decay):
    return F.cross_entropy(net(images), labels) + decay / 2 * sum(
        p.square().sum() for p in net.parameters()
    )


def step_recorded(net, images, labels, learning_rate, decay):
    _objective(net, images, labels, decay).backward()
    for p in net.parameters():
        p -= learning_rate * p.grad


def step_too_early(net, images, labels, learning_rate, decay):
    with torch.no_grad():
        for p in net.parameters():
            p -= learning_rate * p.grad
    return _step(_objective)(net, images, labels, 0.0, decay)


def decay_in_gradient_only(net, images, labels, learning_rate, decay):
    loss = F.cross_entropy(net(images), labels).detach()
    _step()(net, images, labels, learning_rate, decay)
    return loss


TRAINING_STEP = Exercise(
    slug="training-step",
    title="One step of training",
    difficulty=2,
    minutes=8,
    hints=[
        "Four things, in this order: the objective, gradients to zero, backward, the step. "
        "`weight_decay` and `stable_cross_entropy` are yours already.",
        "`backward()` adds to what is in `.grad` already: `net.zero_grad()` clears that.",
        "Inside `with torch.no_grad():` a parameter can be changed in place: "
        "`parameter -= learning_rate * parameter.grad`.",
    ],
    cases=step_cases,
    oracle=step_in_double,
    observe=loss_and_weights,
    may_change=("net",),
    mistakes=[
        Mistake(
            "gradients not zeroed",
            "The gradients of an earlier batch are still in `.grad`, and `backward()` adds to "
            "them: set them to zero before.",
            _step(zero=False),
            right_shape=True,
        ),
        Mistake(
            "no step",
            "The objective is right, but nothing has moved: is there a step, in place, and are the "
            "gradients set to zero before `backward()` and not after it?",
            _step(late_zero=True),
            right_shape=True,
        ),
        Mistake(
            "uphill",
            "The step goes uphill: the gradient points to where the loss grows, so subtract it.",
            _step(sign=1),
            right_shape=True,
        ),
        Mistake(
            "the objective after the step",
            "The step is right, but the objective is that of the changed weights: return the one "
            "before the step.",
            _step(after=True),
            right_shape=True,
        ),
        Mistake(
            "no decay",
            "The weight decay is missing from the objective.",
            _step(lambda net, x, y, decay: F.cross_entropy(net(x), y)),
            right_shape=True,
        ),
        Mistake(
            "decay not in the result",
            "The weights are right, but the number returned is the cross-entropy alone: return "
            "the whole objective, weight decay included.",
            decay_in_gradient_only,
            right_shape=True,
        ),
        Mistake(
            "the paper's convention",
            'The decay is in the paper\'s convention, the default of `weight_decay`: here "half" '
            "is asked for.",
            _step(
                lambda net, x, y, decay: (
                    F.cross_entropy(net(x), y) + training.weight_decay(net, decay)
                )
            ),
            right_shape=True,
        ),
        Mistake(
            "biases decay",
            "The biases decay, too: the decay belongs to the weight matrices.",
            _step(all_decay),
            right_shape=True,
        ),
        Mistake(
            "sum over the batch",
            "The cross-entropy is summed over the batch: with its mean, the step does not grow "
            "with the number of images.",
            _step(lambda net, x, y, decay: _objective(net, x, y, decay, "sum")),
            right_shape=True,
        ),
        Mistake(
            "step under autograd's eyes",
            "A parameter is changed in place while autograd keeps its books: put the step inside "
            "`with torch.no_grad():`.",
            step_recorded,
        ),
        Mistake(
            "an old gradient",
            "The step is taken with the gradients of an earlier batch, before `backward()` has "
            "found those of this one: first backward, then the step.",
            step_too_early,
        ),
    ],
    variants=[step_sgd, step_autograd, step_data],
    done="Loss and weights are those of the same step in double precision.",
    equivalent_mutants={
        "- return objective.detach() / + return objective": (
            "The number is the same; it only keeps the graph of one batch alive for longer."
        ),
    },
)

# --- kl-sparsity -----------------------------------------------------------------------------


def activation_cases(rng):
    yield Case("two images, one unit", torch.tensor([[0.1], [0.5]]), 0.2)
    yield Case("three images, four units", torch.rand(3, 4, generator=rng) * 0.8 + 0.1, 0.05)
    yield Case("as many images as units", torch.rand(5, 5, generator=rng) * 0.5 + 0.2, 0.3)
    rare = torch.rand(40, 6, generator=rng) ** 4 * 0.9 + 0.01
    yield Case("rarely active units", rare, 0.1)


def kl_of_scipy(activations, target):
    mean = activations.detach().double().numpy().mean(axis=0)
    terms = scipy.special.rel_entr(target, mean) + scipy.special.rel_entr(1 - target, 1 - mean)
    return terms.sum()


def kl_loop(activations, target):
    total = 0.0
    for unit in activations.double().T:
        mean = unit.mean()
        total = total + target * torch.log(target / mean)
        total = total + (1 - target) * torch.log((1 - target) / (1 - mean))
    return total


def kl_distributions(activations, target):
    means = activations.mean(dim=0)
    wanted = torch.distributions.Bernoulli(torch.full_like(means, target))
    return torch.distributions.kl_divergence(wanted, torch.distributions.Bernoulli(means)).sum()


def kl_cross_entropies(activations, target):
    means = activations.mean(0)
    wanted = torch.full_like(means, target)
    entropy = F.binary_cross_entropy(wanted, wanted, reduction="sum")
    return F.binary_cross_entropy(means, wanted, reduction="sum") - entropy


def _kl(p, q):
    return p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()


CLAMPED = "activations.mean(0).clamp(1e-06, 1 - 1e-06)"

KL_SPARSITY = Exercise(
    slug="kl-sparsity",
    title="A penalty for being active too often",
    difficulty=2,
    minutes=8,
    hints=[
        "First the share of the time that each unit is active: the mean over the batch, one "
        "number per unit.",
        "The divergence has two terms: one for being active (ρ against ρ̂) and one for being "
        "silent (1 - ρ against 1 - ρ̂). Both are needed, or it would have no minimum at ρ.",
        "`mean = activations.mean(0)`; the first term is `target * (target / mean).log()`. Sum "
        "over the units at the end.",
    ],
    reference=training.kl_sparsity,
    cases=activation_cases,
    oracle=kl_of_scipy,
    gradients=("activations",),
    mistakes=[
        Mistake(
            "per image",
            "The divergence is taken for each image and then averaged, so every unit is asked to "
            "be at ρ on every image: average the activations over the batch first.",
            lambda activations, target: _kl(target, activations).sum(1).mean(),
            right_shape=True,
        ),
        Mistake(
            "reversed",
            "The two distributions are the wrong way round: the weights in front of the logarithms "
            "are ρ and 1 - ρ, not the means ρ̂ and 1 - ρ̂.",
            lambda activations, target: _kl(activations.mean(0), target).sum(),
            right_shape=True,
        ),
        Mistake(
            "no silent half",
            "The term of the silent share, (1-ρ) log((1-ρ)/(1-ρ̂)), is missing: without it, more "
            "activity is always better.",
            ("(rare + often)", "rare"),
            right_shape=True,
        ),
        Mistake(
            "only the silent half",
            "The term of the active share, ρ log(ρ/ρ̂), is missing: without it, a dead unit is "
            "best.",
            ("(rare + often)", "often"),
            right_shape=True,
        ),
        Mistake(
            "mean over the units",
            "The divergences are averaged over the units: sum them, so that the pull on one unit "
            "does not depend on how many others there are.",
            ("(rare + often).sum()", "(rare + often).mean()"),
            right_shape=True,
        ),
        Mistake(
            "mean along the units",
            "The mean runs over the units of each image: it is over the images of each unit, the "
            "first axis.",
            ("activations.mean(0)", "activations.mean(1)"),
            right_shape=True,
        ),
        Mistake(
            "cross-entropy",
            "This is the cross-entropy of ρ and ρ̂. Its gradient is right, but it is not 0 on "
            "target: the entropy of ρ is not subtracted.",
            lambda activations, target: F.binary_cross_entropy(
                activations.mean(0),
                torch.full_like(activations.mean(0), target),
                reduction="sum",
            ),
            right_shape=True,
        ),
        Mistake(
            "sign",
            "The sign is wrong: a divergence is never negative. In the logarithms the target is "
            "above and the mean below.",
            ("return (rare + often).sum()", "return -(rare + often).sum()"),
            right_shape=True,
        ),
        Mistake(
            "squared distance",
            "This is the squared distance of the means from the target: the divergence has "
            "logarithms, and grows without bound as a unit dies.",
            lambda activations, target: (activations.mean(0) - target).square().sum(),
            right_shape=True,
        ),
        Mistake(
            "a count",
            "This counts how often an activation exceeds 1/2, which has no gradient and is 0 or 1 "
            "for many units: take the mean of the activations themselves.",
            lambda activations, target: _kl(target, (activations > 0.5).float().mean(0)).sum(),
            right_shape=True,
        ),
        Mistake(
            "one mean for all units",
            "One mean is taken over images and units together: some units could then be always "
            "on and the others never. Each unit has its own mean.",
            lambda activations, target: _kl(target, activations.mean()) * activations.shape[1],
            right_shape=True,
        ),
        Mistake(
            "a vector",
            "This is one divergence per unit: their sum is asked for.",
            ("(rare + often).sum()", "(rare + often)"),
        ),
    ],
    variants=[kl_loop, kl_distributions, kl_cross_entropies],
    done="The term and its gradient are right.",
    equivalent_mutants={
        f"- mean = {CLAMPED} / + mean = {other}": (
            "The docstring promises activations in (0, 1), so a right answer needs no clamp: the "
            "library's keeps float32 from log(0) where a sigmoid has rounded to 0 or 1."
        )
        for other in (
            "activations.mean(0)",
            *(CLAMPED.replace("1e-06,", low) for low in ("2e-06,", "5e-07,")),
            *(
                CLAMPED.replace("1 - 1e-06", high)
                for high in ("1 + 1e-06", "2 - 1e-06", "1 - 2e-06", "1 - 5e-07")
            ),
        )
    },
)

# --- paired-difference -----------------------------------------------------------------------

Z = scipy.stats.norm.ppf(0.975)


def pairs_of_errors(both, only_a, only_b, neither, rng):
    """Two boolean vectors with these counts, in a random order."""
    a = torch.tensor([True] * (both + only_a) + [False] * (only_b + neither))
    b = torch.tensor([True] * both + [False] * only_a + [True] * only_b + [False] * neither)
    order = torch.randperm(len(a), generator=rng)
    return a[order], b[order]


def paired_cases(rng):
    yield Case("ten images", *pairs_of_errors(1, 4, 2, 3, rng))
    yield Case("no image on which they differ", *pairs_of_errors(2, 0, 0, 28, rng))
    yield Case("only b is ever wrong", *pairs_of_errors(0, 0, 12, 38, rng))
    yield Case("a thousand images", *pairs_of_errors(9, 14, 5, 972, rng))


def two_more_images(wrong_a, wrong_b):
    """The same interval, read as data: Wald's, on the images and two invented ones."""
    d = wrong_a.cpu().double().numpy() - wrong_b.cpu().double().numpy()
    more = np.append(d, [1.0, -1.0])
    reach = Z * more.std() / np.sqrt(len(more))
    return d.mean(), more.mean() - reach, more.mean() + reach


def paired_loop(wrong_a, wrong_b):
    n = len(wrong_a)
    only_a = only_b = 0
    for a, b in zip(wrong_a.tolist(), wrong_b.tolist(), strict=True):
        only_a += a and not b
        only_b += b and not a
    p, q = (only_a + 1) / (n + 2), (only_b + 1) / (n + 2)
    reach = 1.96 * math.sqrt((p + q - (p - q) ** 2) / (n + 2))
    return (only_a - only_b) / n, p - q - reach, p - q + reach


def paired_tensor(wrong_a, wrong_b):
    table = torch.bincount(2 * wrong_a.long() + wrong_b.long(), minlength=4).double()
    p, q = (table[2] + 1) / (table.sum() + 2), (table[1] + 1) / (table.sum() + 2)
    reach = Z * ((p + q - (p - q) ** 2) / (table.sum() + 2)).sqrt()
    return torch.stack([(table[2] - table[1]) / table.sum(), p - q - reach, p - q + reach])


def _counts(wrong_a, wrong_b):
    only_a, only_b = int((wrong_a & ~wrong_b).sum()), int((wrong_b & ~wrong_a).sum())
    return only_a, only_b, len(wrong_a)


def _adjusted(wrong_a, wrong_b):
    only_a, only_b, n = _counts(wrong_a, wrong_b)
    return (only_a + 1) / (n + 2), (only_b + 1) / (n + 2), n


def _paired(interval):
    """A wrong interval: interval(p, q, n, d) -> (middle, reach), p and q the adjusted shares."""

    def wrong(wrong_a, wrong_b):
        p, q, n = _adjusted(wrong_a, wrong_b)
        only_a, only_b, n = _counts(wrong_a, wrong_b)
        middle, reach = interval(p, q, n, (only_a - only_b) / n)
        return (only_a - only_b) / n, middle - reach, middle + reach

    return wrong


def _spread(p, q):
    return p + q - (p - q) ** 2


def wald(wrong_a, wrong_b):
    only_a, only_b, n = _counts(wrong_a, wrong_b)
    d = (only_a - only_b) / n
    reach = Z * math.sqrt(_spread(only_a / n, only_b / n) / n)
    return d, d - reach, d + reach


def unpaired(wrong_a, wrong_b):
    a, b = float(wrong_a.double().mean()), float(wrong_b.double().mean())
    reach = Z * math.sqrt((a * (1 - a) + b * (1 - b)) / len(wrong_a))
    return a - b, a - b - reach, a - b + reach


def ends_of_two(wrong_a, wrong_b):
    a, b, n = float(wrong_a.double().mean()), float(wrong_b.double().mean()), len(wrong_a)
    reach = Z * (math.sqrt(a * (1 - a) / n) + math.sqrt(b * (1 - b) / n))
    return a - b, a - b - reach, a - b + reach


def swapped(wrong_a, wrong_b):
    return two_more_images(wrong_b, wrong_a)


def middle_for_difference(wrong_a, wrong_b):
    p, q, n = _adjusted(wrong_a, wrong_b)
    reach = Z * math.sqrt(_spread(p, q) / (n + 2))
    return p - q, p - q - reach, p - q + reach


PAIRED = Exercise(
    slug="paired-difference",
    title="Two networks on the same images",
    difficulty=3,
    minutes=10,
    hints=[
        "Count two things: on how many images only a is wrong, and on how many only b is. For "
        "boolean tensors `wrong_a & ~wrong_b` marks the first (PyTorch does not subtract them).",
        "The difference of the error rates is (only_a - only_b) / n. The interval has its middle "
        "elsewhere: at p - q with p = (only_a + 1) / (n + 2), q = (only_b + 1) / (n + 2).",
        "Half the interval's length is 1.96 times the root of (p + q - (p - q)²) / (n + 2).",
    ],
    cases=paired_cases,
    oracle=two_more_images,
    atol=1e-5,
    mistakes=[
        Mistake(
            "Wald",
            "Nothing is added to the counts, so two networks that never differ on 30 images get "
            "an interval of length 0, as if that were proof: use p and q with the + 1 and + 2.",
            wald,
            right_shape=True,
        ),
        Mistake(
            "unpaired",
            "This treats the two as measured on different images. Most images are right or wrong "
            "for both and say nothing about the difference: only those on which exactly one is "
            "wrong count.",
            unpaired,
            right_shape=True,
        ),
        Mistake(
            "the ends of two intervals",
            "This goes from the lower end of one network's interval to the upper end of the "
            'other\'s, which is what "they overlap, so they are equal" does. Both cannot be off '
            "in opposite directions that often: make one interval, for the difference.",
            ends_of_two,
            right_shape=True,
        ),
        Mistake(
            "b minus a",
            "The sign is swapped: this is the error of b minus that of a.",
            swapped,
            right_shape=True,
        ),
        Mistake(
            "spread of one image",
            "The reach is that of one image's difference: the variance of a mean over n + 2 of "
            "them is n + 2 times smaller.",
            _paired(lambda p, q, n, d: (p - q, Z * math.sqrt(_spread(p, q)))),
            right_shape=True,
        ),
        Mistake(
            "one standard error",
            "The reach is one standard error, which covers 68 %: a 95 % interval takes 1.96.",
            _paired(lambda p, q, n, d: (p - q, math.sqrt(_spread(p, q) / (n + 2)))),
            right_shape=True,
        ),
        Mistake(
            "90 %",
            "A factor of 1.645 leaves 5 % on each side, so this is a 90 % interval: 95 % takes "
            "1.96.",
            _paired(
                lambda p, q, n, d: (
                    p - q,
                    scipy.stats.norm.ppf(0.95) * math.sqrt(_spread(p, q) / (n + 2)),
                )
            ),
            right_shape=True,
        ),
        Mistake(
            "no squared difference",
            "The variance lacks its - (p - q)²: an image's difference has mean p - q, and p + q "
            "is the mean of its square.",
            _paired(lambda p, q, n, d: (p - q, Z * math.sqrt((p + q) / (n + 2)))),
            right_shape=True,
        ),
        Mistake(
            "middle not shifted",
            "The reach is right, but the interval is centred on the raw difference: its middle is "
            "p - q, a little nearer to 0.",
            _paired(lambda p, q, n, d: (d, Z * math.sqrt(_spread(p, q) / (n + 2)))),
            right_shape=True,
        ),
        Mistake(
            "divided by n",
            "The variance is divided by n: with two more images in the counts it is n + 2.",
            _paired(lambda p, q, n, d: (p - q, Z * math.sqrt(_spread(p, q) / n))),
            right_shape=True,
        ),
        Mistake(
            "percent",
            "These are percentage points: shares are asked for, 100 times smaller.",
            lambda wrong_a, wrong_b: [100 * v for v in two_more_images(wrong_a, wrong_b)],
            right_shape=True,
        ),
        Mistake(
            "the middle returned as the difference",
            "The first number is the interval's middle: return the difference that was seen, "
            "(only_a - only_b) / n, nothing added.",
            middle_for_difference,
            right_shape=True,
        ),
    ],
    variants=[paired_loop, paired_tensor],
    done="That is the interval of Bonett and Price (2012), also where no image tells them apart.",
)

# --- error-in-batches ------------------------------------------------------------------------


def batch_cases(rng):
    def case(label, n, batch_size, late):
        net = _net(nn.Flatten(), nn.Linear(6, 4))
        images = torch.randn(n, 1, 2, 3, generator=rng)
        labels = net(images).argmax(1)
        wrong = torch.zeros(n, dtype=torch.bool)
        wrong[::3] = True
        wrong[-late:] = True
        labels = torch.where(wrong, (labels + 1) % 4, labels)
        return Case(label, net, images, labels, batch_size)

    yield case("five images in batches of 2", 5, 2, 1)
    yield case("twelve images in batches of 4", 12, 4, 1)
    yield case("twenty images in batches of 6", 20, 6, 2)
    yield case("three images in batches of 8", 3, 8, 1)


def error_of_loop(net, images, labels, batch_size=100):
    """One image after the other, in double precision."""
    weight, bias = net[1].weight.detach().double().numpy(), net[1].bias.detach().double().numpy()
    guessed = [(weight @ x.double().numpy().ravel() + bias).argmax() for x in images]
    return float(np.mean(np.array(guessed) != labels.numpy()))


@torch.no_grad()
def error_weighted(net, images, labels, batch_size=100):
    rates, sizes = [], []
    for x, y in zip(images.split(batch_size), labels.split(batch_size), strict=True):
        rates.append(float((net(x).argmax(1) != y).double().mean()))
        sizes.append(len(y))
    return np.average(rates, weights=sizes)


@torch.no_grad()
def error_concatenated(net, images, labels, batch_size=100):
    guessed = torch.cat([net(x).argmax(1) for x in images.split(batch_size)])
    return (guessed != labels).double().mean()


@torch.no_grad()
def error_one_batch(net, images, labels, batch_size=100):
    return 1 - float((net(images).argmax(1) == labels).double().mean())


def _batched(finish, full_only=False):
    """A wrong error rate: finish(errors of each batch, sizes, number of images, batch size)."""

    @torch.no_grad()
    def wrong(net, images, labels, batch_size=100):
        counts, sizes = [], []
        for x, y in zip(images.split(batch_size), labels.split(batch_size), strict=True):
            if full_only and len(x) < batch_size:
                continue
            counts.append(int((net(x).argmax(1) != y).sum()))
            sizes.append(len(y))
        return float(finish(np.array(counts), np.array(sizes), len(images), batch_size))

    return wrong


HEAD = "error_in_batches(net, images, labels, batch_size"

ERROR_IN_BATCHES = Exercise(
    slug="error-in-batches",
    title="An error rate that depends on the batch size",
    difficulty=2,
    minutes=5,
    hints=[
        "10 000 images in batches of 256: how many images are in the last batch, and how much "
        "does each of them count?",
        "Add up the number of errors, and divide once, at the end.",
    ],
    cases=batch_cases,
    oracle=error_of_loop,
    mistakes=[
        Mistake(
            "short batch dropped",
            "The short last batch is left out: the result no longer depends on how it is weighed, "
            "but its images are never looked at.",
            _batched(lambda c, s, n, b: c.sum() / s.sum() if len(s) else 0.0, full_only=True),
            right_shape=True,
        ),
        Mistake(
            "short batch dropped, all counted",
            "The errors of the short last batch are left out while its images are counted: the "
            "error comes out too small.",
            _batched(lambda c, s, n, b: c.sum() / n, full_only=True),
            right_shape=True,
        ),
        Mistake(
            "all batches counted as full",
            "You divide by the number of batches times the batch size, which is more than there "
            "are images: divide by `len(images)`.",
            _batched(lambda c, s, n, b: c.sum() / (len(c) * b)),
            right_shape=True,
        ),
        Mistake(
            "accuracy",
            "This is the share that is right, the accuracy: the error rate is 1 minus that.",
            _batched(lambda c, s, n, b: 1 - c.sum() / n),
            right_shape=True,
        ),
        Mistake(
            "a count",
            "This is the number of errors: divide it by the number of images.",
            _batched(lambda c, s, n, b: c.sum()),
        ),
        Mistake(
            "the last batch only",
            "Only the last batch's errors are left at the end: add them up over the batches.",
            _batched(lambda c, s, n, b: c[-1] / n),
            right_shape=True,
        ),
        Mistake(
            "divided by the number of batches",
            "The errors are divided by the number of batches: divide by the number of images.",
            _batched(lambda c, s, n, b: c.sum() / len(c)),
            right_shape=True,
        ),
        Mistake(
            "percent",
            "These are percent: the course's error rates are shares in [0, 1].",
            _batched(lambda c, s, n, b: 100 * c.sum() / n),
            right_shape=True,
        ),
    ],
    variants=[error_weighted, error_concatenated, error_one_batch],
    done="Every image counts once, whatever the batch size.",
    equivalent_mutants={
        f"- def {HEAD}=256): / + def {HEAD}={other}):": (
            "The share of wrong images does not depend on the batch size: that is the point."
        )
        for other in (255, 257)
    },
)

EXERCISES = [
    CROSS_ENTROPY,
    WEIGHT_DECAY,
    SIGMOID_LAYER,
    TRAINING_STEP,
    KL_SPARSITY,
    PAIRED,
    ERROR_IN_BATCHES,
]

# --- predictions, quizzes, short answers -----------------------------------------------------

PREDICTIONS = {
    "fc10-error": Prediction(
        "Which test error will the softmax on the pixels have, with a decay of λ = 1e-2?",
        unit="%",
        digits=2,
    ),
    "discordant-images": Prediction(
        "On how many of the 10 000 test images is exactly one of FC100-100-10 and FC200-200-10 "
        "wrong?",
        unit="images",
        digits=3,
    ),
}

QUIZZES = {
    "softmax-shift": Quiz(
        "A network's logits for an image all grow by 5. What happens to its softmax?",
        [
            Option(
                "The probabilities grow by a factor of e⁵",
                False,
                "The factor stands in the numerator and in every term of the sum below it: it "
                "cancels, and the probabilities still add up to 1.",
            ),
            Option(
                "Nothing",
                True,
                "The factor e⁵ cancels. So a softmax over 10 classes has one direction of "
                "logits that it does not see, and subtracting the maximum is free.",
            ),
            Option(
                "It becomes more certain",
                False,
                "That is what multiplying all logits by a factor above 1 does. Adding changes no "
                "difference between two logits, and only differences matter.",
            ),
        ],
    ),
    "decay-k": Quiz(
        "FC10(1) has λ = 1 in the paper's convention, λ · Σ w² / k. Which λ gives the same network "
        "with the term λ/2 · Σ w²?",
        [
            Option(
                "0.2",
                True,
                "k is 10, the number of units: 1/10 = 0.2/2. So the same number λ means five "
                "times less decay in the paper's convention, for this network.",
            ),
            Option(
                "0.05",
                False,
                "That is 1/10 halved. Set the two factors equal: 1/10 = λ/2, and solve for λ.",
            ),
            Option(
                "2/784",
                False,
                "784 is the number of inputs: k counts the layer's units, which are 10 here.",
            ),
            Option(
                "5",
                False,
                "The other way round: 1/10 is smaller than 1/2, so the half needs a smaller λ.",
            ),
        ],
    ),
    "intervals-overlap": Quiz(
        "Two networks' test errors, on the same images, have 95 % intervals that overlap. What "
        "follows for the difference of the two?",
        [
            Option(
                "That they do not differ",
                False,
                "Absence of evidence at best, and not even that: the interval of the difference "
                "may lie well away from 0 while the two overlap.",
            ),
            Option(
                "Nothing yet: look at the images on which exactly one is wrong",
                True,
                "The two errors are correlated, since hard images are hard for both. Their "
                "difference has its own interval, and on the same images it is mostly shorter.",
            ),
            Option(
                "That they differ by less than the intervals' length",
                False,
                "An interval says where each error may lie; the difference depends on how the "
                "two errors go together.",
            ),
        ],
    ),
}

ANSWERS = {
    "filters-reading": ShortAnswer(
        "What do the filters of each row look like? What may you conclude from the first two rows, "
        "and why not the same from the second and the third?",
        rubric=[
            "It names what is seen: without the term, blotches of both signs all over the image; "
            "with it, many filters that follow a curve or a whole digit; in AE400-10, short "
            "strokes and spots, with most of the image left alone.",
            "It says that the first two rows differ in the term alone (the same images, first "
            "weights and epochs), so the difference in looks is the term's doing, for this seed.",
            "It says that the third row differs in more: 400 units instead of 100, 60 000 images "
            "instead of 3 000, and the settings of its training.",
            "It keeps apart what filters look like and what they are good for: no error rate is "
            "shown here, and ten filters of each are not all of them.",
        ],
    ),
    "autoencoder-control": ShortAnswer(
        "AE400-10 never sees a label in its first layer. Does the sparse training help its test "
        "error at all? Design the control: which networks do you compare, what is the same in all, "
        "what is measured, on what, and which result would change your mind?",
        rubric=[
            "The main control: the same 400 sigmoid units with weights that were not trained "
            "(random, frozen), the same softmax fit on top, with its decay chosen in the same way.",
            "A second one separates 'sparse' from 'autoencoder': the same training with the "
            "strength of the sparsity term at 0.",
            "Scale is part of it: random weights need the same spread of pre-activations, or the "
            "sigmoids saturate, and the comparison is with a bad start, not with no training.",
            "Settings are chosen on validation images only, the test set is looked at once; "
            "several seeds (the networks are the replicates), and a paired interval for two "
            "networks on the same images.",
            "It says beforehand which result would count: for example 'if the random layer is "
            "within 0.3 percentage points, the sparse training is not what gives the 1.9 %'.",
        ],
    ),
}
