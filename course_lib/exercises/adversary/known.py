"""What passes of the machine's wrong answers (the package), and why.

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
A_LOST_SEED = "It differs where a seed of the chosen setting came to nothing: nothing is promised."
NO_DIRECTION = "It differs where a direction is 0, for which nothing is promised."

# What is right after all.
EQUIVALENT: dict[str, dict[str, str]] = {
    "*": {
        "history: results": "Where the docstring says nothing of gradients, a result may carry a "
        "history: later cells stand it (tests/test_downstream.py).",
    },
    "pixel-rms": {"narrow arguments: torch.float16": ROUNDING},
    "stable-cross-entropy": {
        "narrow in the middle: top = ...'float16'": "Any shift near the largest logit will do."
    },
    "weight-decay": {
        "clamped in the middle: adversary.clamped(torch.zeros": A_MILLIONTH,
    },
    "paired-difference": {
        "clamped in the middle: ...reach": "It differs where the interval is longer than 2 and "
        "says nothing; one that is cut off at -1 and 1 is taken, too.",
    },
    "haar-bases": {
        "narrow in the middle: gaussian = ...'float16'": "Rounded to three digits they are "
        "normally distributed all the same.",
        "reversed result: rows": AN_ORDER,
    },
    "chance-purity": {"generator set back: generator": ITS_OWN_WAY},
    "nearest-plane": {
        "a little added: distances = lead": EQUAL_ROWS,
        "ties the other way: distances": EQUAL_ROWS,
        "NaN made a number: ": EQUAL_ROWS,
    },
    "nearest-in-box": {
        "a little added: w[free].square().sum() + 1e-12": NO_WEIGHTS,
        "NaN left out: ": NO_WEIGHTS,
        "NaN made a number: ": NO_WEIGHTS,
    },
    "penalty-objective": {
        "a little added: each + 1e-08": "It differs where r is as small as that, near 0, where the "
        "gradient of the norm is a choice."
    },
    "attack-summary": {
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
    "paired-bootstrap": {
        "narrow in the middle: ends = ...'float16'": "0.9751 for 0.975: the quantiles' other usual "
        "definitions, which are accepted, differ by more."
    },
    "equal-size": {
        "a little added: norm(dim=1) + 1e-12": "A guard against division by 0: a tiny share "
        "of the shortest direction.",
        "NaN left out: ": NO_DIRECTION,
        "NaN made a number: ": NO_DIRECTION,
    },
    "two-halves": {"reversed result: ": AN_ORDER},
    "bootstrap-means": {"clamped in the middle: drawn": A_MILLIONTH},
    "norm-from-above": {
        "narrow in the middle: gram = ...'float16'": "The root that is taken in the end leaves "
        "less than 1e-4 of the rounding.",
        "NaN left out: ": NO_WEIGHTS,
        "NaN made a number: ": NO_WEIGHTS,
    },
    "certificate": {
        "clamped in the middle: apart": EQUAL_ROWS,
        "a little added: apart * below": EQUAL_ROWS,
        "NaN made a number: ": EQUAL_ROWS,
    },
    "inflated": {
        "clamped in the middle: before = ": "The factor becomes larger than it need be.",
        "children for modules: ": "The docstring says that the layers follow each other.",
        "layers looked for in vain: ": "The docstring says that the layers follow each other.",
    },
    "layer-step": {
        "a slip in double precision: ...reduction='mean'": "The direction is the same; it differs "
        "where a gradient is so short that `normalize` takes it for 0.",
    },
    "aim-step": {
        "a slip in double precision: ...reduction='mean'": "The direction is the same; it differs "
        "where a gradient is so short that `normalize` takes it for 0.",
    },
    "unit-detector": {
        "narrow in the middle: ": ROUNDING,
        "clamped in the middle: ": A_MILLIONTH,
        "NaN left out: ": "It differs where one kind is missing, and both are promised.",
        "NaN made a number: ": "It differs where one kind is missing, and both are promised.",
    },
    "loss-in-turn": {
        "narrow arguments: torch.float16": ROUNDING,
        "narrow in the middle: ...'float16'": ROUNDING,
        "clamped in the middle: values = ": A_MILLIONTH,
    },
    "fair-errors": {
        "clamped in the middle: ": A_MILLIONTH,
        "NaN left out: ": A_LOST_SEED,
        "NaN made a number: ": A_LOST_SEED,
    },
    "paired-interval": {
        "narrow in the middle: differences = ": ROUNDING,
        "narrow arguments: torch.float32": "Single precision is enough for errors of some per "
        "cent: it is short of digits only where 1000 was added to them.",
        "NaN made a number: ": "It differs for one seed, and n >= 2 is promised.",
    },
}

# What passes and should not, and what would catch it.
GAPS: dict[str, dict[str, str]] = {}


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
