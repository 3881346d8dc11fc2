"""What passes of the machine's wrong answers (:mod:`.adversary`), and why.

Slug -> pattern -> reason; the slug "*" is for all. A pattern is a kind, ": " and pieces of what is
printed behind it, with "..." between them; it stands for everything that passes and has them all.
"""

ROUNDING = "Rounding to half precision errs by less than the tolerance on average."
EQUAL_ROWS = "It differs where two rows of weights are equal, for which nothing is promised."
NO_WEIGHTS = "It differs where all weights are 0, for which nothing is promised."
NOBODY = "It differs where no image was read correctly, for which nothing is promised."
AN_ORDER = "The draws are alike: in another order they are as good."
ITS_OWN_WAY = "An exact answer may leave the generator aside: the docstring says so."
A_MILLIONTH = "It errs by 1e-6, which is the tolerance."
HALF_STEPS = "A step that is not exact is corrected by the next ones."

EQUIVALENT: dict[str, dict[str, str]] = {
    "pixel-rms": {"narrow arguments: torch.float16": ROUNDING},
    "stable-cross-entropy": {
        "narrow in the middle: top = ...'float16'": "Any shift near the largest logit will do."
    },
    "weight-decay": {
        "clamped in the middle: adversary.clamped(torch.zeros": A_MILLIONTH,
    },
    "training-step": {
        "layers looked for in vain: children": "Which layers decay is for weight_decay to find."
    },
    "haar-bases": {
        "narrow in the middle: gaussian = ...'float16'": "Rounded to three digits they are "
        "normally distributed all the same.",
        "reversed result: rows": AN_ORDER,
    },
    "chance-purity": {
        "argument ignored: generator": ITS_OWN_WAY,
        "generator set back: generator": ITS_OWN_WAY,
    },
    "nearest-plane": {
        "a little added: distances = lead": EQUAL_ROWS,
        "ties the other way: distances": EQUAL_ROWS,
        "NaN made a number: ": EQUAL_ROWS,
    },
    "nearest-in-box": {
        "narrow in the middle: mu -= ...'float16'": HALF_STEPS,
        "clamped in the middle: raw = ...1 - 1e-06": A_MILLIONTH,
        "a little added: w[free].square().sum() + 1e-12": NO_WEIGHTS,
        "NaN left out: ": NO_WEIGHTS,
        "NaN made a number: ": NO_WEIGHTS,
    },
    "penalty-objective": {
        "a little added: each + 1e-08": "It differs where r is as small as that, near 0, where the "
        "gradient of the norm is a choice."
    },
    "attack-summary": {
        "narrow in the middle: change = ...'float16'": ROUNDING,
        "a little added: correct.sum() + ": NOBODY,
        "NaN left out: rate": NOBODY,
    },
    "solve-for-c": {
        "narrow in the middle: logits = ...'float32'": "Single precision is enough for the "
        "accuracy that is asked for.",
        "narrow in the middle: size = ...'float16'": "The gradient is the same, and the values "
        "err by too little to mislead the search.",
    },
    "transfer-cell": {"NaN left out: fooled": NOBODY, "NaN made a number: ": NOBODY},
    "strict-row": {"NaN left out: shares": NOBODY, "NaN made a number: ": NOBODY},
    "two-halves": {"reversed result: ": AN_ORDER},
    "bootstrap-means": {"clamped in the middle: drawn": A_MILLIONTH},
    "power-iteration": {
        "NaN left out: v / v.norm()": NO_WEIGHTS,
        "NaN made a number: ": NO_WEIGHTS,
    },
    "norm-from-above": {
        "NaN left out: ": NO_WEIGHTS,
        "NaN made a number: ": NO_WEIGHTS,
    },
    "symbol-norm": {"narrow arguments: torch.float16": ROUNDING},
    "certificate": {
        "clamped in the middle: apart": EQUAL_ROWS,
        "a little added: apart * below": EQUAL_ROWS,
        "narrow arguments: torch.float32": "Single precision is enough for the tolerance.",
        "NaN made a number: ": EQUAL_ROWS,
    },
    "inflated": {
        "clamped in the middle: after = ...1 - 1e-06": "The factor becomes larger than it need be.",
        "children for modules: ": "The docstring says that the layers follow each other.",
        "layers looked for in vain: ": "The docstring says that the layers follow each other.",
    },
}

NESTED = "A case with layers inside of layers: nn.Sequential(nn.Sequential(...), ...)."
NEAR_EQUAL = "A case whose logits are nearly equal, with a loss near log C."
ABOVE_ONE = "A case with a result above 1."
DARKER = "A case in which pixels become darker: in all of them every change is positive."
SHORT = "A case with pairs a millionth as long, as they are near the end of a descent."
LONG_AXIS = "A case whose first axis is longer than 1."
SMALL = "A case with small weights: entries of 1e-4."

# What passes and should not, and what would catch it.
GAPS: dict[str, dict[str, str]] = {
    "*": {
        "one buffer: ": "The engine: look at the results of the first cases again after the last.",
        "history: ": "The engine: a notice, as for arrays, on results that carry a history.",
        "traces left: requires_grad": "The engine: what an answer leaves behind in a network "
        "includes requires_grad.",
    },
    "stable-cross-entropy": {
        "narrow in the middle: log_sums = ...'float16'": NEAR_EQUAL,
        "clamped in the middle: log_sums = ...1 - 1e-06": NEAR_EQUAL,
        "narrow arguments: torch.float16": NEAR_EQUAL,
        "a slip in double precision: logits.min(": "A case with logits a thousand apart in a row.",
    },
    "weight-decay": {
        "clamped in the middle: adversary.clamped(total...1 - 1e-06": ABOVE_ONE,
        "layers looked for in vain: children": NESTED,
    },
    "kl-sparsity": {
        "clamped in the middle: mean = ...0.05, 0.95": "A case with a unit that is nearly dead, "
        "below 0.05 on average: its gradient is lost.",
        "clamped in the middle: often = ": "A case with units less active than the target.",
    },
    "error-in-batches": {
        "clamped in the middle: wrong / len(images)...0.05, 0.95": "A case with no error at all.",
        "loop cut short: [:5]": "A case of more than five batches.",
    },
    "strongest-images": {
        "narrow in the middle: scores = ...'float16'": "A case whose scores differ in the fourth "
        "digit, and lie in another order before the layer.",
        "narrow arguments: torch.float16": "A case whose activations differ in the fourth digit.",
    },
    "haar-bases": {
        "one for all in the middle: signs = ...-1": "One random sign for a matrix: a moment that "
        "tells, E[Q11 Q22] or the sign of the determinant.",
        "generator set back: a copy": "A probe: two calls with one generator give two results.",
    },
    "distortion": {"clamped in the middle: .sqrt()...1 - 1e-06": ABOVE_ONE},
    "nearest-plane": {
        "clamped in the middle: float('inf')": "A case in which the nearest plane is farther "
        "than 1: nothing is as far as the label's own.",
    },
    "attack-summary": {
        "clamped in the middle: change = ": DARKER,
        "clamped in the middle: sizes = ...1 - 1e-06": ABOVE_ONE,
        "clamped in the middle: float(rate)...1 - 1e-06": ABOVE_ONE,
    },
    "projected-step": {
        "one for all in the middle: stepped...0)": LONG_AXIS,
        "first row only: ": LONG_AXIS,
        "batch averaged: ": LONG_AXIS,
        "reversed result: rows": LONG_AXIS,
    },
    "two-loop": {
        "a little added: ": SHORT,
        "loop cut short: [:5]": "A case with more than five pairs: lessons use ten.",
    },
    "projected-search": {
        "loop cut short: [:5]": "Cases that need more than five halvings, and more than twenty."
    },
    "error-under-noise": {
        "clamped in the middle: ndtr": "A case with an error far below 1e-6, all images far away."
    },
    "amplify-in-box": {
        "clamped in the middle: low = ...0.05, 0.95": "A case in which a hundredth of the way is "
        "enough: `changed` far outside of the box.",
        "loop cut short: [:20]": "The same case: twenty halvings are too few there.",
    },
    "equal-size": {
        "clamped in the middle: factor = ": "A case whose direction is shorter than the change.",
        "a little added: norm(dim=1) + 1e-08": "A case with a direction a ten-thousandth as long.",
    },
    "reaches": {
        "clamped in the middle: along": "A case with r against a tiny `theirs`: it is not reached."
    },
    "power-iteration": {
        "a little added: v.norm() + 1e-12": SMALL,
        "loop cut short: [:20]": "A case in which 20 steps are too few: singular values that are "
        "nearly equal, and the default of `steps`.",
    },
    "norm-from-above": {
        "clamped in the middle: size = ": SMALL,
        "a little added: ": SMALL,
    },
    "convolution-matrix": {
        "loop cut short: len(kernel)...[:5]": "A kernel of more than five taps."
    },
    "two-layer-bound": {
        "narrow arguments: torch.float16": "A case with a bound below 0.1.",
        "rounded result: 3 decimals": "A case with a bound below 0.1.",
    },
    "certificate": {
        "clamped in the middle: lead = ": "A case with a misclassified image and a small `below`: "
        "the radius is exactly 0.",
    },
    "inflated": {
        "clamped in the middle: before = ": SMALL,
        "clamped in the middle: after = ...norm(second.weight[:, 1:]), 1e-06)": SMALL,
        "a little added: ": SMALL,
    },
    "log-penalty": {
        "children for modules: ": NESTED,
        "layers looked for in vain: children": NESTED,
    },
}


def matches(pattern: str, name: str) -> bool:
    """Whether ``name``, "kind: change", is one of those that ``pattern`` stands for."""
    kind, _, pieces = pattern.partition(": ")
    return name.startswith(f"{kind}: ") and all(piece in name for piece in pieces.split("..."))


def known(table: dict[str, dict[str, str]], slug: str, name: str) -> str:
    """The reason that ``table`` has for ``name``; "" if it has none."""
    for pattern, reason in {**table.get("*", {}), **table.get(slug, {})}.items():
        if matches(pattern, name):
            return reason
    return ""
