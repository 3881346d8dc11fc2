"""`sigmoid-layer-backward`, lesson 01: against autograd in double precision.

One layer has as many inputs as units: a transposed weight fits there, and nothing but the numbers
tells. One is saturated, so that activations are exactly 0 and 1.
"""

import torch

from course_lib.exercises import Case, Exercise

from .shared import Calls


def layer_cases(rng):
    for images, inputs, units in ((2, 3, 1), (5, 4, 3), (4, 3, 3), (6, 2, 5), (1, 4, 2)):
        x = torch.randn(images, inputs, generator=rng)
        weight = torch.randn(units, inputs, generator=rng)
        bias = torch.randn(units, generator=rng)
        h = torch.sigmoid(x @ weight.T + bias)
        g = torch.randn(images, units, generator=rng)
        many = "images" if images > 1 else "image"
        label = f"{images} {many}, {inputs} inputs, {units} unit{'s' * (units > 1)}"
        yield Case(label, x, weight, h, g)
    x = torch.randn(5, 3, generator=rng)
    weight = torch.randn(4, 3, generator=rng)
    h = torch.sigmoid(x @ weight.T)
    h[:, 0], h[:2, 1], h[2:, 1] = 1.0, 0.0, 1.0
    yield Case("saturated units", x, weight, h, torch.randn(5, 4, generator=rng))


def layer_by_autograd(x, weight, h, g):
    """Autograd in double precision; what is added to x @ weight.T is found from h."""
    x, weight, h, g = (t.detach().double() for t in (x, weight, h, g))
    z = torch.logit(h, eps=1e-12)
    bias = z - x @ weight.T  # a row per image, nearly the same in all
    leaves = [t.requires_grad_() for t in (x, weight, bias)]
    slopes = torch.autograd.grad((torch.sigmoid(x @ weight.T + bias) * g).sum(), leaves)
    return slopes[0], slopes[1], slopes[2].sum(0)


EXERCISE = Exercise(
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
    parts=("gradient of x", "gradient of weight", "gradient of bias"),
    oracle=layer_by_autograd,
    done="All three agree with automatic differentiation in double precision.",
)


@EXERCISE.variant
def layer_einsum(x, weight, h, g):
    dz = g * (h - h.square())
    return (
        torch.einsum("nb,ba->na", dz, weight),
        torch.einsum("nb,na->ba", dz, x),
        torch.einsum("nb->b", dz),
    )


@EXERCISE.variant
def layer_loop(x, weight, h, g):
    dx, dw, db = torch.zeros_like(x), torch.zeros_like(weight), torch.zeros_like(h[0])
    for n in range(len(x)):
        for b in range(len(weight)):
            dz = g[n, b] * h[n, b] * (1 - h[n, b])
            dx[n] += dz * weight[b]
            dw[b] += dz * x[n]
            db[b] += dz
    return dx, dw, db


@EXERCISE.variant
def layer_numpy(x, weight, h, g):
    x, weight, h, g = (t.detach().cpu().double().numpy() for t in (x, weight, h, g))
    dz = g * h * (1 - h)
    return [dz @ weight, dz.T @ x, dz.sum(axis=0)]


AUTOGRAD = (
    "The numbers are right, and autograd found them: here the gradients are to be written by hand, "
    "since the lesson uses them where autograd is switched off. From h to z it is h (1 - h)."
)


@EXERCISE.probe(only_right=True)
def by_autograd(answer):
    """A probe: no derivative is taken by PyTorch, nor is one needed where it keeps no books."""
    layer = [torch.rand(3, 2), torch.rand(4, 2), torch.rand(3, 4), torch.rand(3, 4)]
    with Calls() as calls:
        answer(*layer)
    return AUTOGRAD if calls.names & {"backward", "grad", "vjp"} else None


def layer_of_autograd(x, weight, h, g):
    z = torch.logit(h, eps=1e-9).requires_grad_()
    torch.sigmoid(z).backward(g)
    return z.grad @ weight, z.grad.T @ x, z.grad.sum(0)


EXERCISE.mistake("autograd", AUTOGRAD, layer_of_autograd)

EXERCISE.mistake(
    "no derivative of the sigmoid",
    "The gradient g is passed on as if the layer were linear: from h back to the "
    "pre-activation, multiply by σ'.",
    ("g * h * (1 - h)", "g"),
)

EXERCISE.mistake(
    "σ' of the activation",
    "The derivative is taken at h, which went through the sigmoid already: σ'(z) is "
    "h (1 - h), without another sigmoid.",
    ("g * h * (1 - h)", "g * torch.sigmoid(h) * (1 - torch.sigmoid(h))"),
)

EXERCISE.mistake(
    "h for σ'",
    "Here g is multiplied by h alone: σ' is h (1 - h), small at both ends.",
    ("g * h * (1 - h)", "g * h"),
)

EXERCISE.mistake(
    "the other half of σ'",
    "Here g is multiplied by 1 - h alone: σ' is h (1 - h), small at both ends.",
    ("g * h * (1 - h)", "g * (1 - h)"),
)

EXERCISE.mistake(
    "tanh's derivative",
    "The slope 1 - h² is the derivative of tanh: the sigmoid's is h (1 - h).",
    ("g * h * (1 - h)", "g * (1 - h**2)"),
)

EXERCISE.mistake(
    "g left out",
    "The gradient g does not appear: by the chain rule σ' is multiplied by what comes back "
    "from above.",
    ("g * h * (1 - h)", "h * (1 - h)"),
)


@EXERCISE.mistake(
    "return inside the loop",
    "Your dW and db belong to the first image: is the `return` inside the loop over the images?",
)
def layer_of_one_image(x, weight, h, g):
    dz = g * h * (1 - h)
    return dz @ weight, dz[:1].T @ x[:1], dz[0]


@EXERCISE.mistake(
    "overwritten in the loop",
    "Your dW and db belong to the last image: add them up over the images, with `+=`.",
)
def layer_of_the_last_image(x, weight, h, g):
    dz = g * h * (1 - h)
    return dz @ weight, dz[-1:].T @ x[-1:], dz[-1]


EXERCISE.mistake(
    "a mean for dW and db",
    "Both dW and db are divided by N once too often: the mean over the batch is part of "
    "the loss, so its 1/N is in g already. Sum over the images here.",
    ("dz.T @ x, dz.sum(dim=0)", "dz.T @ x / len(x), dz.mean(dim=0)"),
)

EXERCISE.mistake(
    "a mean for db",
    "Your db is a mean over the images and dW a sum: both are sums, the 1/N is in g already.",
    ("dz.sum(dim=0)", "dz.mean(dim=0)"),
)

EXERCISE.mistake(
    "a mean for everything",
    "Everything is divided by N, which the loss has done already: g is the gradient of "
    "the mean loss, with the 1/N in it.",
    ("g * h * (1 - h)", "g * h * (1 - h) / len(x)"),
)

EXERCISE.mistake(
    "multiplied by N",
    "Both dW and db are N times too large: sum dz over the images, and multiply by nothing.",
    ("dz.T @ x, dz.sum(dim=0)", "len(x) * dz.T @ x, len(x) * dz.sum(dim=0)"),
)

EXERCISE.mistake(
    "W transposed in dx",
    "Your dx goes through the transposed weight: forward it was x @ Wᵀ, so backwards it is "
    "dz @ W. With as many inputs as units no error message would tell you.",
    ("dz @ weight", "dz @ weight.T"),
)

EXERCISE.mistake(
    "dW transposed",
    "The gradient dW must have the shape of W, (units, inputs): yours is its transpose.",
    ("dz.T @ x", "x.T @ dz"),
)

EXERCISE.mistake(
    "db for each image",
    "Your db has a row per image: the bias is shared by all of them, so its gradient is "
    "the sum over the images.",
    ("dz.sum(dim=0)", "dz"),
)

EXERCISE.mistake(
    "another order",
    "The three are right and in another order: return dx, dW, db.",
    ("dz @ weight, dz.T @ x, dz.sum(dim=0)", "dz.T @ x, dz.sum(dim=0), dz @ weight"),
)
