"""The exercises of lesson 02: units against random directions, and how to test such a claim."""

import copy
import math
from collections import Counter, OrderedDict

import numpy as np
import scipy.stats
import torch
import torch.nn.functional as F
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

# --- strongest-images ------------------------------------------------------------------------


def _layer(rng, n, width):
    """Activations with many ties, and what went into them; exact in float32, however summed."""
    before = (torch.randn(n, width, generator=rng) * 64).round() / 64
    return (before.sigmoid() * 8).round() / 8, before


def layer_cases(rng):
    def case(label, width, count, k, train=23, test=17, twins=False):
        parts = {"train": _layer(rng, train, width), "test": _layer(rng, test, width)}
        if twins:  # the same image twice: nothing but their order tells them apart
            parts["test"] = tuple(torch.cat([part, part[:9]]) for part in parts["test"])
        directions = torch.randint(-3, 4, (count, width), generator=rng).float()
        directions[:, 0] += directions.abs().sum(1) == 0
        return Case(label, parts, directions, k)

    yield case("one direction of two units", 2, 1, 3)
    yield case("seven directions of five units", 5, 7, 4)
    yield case("equal images", 4, 6, 6, twins=True)
    yield case("more units than images", 40, 3, 5, train=12, test=11)
    units = torch.eye(6)
    saturated = {}
    for part, n in (("train", 30), ("test", 25)):
        before = (torch.randn(n, 6, generator=rng) * 640).round() / 64
        saturated[part] = (before.clamp(-2, 2).add(2) / 4, before)
    yield Case("the units themselves, saturated", saturated, units, 5)


def ranked_by_lexsort(parts, directions, k):
    h, before = (part.double().numpy() for part in parts["test"])
    found = []
    for v in directions.double().numpy():
        keys = (np.arange(len(h)), -(before @ v), -(h @ v))
        found.append(np.lexsort(keys)[:k])
    return np.array(found)


def ranked_by_sorting(parts, directions, k):
    h, before = (part.double() for part in parts["test"])
    found = []
    for v in directions.double():
        pairs = list(zip((h @ v).tolist(), (before @ v).tolist(), strict=True))
        order = sorted(range(len(h)), key=lambda i: (-pairs[i][0], -pairs[i][1], i))
        found.append(order[:k])
    return torch.tensor(found)


def ranked_by_two_sorts(parts, directions, k):
    h, before = parts["test"]
    scores, second = h @ directions.T, before @ directions.T
    order = second.sort(dim=0, descending=True, stable=True).indices
    again = scores.gather(0, order).sort(dim=0, descending=True, stable=True).indices
    return order.gather(0, again)[:k].T


def _ranked(scores, k, sign=1, rows=None):
    order = (sign * scores).argsort(dim=1, descending=True, stable=True)[:, :k]
    return order if rows is None else rows[order]


def _wrongly_ranked(choose):
    """A wrong ranking: choose(parts, directions) gives the parts and what to sort by first."""

    def wrong(parts, directions, k):
        h, before, sign, size = choose(parts)
        scores, second = directions @ h.T, directions @ before.T
        if size:
            scores, second = scores.abs(), second.abs()
        order = (sign * second).argsort(dim=1, descending=True, stable=True)
        best = (sign * scores.gather(1, order)).argsort(dim=1, descending=True, stable=True)
        return order.gather(1, best)[:, :k]

    return wrong


def _together(parts):
    h, before = (torch.cat(pair) for pair in zip(parts["train"], parts["test"], strict=True))
    return h, before, 1, False


def directions_of_images(parts, directions, k):
    scores = parts["test"][0] @ directions.T
    return scores.argsort(dim=1, descending=True, stable=True)[:, :k]


def first_axis(parts, directions, k):
    return ranked_by_two_sorts(parts, directions, k).T


def scores_returned(parts, directions, k):
    scores = directions @ parts["test"][0].T
    return scores.sort(dim=1, descending=True).values[:, :k]


STRONGEST = Exercise(
    slug="strongest-images",
    title="The strongest images of many directions",
    difficulty=3,
    minutes=10,
    hints=[
        "All scores at once: `directions @ h.T` has a row per direction and a column per image. "
        "`argsort(dim=1, descending=True)` ranks each row.",
        "For the ties: sort by the second key first, then sort *that* order by the first key with "
        "`stable=True`: a stable sort leaves equal entries as it found them.",
        "`order = second.argsort(dim=1, descending=True, stable=True)`; then "
        "`scores.gather(1, order)` are the scores in that order, and what their stable argsort "
        "picks are places in `order`.",
    ],
    cases=layer_cases,
    oracle=ranked_by_lexsort,
    mistakes=[
        Mistake(
            "training images",
            "These are training images. The network was fitted to them, and what excites it most "
            'among them it may know by heart: rank the held-out ones, `parts["test"]`.',
            _wrongly_ranked(lambda parts: (*parts["train"], 1, False)),
            right_shape=True,
        ),
        Mistake(
            "all images",
            "Training and test images are ranked together: the paper takes images that the "
            'network was not trained on, `parts["test"]` alone.',
            _wrongly_ranked(_together),
            right_shape=True,
        ),
        Mistake(
            "ties by position",
            "Equal scores fall to the earlier image. A saturated unit gives many images the same "
            "value, so most of its row would be the beginning of the file: order equal scores by "
            "`before` in the same direction.",
            lambda parts, directions, k: _ranked(directions @ parts["test"][0].T, k),
            right_shape=True,
        ),
        Mistake(
            "ties to the last image",
            "Equal scores fall to the later image (a reversed rising sort does that): order them "
            "by `before` in the same direction, and what is still equal by position.",
            lambda parts, directions, k: (
                (directions @ parts["test"][0].T).argsort(dim=1, stable=True).flip(1)[:, :k]
            ),
            right_shape=True,
        ),
        Mistake(
            "ranked by what goes in",
            "This ranks by `before` alone. For a unit that is the same ranking without the ties; "
            "for a mixture of units it is another ranking: `before` is for equal scores only.",
            lambda parts, directions, k: _ranked(directions @ parts["test"][1].T, k),
            right_shape=True,
        ),
        Mistake(
            "weakest first",
            "These are the images that excite each direction least: sort falling.",
            _wrongly_ranked(lambda parts: (*parts["test"], -1, False)),
            right_shape=True,
        ),
        Mistake(
            "by size",
            "Scores are ranked by their size, so strongly negative ones count as strong. The "
            "paper takes the maximum of <h, v>, with its sign.",
            _wrongly_ranked(lambda parts: (*parts["test"], 1, True)),
            right_shape=True,
        ),
        Mistake(
            "the wrong axis",
            "For every image the directions are ranked, not for every direction the images: the "
            "row of a direction runs over the images.",
            directions_of_images,
        ),
        Mistake(
            "transposed",
            "The indices are right and stand in columns: a row per direction is asked for, (M, k).",
            first_axis,
        ),
        Mistake(
            "scores",
            "These are the scores of the strongest images: their indices are asked for.",
            scores_returned,
        ),
    ],
    variants=[ranked_by_sorting, ranked_by_two_sorts],
    done="Ranked by score, then by what went into the layer, then by position.",
)

# --- haar-bases ------------------------------------------------------------------------------


def basis_cases(rng):
    for count, width in ((3000, 2), (4000, 3), (3000, 5)):
        seed = int(torch.randint(1000, (1,), generator=rng))
        generator = torch.Generator().manual_seed(seed)
        yield Case(f"{count} bases of {width} dimensions", count, width, generator)


def facts(result, count, width, generator):
    """What every right answer has in common, whatever numbers it draws."""
    if result is None:
        return None
    q = torch.as_tensor(result).detach().cpu().double()
    if q.shape != (count, width, width):
        return {"shape": list(q.shape)}
    length = q.square().sum(1)
    angles = q.transpose(1, 2) @ q - torch.diag_embed(length)
    across = torch.full((width,), width**-0.5, dtype=torch.float64)
    fourth = torch.stack([q[:, 0], across @ q]).pow(4).mean(1)
    near = 6 / count**0.5
    return {
        "columns have length 1": bool((length - 1).abs().max() < 1e-4),
        "columns are orthogonal": bool(angles.abs().max() < 1e-4),
        "entries are 0 on average": bool(q.mean(0).abs().max() < near),
        "no direction is preferred": bool(
            (fourth - 3 / (width * (width + 2))).abs().max() < near / 6
        ),
        "bases differ": bool((q - q[0]).abs().max() > 1e-3),
    }


def bases_one_by_one(count, width, generator):
    found = []
    for _ in range(count):
        q, r = torch.linalg.qr(torch.randn(width, width, generator=generator))
        found.append(q @ torch.diag(torch.sign(torch.diag(r))))
    return torch.stack(found)


def bases_of_scipy(count, width, generator):
    seed = int(torch.randint(2**31, (1,), generator=generator))
    return scipy.stats.ortho_group.rvs(width, size=count, random_state=seed)


def bases_by_svd(count, width, generator):
    """The nearest orthogonal matrix, which is Haar as well."""
    u, _, v = torch.linalg.svd(torch.randn(count, width, width, generator=generator))
    return u @ v


def bases_by_gram_schmidt(count, width, generator):
    columns = list(torch.randn(width, count, width, generator=generator).double())
    for i, column in enumerate(columns):
        for earlier in columns[:i]:
            column = column - (column * earlier).sum(1, keepdim=True) * earlier
        columns[i] = F.normalize(column, dim=1)
    return torch.stack(columns, dim=2)


def _qr(draw, signs=True):
    def wrong(count, width, generator):
        q, r = torch.linalg.qr(draw(count, width, generator))
        return q * torch.diagonal(r, dim1=1, dim2=2).sign()[:, None] if signs else q

    return wrong


def _gaussian(count, width, generator):
    return torch.randn(count, width, width, generator=generator)


def _box(count, width, generator):
    return torch.rand(count, width, width, generator=generator)


GENERATOR = (
    "The same seed gives other bases, or every seed the same: draw with "
    "`generator=generator`, so that whoever repeats the test gets your numbers."
)


def not_reproducible(answer):
    """A probe: the generator decides, and nothing else does."""
    draws = [
        torch.as_tensor(answer(2, 3, torch.Generator().manual_seed(seed))).double()
        for seed in (1, 1, 2)
    ]
    same, other = ((draws[0] - d).abs().max() < 1e-6 for d in draws[1:])
    return None if same and not other else GENERATOR


HAAR = Exercise(
    slug="haar-bases",
    title="Bases in which every direction is equally likely",
    difficulty=3,
    minutes=10,
    hints=[
        "A matrix of independent Gaussian numbers has no preferred direction: turned, it is as "
        "likely as before. `torch.linalg.qr` makes its columns orthonormal and works on a whole "
        "batch (count, width, width).",
        "QR is not unique: a column of Q and the row of R that belongs to it may both change "
        "sign. The library has its own habit, and Q inherits it. Ask for a positive diagonal of "
        "R.",
        "`torch.diagonal(r, dim1=1, dim2=2).sign()` is (count, width), a sign per column: it "
        "has to be multiplied along the last axis, `[:, None, :]`.",
    ],
    cases=basis_cases,
    oracle=bases_of_scipy,
    observe=facts,
    probes=[not_reproducible],
    time_limit=20,
    mistakes=[
        Mistake(
            "signs left to the library",
            "QR leaves the signs of its columns open, and the library picks them by a rule of its "
            "own: most of the diagonal of Q is negative. Multiply every column by the sign of R's "
            "diagonal entry.",
            _qr(_gaussian, signs=False),
            right_shape=True,
        ),
        Mistake(
            "cube directions",
            "The numbers before the QR are uniform, so they fill a cube, and directions towards "
            "its corners are more likely than others: begin with Gaussian numbers (`randn`), whose "
            "density depends on the length alone.",
            _qr(lambda *draw: 2 * _box(*draw) - 1),
            right_shape=True,
        ),
        Mistake(
            "positive numbers",
            "The numbers before the QR are all positive (`rand`): the first direction is never "
            "opposite to (1, ..., 1). Use `randn`.",
            _qr(_box),
            right_shape=True,
        ),
        Mistake(
            "columns not orthogonal",
            "The columns have length 1 and are not orthogonal: this is a set of random directions. "
            "A basis needs `torch.linalg.qr`.",
            lambda *draw: F.normalize(_gaussian(*draw), dim=1),
            right_shape=True,
        ),
        Mistake(
            "rows not orthogonal",
            "The rows have length 1, and neither they nor the columns are orthogonal: this is a "
            "set of random directions. A basis needs `torch.linalg.qr`.",
            lambda *draw: F.normalize(_gaussian(*draw), dim=2),
            right_shape=True,
        ),
        Mistake(
            "one basis for all",
            "All bases are the same one: draw a Gaussian matrix for each, (count, width, width).",
            lambda count, width, generator: _qr(_gaussian)(1, width, generator).expand(
                count, width, width
            ),
            right_shape=True,
        ),
        Mistake(
            "one basis only",
            "This is a single basis: `count` of them are asked for, (count, width, width).",
            lambda count, width, generator: _qr(_gaussian)(1, width, generator)[0],
        ),
        Mistake(
            "the generator is not used",
            GENERATOR,
            lambda count, width, generator: _qr(
                lambda *_: torch.randn(count, width, width)  # the global random numbers
            )(count, width, generator),
            right_shape=True,
        ),
    ],
    variants=[bases_one_by_one, bases_of_scipy, bases_by_svd, bases_by_gram_schmidt],
    done="Orthonormal, and no direction is preferred (SciPy has it as scipy.stats.ortho_group).",
    equivalent_mutants={
        "- return q * signs[:, None, :] / + return q / signs[:, None, :]": (
            "Signs are 1 and -1: to divide by them is to multiply by them."
        )
    },
)

# --- changes-the-ranking ---------------------------------------------------------------------

CHANGES = {
    "centre": (
        False,
        "Subtracting each unit's mean takes the same number, <mean, v>, from every image's score: "
        "no image overtakes another.",
    ),
    "longer": (
        False,
        "A direction three times as long makes all scores three times as large: their order stays.",
    ),
    "opposite": (
        True,
        "The opposite direction reverses the order: its strongest images were the weakest.",
    ),
    "loud unit": (
        True,
        "One unit's share of every score grows and the others' do not: a mixture is ranked "
        "otherwise (a single unit would not be).",
    ),
    "shifted direction": (
        True,
        "Adding 1 to every entry of v adds the sum of the image's activations to its score, and "
        "that sum differs from image to image.",
    ),
    "unit through sigmoid": (
        False,
        "The sigmoid is increasing: for one unit the order before it is the order after it, but "
        "for ties that come from rounding.",
    ),
    "mixture through sigmoid": (
        True,
        "The sigmoid squeezes each unit by another amount before they are added up: for a mixture "
        "the order changes.",
    ),
    "bias": (
        True,
        "A bias inside the sigmoid moves images by different amounts, little where the unit is "
        "saturated: for a mixture the order changes. Outside, it would be a constant.",
    ),
}


def change_cases(rng):
    for change in CHANGES:
        yield Case(change, change)


def changes_listed(change):
    changing = "opposite", "loud unit", "shifted direction", "mixture through sigmoid", "bias"
    return change in changing


def changes_by_trial(change):
    rng = np.random.default_rng(0)
    z, v = rng.normal(size=(50, 4)), rng.normal(size=4)
    h = 1 / (1 + np.exp(-z))
    e = np.eye(4)[0]
    before, after = {
        "centre": (h @ v, (h - h.mean(0)) @ v),
        "longer": (h @ v, h @ (3 * v)),
        "opposite": (h @ v, -(h @ v)),
        "loud unit": (h @ v, (h * [3, 1, 1, 1]) @ v),
        "shifted direction": (h @ v, h @ (v + 1)),
        "unit through sigmoid": (z @ e, h @ e),
        "mixture through sigmoid": (z @ v, h @ v),
        "bias": (h @ v, 1 / (1 + np.exp(-z - np.eye(4)[1])) @ v),
    }[change]
    return bool((before.argsort() != after.argsort()).any())


def _flipped(*names):
    def wrong(change):
        return CHANGES[change][0] != (change in names)

    return wrong


CHANGES_EXERCISE = Exercise(
    slug="changes-the-ranking",
    title="What changes the ranking?",
    difficulty=2,
    minutes=5,
    hints=[
        "Write the score as a sum, Σ v_i h_i, and ask of each change: does it add the same to "
        "every image's score, or multiply every score by the same positive number?",
        "For a sigmoid: does it matter whether you add first and squeeze then, or the other way "
        "round? And if there is only one term to add?",
    ],
    cases=change_cases,
    oracle=changes_by_trial,
    mistakes=[
        *(
            Mistake(f"wrong: {name}", why, _flipped(name), True)
            for name, (_, why) in CHANGES.items()
        ),
        Mistake(
            "everything does",
            "Not everything does: adding the same number to every score, or multiplying all scores "
            "by the same positive number, leaves their order alone.",
            lambda change: True,
            right_shape=True,
        ),
        Mistake(
            "nothing does",
            "Some do: a change that treats images differently can reverse two of them. Begin with "
            "the opposite direction.",
            lambda change: False,
            right_shape=True,
        ),
        Mistake(
            "everything but the sign",
            "You let the two sigmoid questions have the same answer: for one unit an increasing "
            "function changes no order, for a mixture it does.",
            _flipped("mixture through sigmoid", "unit through sigmoid"),
            right_shape=True,
        ),
    ],
    variants=[changes_listed, changes_by_trial],
    done="Order survives what is the same for every image, and nothing else.",
)

# --- purity ----------------------------------------------------------------------------------


def purity_cases(rng):
    labels = torch.tensor([0, 0, 1, 1, 1, 2])
    yield Case("one row of four", labels, torch.tensor([[0, 2, 3, 5]]))
    labels = torch.randint(0, 4, (30,), generator=rng)
    yield Case("five rows of eight", labels, torch.randint(0, 30, (5, 8), generator=rng))
    labels = torch.randint(0, 10, (60,), generator=rng)
    yield Case("ten classes", labels, torch.randint(0, 60, (12, 8), generator=rng))
    yield Case("a pure row and a mixed one", torch.tensor([7, 7, 7, 3, 9, 1]), _rows())


def _rows():
    return torch.tensor([[0, 1, 2], [2, 3, 4]])


def purity_by_counter(labels, top):
    rows = labels.numpy()[top.numpy()]
    return np.array([max(Counter(row.tolist()).values()) / len(row) for row in rows])


def purity_by_mode(labels, top):
    rows = labels[top]
    return (rows == rows.mode(dim=1).values[:, None]).double().mean(1)


def purity_by_pairs(labels, top):
    rows = labels[top]
    alike = rows[:, :, None] == rows[:, None, :]
    return alike.sum(2).amax(1) / top.shape[1]


def purity_loop(labels, top):
    found = []
    for row in top.tolist():
        seen = [int(labels[i]) for i in row]
        found.append(max(seen.count(c) for c in seen) / len(seen))
    return torch.tensor(found)


def _of_rows(f):
    return lambda labels, top: f(labels[top])


def agreement(rows):
    k = rows.shape[1]
    alike = (rows[:, :, None] == rows[:, None, :]).sum((1, 2)) - k
    return alike / (k * (k - 1))


PURITY = Exercise(
    slug="purity",
    title="The purity of a row",
    difficulty=1,
    minutes=5,
    hints=[
        "`labels[top]` is (M, k): the labels of every row. How often does each row's most frequent "
        "label occur in it?",
        "`torch.nn.functional.one_hot(labels[top], classes).sum(1)` counts the labels of each row; "
        "or compare each row with its `.mode(dim=1).values`.",
    ],
    cases=purity_cases,
    oracle=purity_by_counter,
    mistakes=[
        Mistake(
            "the strongest image's label",
            "This counts the images that have the strongest image's label. The strongest may be "
            "the odd one out: count the row's most frequent label.",
            _of_rows(lambda rows: (rows == rows[:, :1]).double().mean(1)),
            right_shape=True,
        ),
        Mistake(
            "pairs that agree",
            "This is the share of *pairs* with equal labels, a fair measure, but another one: the "
            "share of images with the most frequent label is asked for.",
            _of_rows(agreement),
            right_shape=True,
        ),
        Mistake(
            "one label for all rows",
            "One label, the most frequent of all rows together, is counted in every row: each row "
            "has its own.",
            _of_rows(lambda rows: (rows == rows.flatten().mode().values).double().mean(1)),
            right_shape=True,
        ),
        Mistake(
            "number of labels",
            "This is one over the number of different labels: a row with seven sevens and a two "
            "would count as much as one with four of each.",
            _of_rows(lambda rows: torch.tensor([1 / len(set(row.tolist())) for row in rows])),
            right_shape=True,
        ),
        Mistake(
            "a count",
            "This is the number of images with the most frequent label: divide it by k.",
            lambda labels, top: purity_by_mode(labels, top) * top.shape[1],
            right_shape=True,
        ),
        Mistake(
            "the label itself",
            "This is each row's most frequent label: how often does it occur?",
            _of_rows(lambda rows: rows.mode(dim=1).values),
            right_shape=True,
        ),
        Mistake(
            "mean over the rows",
            "One number came back, the mean over the rows: return each row's purity, (M,).",
            lambda labels, top: purity_by_mode(labels, top).mean(),
        ),
    ],
    variants=[purity_by_mode, purity_by_pairs, purity_loop],
    done="1 for a row of one label; never below 1/k, and by chance well above 1/10.",
)

# --- chance-purity ---------------------------------------------------------------------------

DRAWS = 4000


def chance_cases(rng):
    def case(label, sizes, k):
        labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
        labels = labels[torch.randperm(len(labels), generator=rng)]
        return Case(label, labels, k, torch.Generator().manual_seed(5), DRAWS)

    yield case("two images of two classes", [2, 2], 2)
    yield case("ten classes of thirty, k = 8", [30] * 10, 8)
    yield case("one class has most images", [15, 70, 5], 4)
    yield case("few images", [5, 5], 6)
    yield case("single images", [3, 6], 1)


def exact_chance(labels, k, generator, draws=DRAWS):
    """Over all ways to draw k, by the multivariate hypergeometric distribution."""
    sizes = np.bincount(labels.numpy())
    sizes = sizes[sizes > 0]
    total = math.comb(int(sizes.sum()), k)
    mean = 0.0
    ways = {(): 1}
    for n in sizes:  # (counts so far) -> ways; only what matters is kept: sum and maximum
        step: dict = {}
        for counts, w in ways.items():
            used, top = (counts or (0, 0))[:2]
            for j in range(min(int(n), k - used) + 1):
                key = (used + j, max(top, j))
                step[key] = step.get(key, 0) + w * math.comb(int(n), j)
        ways = step
    for (used, top), w in ways.items():
        mean += top * w / total if used == k else 0
    return mean / k


def chance_numpy(labels, k, generator, draws=DRAWS):
    rng = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
    sizes = np.bincount(labels.cpu().numpy())
    return rng.multivariate_hypergeometric(sizes, k, size=draws).max(1).mean() / k


def chance_scores(labels, k, generator, draws=DRAWS):
    """The k smallest of N random numbers, for all draws at once."""
    keys = torch.rand(draws, len(labels), generator=generator)
    rows = labels.cpu()[keys.topk(k, dim=1).indices]
    return (rows == rows.mode(dim=1).values[:, None]).double().mean()


def _shares(labels):
    counts = torch.bincount(labels.cpu()).double()
    return counts / counts.sum()


def with_replacement(labels, k, generator, draws=DRAWS):
    rows = torch.randint(len(labels), (draws, k), generator=generator)
    return float(purity_by_mode(labels.cpu(), rows).mean())


def one_class(labels, k, generator, draws=DRAWS):
    rows = torch.rand(draws, len(labels), generator=generator).topk(k, dim=1).indices
    return (labels.cpu()[rows] == 0).double().mean()


def equal_classes(labels, k, generator, draws=DRAWS):
    classes = int(labels.max()) + 1
    drawn = torch.randint(classes, (draws, k), generator=generator)
    return F.one_hot(drawn, classes).sum(1).amax(1).double().mean() / k


CHANCE_HEAD = "def chance_purity(labels, k, generator, draws"

CHANCE = Exercise(
    slug="chance-purity",
    title="Its chance level",
    difficulty=2,
    minutes=6,
    hints=[
        "Do to blind rows what you do to the others: draw k images, take the purity of that row, "
        "many times over, and average.",
        "`torch.randperm(len(labels), generator=generator)[:k]` draws k different images; stack "
        "`draws` such rows, and give them to `purity`.",
    ],
    cases=chance_cases,
    oracle=exact_chance,
    atol=0.012,  # more than five standard errors of 4000 draws
    rtol=0,
    time_limit=20,
    mistakes=[
        Mistake(
            "one over the classes",
            "One over the number of classes is the share of a class that is *named in advance*. "
            "Purity takes whichever label is the most frequent, and some label always is.",
            lambda labels, k, generator, draws=DRAWS: 1 / len(labels.unique()),
            right_shape=True,
        ),
        Mistake(
            "the largest class's share",
            "This is the share of the largest class among all images: in a row of k, another "
            "class may be the most frequent one by luck.",
            lambda labels, k, generator, draws=DRAWS: float(_shares(labels).max()),
            right_shape=True,
        ),
        Mistake(
            "a binomial",
            "This follows one class through all draws (its count is binomial, or nearly so), and "
            "misses that the maximum is taken over all classes in every row.",
            one_class,
            right_shape=True,
        ),
        Mistake(
            "with replacement",
            "Images are drawn with replacement, so a row may hold one image twice: a row of top "
            "images never does.",
            with_replacement,
            right_shape=True,
        ),
        Mistake(
            "classes of equal size",
            "Labels are drawn as if all classes had the same size: draw images, and look up their "
            "labels.",
            equal_classes,
            right_shape=True,
        ),
        Mistake(
            "a count",
            "This is the mean number of images with the most frequent label: divide it by k.",
            lambda *a: exact_chance(a[0].cpu(), a[1], None) * a[1],
            right_shape=True,
        ),
        Mistake(
            "pairs that agree",
            "This is the chance that two images have the same label: purity looks at whole rows.",
            lambda labels, k, generator, draws=DRAWS: float(_shares(labels).square().sum()),
            right_shape=True,
        ),
    ],
    variants=[chance_numpy, chance_scores, exact_chance],
    done="Within the error of the draws of the exact value (units.chance_purity computes that).",
    equivalent_mutants={
        f"- {CHANCE_HEAD}=4000): / + {CHANCE_HEAD}={other}):": (
            "One row more or less changes nothing but the error of the draws."
        )
        for other in (3999, 4001)
    },
)

# --- randomisation-p -------------------------------------------------------------------------


def randomisation_cases(rng):
    def case(label, shift, bases, width, step=None):
        table = torch.rand(bases, width, generator=rng, dtype=torch.float64)
        seen = table.mean(1).sort().values
        level = shift(seen)
        spread = torch.randn(width, generator=rng, dtype=torch.float64) * 0.2
        return Case(label, level + spread - spread.mean(), table)

    half = torch.tensor([0.5, 0.5], dtype=torch.float64)
    tied = torch.tensor([[0.5, 0.5], [0.25, 0.75], [1.0, 0.0], [0.75, 0.75], [0.75, 0.5]])
    yield Case("equal means, five bases", half, tied.double())
    yield Case("equal means and lower ones", half, 1 - tied.double())
    yield case("below all 39", lambda s: s[0] - 1e-3, 39, 6)
    yield case("above all 19", lambda s: s[-1] + 1e-3, 19, 8)
    yield case("in the middle", lambda s: (s[9] + s[10]) / 2, 20, 5)
    yield case("above most", lambda s: (s[-4] + s[-3]) / 2, 59, 12)
    yield case("below most", lambda s: (s[4] + s[5]) / 2, 99, 10)


def p_by_rank(units, bases):
    seen = round(float(units.mean()), 9)
    others = [round(float(row.mean()), 9) for row in bases]
    above = 1 + sum(value >= seen for value in others)
    below = 1 + sum(value <= seen for value in others)
    return min(1.0, 2 * min(above, below) / (len(others) + 1))


def p_of_pool(units, bases):
    """The units as one more basis among the others."""
    pool = np.append(bases.cpu().numpy().mean(1), units.cpu().numpy().mean()).round(9)
    sides = (pool >= pool[-1]).mean(), (pool <= pool[-1]).mean()
    return min(1, 2 * min(sides))


def p_of_scipy(units, bases):
    chance, seen = bases.mean(1).cpu().numpy().round(9), round(float(units.mean()), 9)
    tails = [
        scipy.stats.percentileofscore(sign * chance, sign * seen, kind="weak") / 100
        for sign in (1, -1)
    ]
    n = len(chance)
    return min(1.0, 2 * min((1 + t * n) / (1 + n) for t in tails))


def _sides(units, bases, strict=False):
    seen, chance = units.mean(), bases.mean(1)
    chance = torch.where((chance - seen).abs() < 1e-9, seen, chance)
    if strict:
        return int((chance > seen).sum()), int((chance < seen).sum()), len(chance)
    return int((chance >= seen).sum()), int((chance <= seen).sum()), len(chance)


def _p(formula, strict=False):
    return lambda units, bases: formula(*_sides(units, bases, strict))


def _per_direction(units, bases):
    seen, chance = units.mean(), bases.flatten()
    chance = torch.where((chance - seen).abs() < 1e-9, seen, chance)
    sides = int((chance >= seen).sum()), int((chance <= seen).sum())
    return min(1.0, 2 * (1 + min(sides)) / (1 + len(chance)))


def _from_the_middle(units, bases):
    seen, chance = units.mean(), bases.mean(1)
    far = (chance - chance.mean()).abs() >= (seen - chance.mean()).abs() - 1e-9
    return float((1 + far.sum()) / (1 + len(chance)))


def _normal(units, bases):
    chance = bases.mean(1)
    z = float((units.mean() - chance.mean()) / chance.std())
    return 2 * scipy.stats.norm.sf(abs(z))


def _t_test(units, bases):
    found = scipy.stats.ttest_ind(units.cpu().numpy(), bases.flatten().cpu().numpy())
    return float(found.pvalue)


def _p_units_first(units, bases):
    """Compares basis by basis the first unit's value instead of the mean."""
    return min(1.0, 2 * (1 + min(_sides(units[:1], bases)[:2])) / (1 + len(bases)))


RANDOMISATION = Exercise(
    slug="randomisation-p",
    title="A randomisation test of a basis",
    difficulty=3,
    minutes=8,
    hints=[
        "Reduce first: one number for the units, `units.mean()`, and one per basis, "
        "`bases.mean(1)`. How many bases lie at or above the units, how many at or below?",
        "If the units were a basis like the others, every rank of theirs among all 1 + B would be "
        "equally likely: hence (1 + count) / (1 + B) on each side.",
        "Two sides: twice the smaller of the two, and at most 1.",
    ],
    cases=randomisation_cases,
    oracle=p_by_rank,
    mistakes=[
        Mistake(
            "no + 1",
            "The units themselves are not counted, so p can be 0, which no finite number of bases "
            "can show: (1 + count) / (1 + B).",
            _p(lambda above, below, n: min(1.0, 2 * min(above, below) / n)),
            right_shape=True,
        ),
        Mistake(
            "+ 1 above only",
            "The + 1 belongs to both: the units are one more basis in the count and in the number "
            "of bases.",
            _p(lambda above, below, n: min(1.0, 2 * (1 + min(above, below)) / n)),
            right_shape=True,
        ),
        Mistake(
            "directions as n",
            "Every direction of every basis counts as a draw of its own. The test asks how the "
            "mean over a whole basis varies: reduce each basis to its mean first.",
            _per_direction,
            right_shape=True,
        ),
        Mistake(
            "a t test over directions",
            "This is a t test with the directions as n. The directions of a basis share their "
            "layer and are not independent, and thousands of them make anything significant: the "
            "basis is the unit of chance.",
            _t_test,
            right_shape=True,
        ),
        Mistake(
            "one side (above)",
            "This is the p-value of one side, above: units may also be *less* meaningful. Twice "
            "the smaller side.",
            _p(lambda above, below, n: (1 + above) / (1 + n)),
            right_shape=True,
        ),
        Mistake(
            "one side (below)",
            "This is the p-value of one side, below: units may also be *more* meaningful. Twice "
            "the smaller side.",
            _p(lambda above, below, n: (1 + below) / (1 + n)),
            right_shape=True,
        ),
        Mistake(
            "the smaller side, not doubled",
            "The smaller side is picked after looking at the data, which is two tests: double it.",
            _p(lambda above, below, n: (1 + min(above, below)) / (1 + n)),
            right_shape=True,
        ),
        Mistake(
            "above 1",
            "A p-value is at most 1: where both sides hold more than half, cap it.",
            _p(lambda above, below, n: 2 * (1 + min(above, below)) / (1 + n)),
            right_shape=True,
        ),
        Mistake(
            "ties not counted",
            "A basis exactly as good as the units is as extreme as they are: count with >= and "
            "<=, not > and <.",
            _p(lambda a, b, n: min(1.0, 2 * (1 + min(a, b)) / (1 + n)), strict=True),
            right_shape=True,
        ),
        Mistake(
            "distance from the middle",
            "This counts the bases that lie as far from the bases' mean, on either side: a fair "
            "test if they spread symmetrically, and another one. Twice the smaller side is asked "
            "for.",
            _from_the_middle,
            right_shape=True,
        ),
        Mistake(
            "a normal distribution",
            "This takes the means of bases for normally distributed: no need to assume that when "
            "they can be counted.",
            _normal,
            right_shape=True,
        ),
        Mistake(
            "the first unit",
            "Only the first unit is compared: the units' mean stands for them.",
            _p_units_first,
            right_shape=True,
        ),
    ],
    variants=[p_of_pool, p_of_scipy],
    done="The smallest p that B bases can give is 2 / (1 + B).",
)

# --- equivalence-verdict ---------------------------------------------------------------------


def verdict_cases(rng):
    def case(label, mean, sd, n=10, margin=1.0):
        z = torch.randn(n, generator=rng, dtype=torch.float64)
        z = (z - z.mean()) / z.std()
        return Case(label, (mean + sd * z).tolist(), margin)

    yield Case("two networks, far below", [-5.0, -5.2], 1.0)
    yield case("close to 0", 0.05, 0.3)
    yield case("clearly above 0, and small", 0.5, 0.3)
    yield case("clearly below 0, and small", -0.5, 0.3)
    yield case("far below", -2.0, 1.0)
    yield case("far above", 2.0, 1.0)
    yield case("a wide interval round 0", 0.3, 5.0)
    yield case("between 90 and 95 %", 0.0, 1.55)
    yield case("just too wide", 0.0, 1.79)
    yield case("too wide, but not for a normal", 0.0, 1.88)
    yield case("below 0, reaching past the margin", -1.2, 0.5)
    yield case("above 0, reaching past the margin", 0.9, 1.0)
    yield case("three networks", 0.0, 0.6525, n=3)
    yield case("another margin", 0.5, 0.3, margin=0.25)
    yield case("twenty-five networks", 0.3, 1.9, n=25)


def by_two_tests(differences, margin):
    lower = scipy.stats.ttest_1samp(differences, -margin, alternative="greater").pvalue
    upper = scipy.stats.ttest_1samp(differences, margin, alternative="less").pvalue
    if lower < 0.05 and upper < 0.05:
        return "equivalent"
    if lower > 0.95:
        return "worse"
    return "better" if upper > 0.95 else "undecided"


def by_interval(differences, margin):
    d = np.asarray(differences, float)
    half = scipy.stats.t.ppf(0.95, len(d) - 1) * d.std(ddof=1) / len(d) ** 0.5
    return _decide(d.mean() - half, d.mean() + half, margin)


def by_scipy_interval(differences, margin):
    found = scipy.stats.ttest_1samp(differences, 0.0).confidence_interval(0.9)
    return _decide(found.low, found.high, margin)


def _decide(low, high, margin):
    if low > -margin and high < margin:
        return "equivalent"
    if low > margin:
        return "better"
    if high < -margin:
        return "worse"
    return "undecided"


def _verdict(quantile=lambda n: scipy.stats.t.ppf(0.95, n - 1), ddof=1, root=True, rule=_decide):
    def wrong(differences, margin):
        d = np.asarray(differences, float)
        half = quantile(len(d)) * d.std(ddof=ddof) / (len(d) ** 0.5 if root else 1)
        return rule(d.mean() - half, d.mean() + half, margin)

    return wrong


def _not_significant(differences, margin):
    found = scipy.stats.ttest_1samp(differences, 0.0)
    if found.pvalue > 0.05:
        return "equivalent"
    return "better" if found.statistic > 0 else "worse"


def _zero_first(low, high, margin):
    if low > 0:
        return "better"
    if high < 0:
        return "worse"
    return "equivalent" if low > -margin and high < margin else "undecided"


def _zero_last(low, high, margin):
    if low > -margin and high < margin:
        return "equivalent"
    if low > 0:
        return "better"
    return "worse" if high < 0 else "undecided"


def _touching(low, high, margin):
    if high < -margin:
        return "worse"
    if low > margin:
        return "better"
    return "equivalent" if low > -margin or high < margin else "undecided"


def _mean_only(low, high, margin):
    middle = (low + high) / 2
    if abs(middle) < margin:
        return "equivalent"
    return "better" if middle > 0 else "worse"


def _exchanged(low, high, margin):
    return {"better": "worse", "worse": "better"}.get(found := _decide(low, high, margin), found)


EQUIVALENCE = Exercise(
    slug="equivalence-verdict",
    title="Worse, equivalent, better, undecided",
    difficulty=3,
    minutes=8,
    hints=[
        "Two one-sided tests at 5 % reject both 'below -margin' and 'above margin' exactly when "
        "the 90 % interval lies inside the margins. So make that interval, and look where it lies.",
        "`scipy.stats.t.ppf(0.95, n - 1) * standard deviation / sqrt(n)` is its half-width, with "
        "`ddof=1`; or `scipy.stats.ttest_1samp(...)`, twice, with `alternative=`.",
        "Four answers: inside both margins, wholly below -margin, wholly above margin, anything "
        "else.",
    ],
    cases=verdict_cases,
    oracle=by_two_tests,
    mistakes=[
        Mistake(
            "p > 0.05, so equal",
            "A difference that is not significant is not shown to be absent: with few or noisy "
            "networks nothing is significant. Equivalence is a claim of its own, and needs the "
            "interval inside the margins.",
            _not_significant,
            right_shape=True,
        ),
        Mistake(
            "against 0 first",
            "You compare with 0 first, so a difference that is surely there and surely too small "
            "to matter is called worse or better. The margin says what matters.",
            _verdict(rule=_zero_first),
            right_shape=True,
        ),
        Mistake(
            "against 0 last",
            "An interval that excludes 0 and reaches from inside the margins to beyond is called "
            "worse or better: whether the difference is large enough to matter is then undecided.",
            _verdict(rule=_zero_last),
            right_shape=True,
        ),
        Mistake(
            "95 % interval",
            "This is the 95 % interval: two one-sided tests at 5 % are the 90 % interval, 5 % on "
            "each side.",
            _verdict(lambda n: scipy.stats.t.ppf(0.975, n - 1)),
            right_shape=True,
        ),
        Mistake(
            "normal for t",
            "The quantile is the normal distribution's, 1.64: with ten networks whose spread is "
            "itself an estimate it is Student's with n - 1 degrees of freedom, 1.83.",
            _verdict(lambda n: scipy.stats.norm.ppf(0.95)),
            right_shape=True,
        ),
        Mistake(
            "ddof 0",
            "The standard deviation divides by n (NumPy's habit): for an estimate from n networks "
            "divide by n - 1, `ddof=1`.",
            _verdict(ddof=0),
            right_shape=True,
        ),
        Mistake(
            "n degrees of freedom",
            "Student's t has n - 1 degrees of freedom here, not n: one is spent on the mean.",
            _verdict(lambda n: scipy.stats.t.ppf(0.95, n)),
            right_shape=True,
        ),
        Mistake(
            "the spread of one network",
            "This is the spread of single networks: the interval of their *mean* is narrower by "
            "sqrt(n).",
            _verdict(root=False),
            right_shape=True,
        ),
        Mistake(
            "the mean only",
            "Only the mean is looked at: without its interval, two networks would decide as firmly "
            "as two hundred.",
            _verdict(rule=_mean_only),
            right_shape=True,
        ),
        Mistake(
            "one of the two tests",
            "One of the two tests is enough for you: equivalent needs both, not too low *and* not "
            "too high.",
            _verdict(rule=_touching),
            right_shape=True,
        ),
        Mistake(
            "worse for better",
            "Worse and better are exchanged: a difference above 0 means that units are better.",
            _verdict(rule=_exchanged),
            right_shape=True,
        ),
    ],
    variants=[by_interval, by_scipy_interval],
    done="Undecided is a verdict too: it says that more networks are needed.",
    equivalent_mutants={
        f"- {line} / + {changed}": "An interval ends exactly on the margin with probability 0."
        for line, changed in (
            ("if high < -margin:", "if high <= -margin:"),
            ("if -margin < low and high < margin:", "if -margin <= low and high < margin:"),
            ("if -margin < low and high < margin:", "if -margin < low and high <= margin:"),
            (
                "return 'better' if low > margin else 'undecided'",
                "return 'better' if low >= margin else 'undecided'",
            ),
        )
    },
)

# --- rotated-network -------------------------------------------------------------------------


def rotation_cases(rng):
    def case(label, layer, sizes, activation=nn.Sigmoid):
        a, b, c = sizes
        net = nn.Sequential(
            OrderedDict(
                flatten=nn.Flatten(),
                fc1=nn.Linear(6, a),
                act1=activation(),
                fc2=nn.Linear(a, b),
                act2=activation(),
                fc3=nn.Linear(b, c),
            )
        )
        width = {"act1": a, "act2": b}[layer]
        basis, _ = torch.linalg.qr(torch.randn(width, width, generator=rng))
        return Case(label, net, layer, basis)

    yield case("two units", "act1", (2, 3, 2))
    yield case("the second layer", "act2", (4, 5, 3))
    yield case("a rectified network", "act1", (4, 3, 3), nn.ReLU)
    yield case("seven units", "act1", (7, 4, 3))


@torch.no_grad()
def as_seen(result, net, layer, basis):
    """The outputs for some images, and what arrives at the layer that is counter-rotated."""
    if not isinstance(result, nn.Module):
        return result
    names = [name for name, _ in net.named_children()]
    following = names[names.index(layer) + 1]
    images = torch.linspace(-2, 2, 30, device=basis.device).reshape(5, 1, 2, 3).sin()
    seen = []
    hook = result.get_submodule(following).register_forward_hook(
        lambda module, inputs, output: seen.append(inputs[0])
    )
    logits = result(images)
    hook.remove()
    return {"logits": logits, "rotated activations": seen[0]}


def rotated_oracle(net, layer, basis):
    """What must be seen: the old outputs, and the old activations in the basis."""
    wanted = copy.deepcopy(net)
    names = [name for name, _ in net.named_children()]
    following = names[names.index(layer) + 1]
    inner = wanted.get_submodule(following)

    class Counter(nn.Module):
        def forward(self, turned):
            return inner(turned @ basis)  # basis is orthogonal: this is the inverse

    class Turn(nn.Module):
        def forward(self, h):
            return h @ basis.T

    parts = OrderedDict()
    for name, module in wanted.named_children():
        if name == following:
            parts["turn"], parts[name] = Turn(), Counter()
        else:
            parts[name] = module
    return nn.Sequential(parts)


def _linear(weight, bias=None):
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.weight = nn.Parameter(weight.clone())
    if bias is not None:
        layer.bias = nn.Parameter(bias.clone())
    return layer


def _rotated(turn=lambda b: b, back=lambda b: b.T, early=False):
    """A network with ``turn(basis)`` inserted and ``back(basis)`` behind the next weights."""

    def build(net, layer, basis):
        parts = OrderedDict(copy.deepcopy(net).named_children())
        names = list(parts)
        following = names[names.index(layer) + 1]
        place = names.index(layer) + (0 if early else 1)
        old = parts[following]
        weight = old.weight.detach() @ back(basis)
        parts[following] = _linear(weight, old.bias.detach())
        items = list(parts.items())
        items.insert(place, ("rotation", _linear(turn(basis))))
        return nn.Sequential(OrderedDict(items))

    return build


def rotated_by_solve(net, layer, basis):
    parts, found = dict(copy.deepcopy(net).named_children()), OrderedDict()
    turned = False
    for name, module in parts.items():
        if turned:
            weight = torch.linalg.solve(basis.T, module.weight.detach().T).T
            module = _linear(weight, module.bias.detach())
            turned = False
        found[name] = module
        if name == layer:
            found["rotation"], turned = _linear(basis), True
    return nn.Sequential(found)


def rotated_module(net, layer, basis):
    """With a module of its own for the rotation."""

    class Rotation(nn.Module):
        def forward(self, h):
            return torch.einsum("nw,dw->nd", h, basis)

    net = copy.deepcopy(net)
    names = [name for name, _ in net.named_children()]
    after = net.get_submodule(names[names.index(layer) + 1])
    after.weight.data = torch.einsum("ow,dw->od", after.weight.data, basis)
    parts = OrderedDict(net.named_children())
    items = list(parts.items())
    items.insert(names.index(layer) + 1, ("rotation", Rotation()))
    return nn.Sequential(OrderedDict(items))


ROTATED = Exercise(
    slug="rotated-network",
    title="The same function, other units",
    difficulty=3,
    minutes=10,
    hints=[
        "The new units are h' = B h, for a column vector h (the rows of B are the directions). "
        "The next layer computed W h. Which W' gives W' h' = W h?",
        "W' B = W, and B is orthogonal: its inverse is its transpose.",
        "`nn.Linear` computes x @ weight.T for rows x, so its weight is exactly the B of h' = B h.",
    ],
    cases=rotation_cases,
    oracle=rotated_oracle,
    observe=as_seen,
    mistakes=[
        Mistake(
            "B for its transpose",
            "The next layer is multiplied by B, and needs B's inverse, which is its transpose: W' "
            "B h = W h.",
            _rotated(back=lambda b: b),
            right_shape=True,
        ),
        Mistake(
            "not counter-rotated",
            "The activations are rotated and the next layer still expects the old ones: multiply "
            "its weights by B's transpose.",
            _rotated(back=lambda b: torch.eye(len(b), device=b.device)),
            right_shape=True,
        ),
        Mistake(
            "columns for rows",
            "The outputs are right, but the new units are the *columns* of the basis: the "
            "directions are its rows, so the inserted weights are the basis itself.",
            _rotated(turn=lambda b: b.T, back=lambda b: b),
            right_shape=True,
        ),
        Mistake(
            "before the non-linearity",
            "The rotation stands before the non-linearity. That mixes the units first and squeezes "
            "the mixtures then, and no weights behind it can undo it: insert it after.",
            _rotated(early=True),
            right_shape=True,
        ),
        Mistake(
            "nothing rotated",
            "The outputs are right because nothing was rotated: what arrives at the next layer "
            "must be the activations in the new basis.",
            _rotated(turn=lambda b: torch.eye(len(b), device=b.device), back=lambda b: b @ b.T),
            right_shape=True,
        ),
        Mistake(
            "both transposed",
            "Both are transposed, or neither undoes the other: h' = B h wants the basis in the "
            "inserted layer and its transpose behind the next weights.",
            _rotated(turn=lambda b: b.T, back=lambda b: b.T),
            right_shape=True,
        ),
    ],
    variants=[_rotated(), rotated_by_solve, rotated_module],
    done="Same outputs, and what were random directions are units now.",
    equivalent_mutants={
        "- rotation.weight = nn.Parameter(basis.clone()) / "
        "+ rotation.weight = nn.Parameter(basis)": (
            "The weights then share their memory with the basis, which nobody changes."
        )
    },
)

EXERCISES = [
    STRONGEST,
    HAAR,
    CHANGES_EXERCISE,
    PURITY,
    CHANCE,
    RANDOMISATION,
    EQUIVALENCE,
    ROTATED,
]

# --- predictions, quizzes, short answers -----------------------------------------------------

PREDICTIONS = {
    "chance-of-purity": Prediction(
        "Eight images are drawn blindly from ten classes of equal size. What is the mean purity of "
        "such a row?",
        digits=2,
    ),
    "units-minus-directions": Prediction(
        "Mean purity of the units of the second layer of FC100-100-10, minus that of random "
        "directions of the same layer:",
        digits=2,
    ),
    "early-rotation": Prediction(
        "Test error of FC100-100-10 with the rotation *before* the first sigmoid, undone behind "
        "it:",
        unit="%",
        digits=2,
    ),
}

QUIZZES = {
    "directions-as-n": Quiz(
        "10 000 random directions of one network have a mean purity of 0.861 ± 0.003 (95 % "
        "interval over directions), its 100 units one of 0.80. What is wrong with reading that "
        "interval as 'so random directions are better, in networks like this'?",
        [
            Option(
                "10 000 directions are too few",
                False,
                "More of them shorten the interval at will. It is about the wrong thing.",
            ),
            Option(
                "It says how well one network's mean is known, and the claim is about networks",
                True,
                "The directions all come from one network. How far the next network's difference "
                "lies from this one's, no number of directions can tell: networks are the "
                "replicates.",
            ),
            Option(
                "Purity is not normally distributed",
                False,
                "With 10 000 directions the mean is, to good accuracy. That is not what matters.",
            ),
        ],
    ),
    "not-significant": Quiz(
        "Ten networks: units minus directions is 0.01, p = 0.4. What may be said?",
        [
            Option(
                "Units and directions are equally meaningful",
                False,
                "Not from p alone. Were the interval -0.2 to 0.2, p would be large, too.",
            ),
            Option(
                "Nothing yet: it depends on the interval and on what difference would matter",
                True,
                "If the 90 % interval lies inside the margin that was fixed before, they are "
                "equivalent to within that margin; if not, it is undecided.",
            ),
            Option(
                "Units are better, but only slightly",
                False,
                "The data do not say on which side of 0 the difference lies.",
            ),
        ],
    ),
    "why-worse": Quiz(
        "In section 5's second layer random directions have purer rows than units, but random "
        "directions of the *whitened* layer have far less pure ones. What follows?",
        [
            Option(
                "Random directions are better than units, full stop",
                False,
                "Random in which sense? The two kinds of random direction disagree more with each "
                "other than either does with the units.",
            ),
            Option(
                "Random directions profit from the few directions in which the layer varies most",
                True,
                "A Haar direction of the layer catches most of its variance along the leading "
                "principal directions, which separate the classes. Whitening takes that away.",
            ),
            Option(
                "Whitening destroys the information about the labels",
                False,
                "It is invertible on the directions that vary: a linear classifier could undo it.",
            ),
        ],
    ),
}

ANSWERS = {
    "figure-reading": ShortAnswer(
        "Compare the two halves of the figure. Which conclusion does it support, and what could "
        "have gone wrong in drawing it?",
        rubric=[
            "It says what is seen without judging more: rows on both sides have a common look "
            "(strokes, slants, often one digit), and neither half is clearly better.",
            "It names the selection: four rows of each, out of a hundred; somebody who chose them "
            "by eye could have made either half look better.",
            "It names what the eye does: a row of eight digits always looks as if it had a theme, "
            "and there is no row of blindly drawn images to compare with.",
            "It does not conclude 'equally meaningful' from not seeing a difference.",
        ],
    ),
}
