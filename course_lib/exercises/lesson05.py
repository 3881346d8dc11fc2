"""The exercises of lesson 05: cells and rows of a transfer table, halves, controls, gradients."""

import itertools

import numpy as np
import scipy.optimize
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

# --- transfer-cell ---------------------------------------------------------------------------


def cell_cases(rng):
    yield Case(
        "five images",
        torch.tensor([0, 1, 2, 2, 1]),
        torch.tensor([0, 0, 2, 1, 2]),
        torch.tensor([0, 1, 2, 0, 2]),
    )

    def draw(n):
        return torch.randint(10, (n,), generator=rng)

    labels = draw(60)
    clean = torch.where(torch.rand(60, generator=rng) < 0.3, draw(60), labels)
    moved = torch.where(torch.rand(60, generator=rng) < 0.4, draw(60), clean)
    yield Case("sixty images, many misread from the start", clean, moved, labels)
    yield Case("nothing happens", clean, clean.clone(), labels)
    yield Case("all is read correctly at first", labels.clone(), moved, labels)


def cell_by_counting(clean, adversarial, labels):
    rows = list(zip(clean.tolist(), adversarial.tolist(), labels.tolist(), strict=True))
    had = [a for c, a, y in rows if c == y]
    lost = sum(a != y for c, a, y in rows if c == y)
    error = sum(a != y for _, a, y in rows) / len(rows)
    return error, 1 - len(had) / len(rows), lost / len(had)


def cell_of_numpy(clean, adversarial, labels):
    c, a, y = (t.cpu().numpy() for t in (clean, adversarial, labels))
    return np.mean(a != y), np.mean(c != y), np.mean(a[c == y] != y[c == y])


def cell_of_changes(clean, adversarial, labels):
    """Among those that were right, to be wrong is to have changed."""
    right = (clean == labels).double()
    error, before = ((t != labels).double().mean() for t in (adversarial, clean))
    return torch.stack([error, before, ((adversarial != clean) * right).sum() / right.sum()])


def _cell(fooled):
    """A wrong third number: fooled(c, a, y) of what was said before, after, and the labels."""

    def wrong(clean, adversarial, labels):
        error, before, _ = cell_of_changes(clean, adversarial, labels)
        return torch.stack([error, before, fooled(clean, adversarial, labels)])

    return wrong


CELL = Exercise(
    slug="transfer-cell",
    title="One cell of the table",
    difficulty=1,
    minutes=4,
    hints=[
        "Two of the three numbers are error rates: what is said, compared with the labels.",
        "The third one is about the images with `clean == labels` only. Which share of *those* is "
        "read as something else now?",
    ],
    cases=cell_cases,
    oracle=cell_by_counting,
    mistakes=[
        Mistake(
            "clean errors as fooled",
            "Every image that is wrong now counts as fooled, also those that the network misread "
            "before anybody changed them: only images that it had right can be fooled.",
            _cell(lambda c, a, y: (a != y).double().mean()),
            right_shape=True,
        ),
        Mistake(
            "over all images",
            "The newly wrong images are counted, but divided by all images: an image that was "
            "wrong from the start could not be fooled and does not belong in the denominator.",
            _cell(lambda c, a, y: ((c == y) & (a != y)).double().mean()),
            right_shape=True,
        ),
        Mistake(
            "error minus clean error",
            "This is the difference of the two error rates. Images that were wrong and are right "
            "now hide as many fooled ones in it: look at the images that were right.",
            _cell(lambda c, a, y: (a != y).double().mean() - (c != y).double().mean()),
            right_shape=True,
        ),
        Mistake(
            "error minus clean error, over the right ones",
            "This is the difference of the two error rates over the share that was right. Images "
            "that were wrong and are right now still hide as many fooled ones in it: count the "
            "images that were right and are wrong now.",
            _cell(
                lambda c, a, y: (
                    ((a != y).double().mean() - (c != y).double().mean()) / (c == y).double().mean()
                )
            ),
            right_shape=True,
        ),
        Mistake(
            "any change",
            "Every change of mind counts here, also from one wrong class to another, or to the "
            "right one: fooled means right before and wrong now.",
            _cell(lambda c, a, y: (a != c).double().mean()),
            right_shape=True,
        ),
        Mistake(
            "right after all",
            "The third number is the share that *stays* right: the share that is fooled is asked "
            "for.",
            _cell(lambda c, a, y: (a == y)[c == y].double().mean()),
            right_shape=True,
        ),
        Mistake(
            "accuracies",
            "The first two numbers are accuracies: an error rate is the share that is not the "
            "label.",
            lambda clean, adversarial, labels: torch.stack(
                [
                    (adversarial == labels).double().mean(),
                    (clean == labels).double().mean(),
                    (adversarial != labels)[clean == labels].double().mean(),
                ]
            ),
            right_shape=True,
        ),
        Mistake(
            "before and after exchanged",
            "The two error rates are exchanged: first the one on the adversarial images.",
            lambda clean, adversarial, labels: cell_of_changes(clean, adversarial, labels)[
                [1, 0, 2]
            ],
            right_shape=True,
        ),
    ],
    variants=[cell_of_numpy, cell_of_changes],
    done="The error, the error that was there before, and the share that was fooled.",
)

# --- strict-row ------------------------------------------------------------------------------


def row_cases(rng):
    def draw(*shape):
        return torch.randint(10, shape, generator=rng)

    def change(from_, share):
        moved = torch.rand(from_.shape, generator=rng) < share
        return torch.where(moved, draw(*from_.shape), from_)

    labels = torch.tensor([0, 1, 2, 3, 4, 5])
    clean = torch.stack([labels, labels.clone(), labels.clone()])
    clean[0, 0] = clean[2, 1] = 9
    adversarial = torch.stack([labels + 1, labels.clone(), labels.clone()])
    adversarial[1, 2] = adversarial[1, 0] = adversarial[2, 1] = 8
    success = torch.tensor([True, True, True, True, True, False])
    yield Case("three networks, six images", clean, adversarial, labels, success, 0)
    for label, m, n, source in (
        ("four networks, fifty images", 4, 50, 2),
        ("two networks", 2, 40, 1),
        ("six networks, no failure", 6, 90, 3),
    ):
        labels = draw(n)
        clean = change(labels.expand(m, n).clone(), 0.15)
        adversarial = change(clean, 0.4)
        fooled = torch.rand(n, generator=rng) < (1.0 if m == 6 else 0.85)
        goal = (labels + 1 + draw(n) % 9) % 10
        adversarial[source] = torch.where(fooled, goal, clean[source])
        clean[:, 3] = (labels[3] + 1) % 10  # an image that none of them has right
        fooled[3], adversarial[:, 3] = True, (labels[3] + 2) % 10
        yield Case(label, clean, adversarial, labels, fooled, source)


def row_by_counting(clean, adversarial, labels, success, source):
    kept = [
        i for i in range(len(labels)) if success[i] and all(said[i] == labels[i] for said in clean)
    ]
    shares = [sum(int(said[i] != labels[i]) for i in kept) / len(kept) for said in adversarial]
    others = [share for k, share in enumerate(shares) if k != source]
    return shares, len(kept), sum(others) / len(others)


def row_of_numpy(clean, adversarial, labels, success, source):
    c, a, y, s = (t.cpu().numpy() for t in (clean, adversarial, labels, success))
    use = s & (c == y[None]).all(axis=0)
    shares = (a[:, use] != y[use]).mean(axis=1)
    return shares, use.sum(), np.delete(shares, source).mean()


def row_of_sums(clean, adversarial, labels, success, source):
    use = success & ((clean != labels).sum(0) == 0)
    wrong = ((adversarial != labels) & use).double().sum(1) / use.sum()
    m = len(clean)
    return wrong, int(use.sum()), (wrong.sum() - wrong[source]) / (m - 1)


def _row(use=None, mean=None, each=None):
    """A wrong row: use(right, success, source), (N,) or (M, N) bool; mean(shares, source)."""

    def wrong(clean, adversarial, labels, success, source):
        right = clean == labels
        use_ = (use or (lambda right, success, source: success & right.all(0)))(
            right, success, source
        )
        use_ = use_.expand_as(right)
        shares = ((adversarial != labels) & use_).double().sum(1) / use_.sum(1)
        counts = use_.sum(1)
        others = torch.arange(len(shares), device=shares.device) != source
        average = mean(shares, source) if mean else shares[others].mean()
        same = bool((counts == counts[0]).all())
        return shares, counts[0] if same or each is None else counts[source], average

    return wrong


ROW = Exercise(
    slug="strict-row",
    title="A row on the same images",
    difficulty=2,
    minutes=8,
    hints=[
        "One mask for the whole row: the attack reached its goal, and *every* network had the "
        "image right before. `(clean == labels).all(dim=0)` is the second half of that.",
        "With the mask, a share for each network: "
        "`(adversarial[:, use] != labels[use]).double().mean(1)`.",
        "The mean leaves out the row of the source, which is 1 by construction.",
    ],
    cases=row_cases,
    oracle=row_by_counting,
    mistakes=[
        Mistake(
            "the source in its own mean",
            "The mean includes the source's own cell, which is 100 % because the images were made "
            "for it. Transfer is what the others say.",
            _row(mean=lambda shares, source: shares.mean()),
            right_shape=True,
        ),
        Mistake(
            "own images for each cell",
            "Each network is measured on the images that it had right itself, so the cells of the "
            "row stand for different images and cannot be compared: take the images that all of "
            "them had right.",
            _row(lambda right, success, source: success & right, each="own"),
            right_shape=True,
        ),
        Mistake(
            "only the source's errors left out",
            "The images are those that the source had right. The other networks' clean errors are "
            "still in, and count as fooled.",
            _row(lambda right, success, source: success & right[source]),
            right_shape=True,
        ),
        Mistake(
            "failures kept",
            "Images for which the attack failed are kept: they are unchanged and dilute every "
            "cell.",
            _row(lambda right, success, source: right.all(0)),
            right_shape=True,
        ),
        Mistake(
            "all images",
            "All images count, so this is the paper's way, with the failures of the attack and all "
            "clean errors in it.",
            _row(lambda right, success, source: torch.ones_like(success)),
            right_shape=True,
        ),
        Mistake(
            "only failures left out",
            "Only the attack's failures are left out. The clean errors of every network are still "
            "counted as fooled.",
            _row(lambda right, success, source: success),
            right_shape=True,
        ),
        Mistake(
            "some network right",
            "An image is kept if at least one network had it right: it takes all of them.",
            _row(lambda right, success, source: success & right.any(0)),
            right_shape=True,
        ),
        Mistake(
            "the sum over the others divided by all",
            "The sum over the other networks is divided by the number of all networks, the source "
            "included: there is one fewer.",
            _row(mean=lambda shares, source: (shares.sum() - shares[source]) / len(shares)),
            right_shape=True,
        ),
    ],
    variants=[row_of_numpy, row_of_sums],
    done="All cells stand for the same images, and the source is not in its own mean.",
)

# --- two-halves (a bug hunt) -----------------------------------------------------------------


def small_net(seed: int) -> nn.Module:
    """A network of the given seed: what a case of two-halves builds."""
    net = nn.Linear(3, 2)
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        net.weight.copy_(torch.randn(2, 3, generator=rng))
        net.bias.zero_()
    return net


def halves_cases(rng):
    sizes = {"400 images, sorted by class": 100, "2000 images, sorted by class": 500}
    for seed, (label, each) in enumerate(sizes.items()):
        yield Case(label, torch.arange(4).repeat_interleave(each), seed, small_net)
    yield Case("an odd number", torch.arange(3).repeat_interleave(67), 3, small_net)
    shuffled = torch.randint(3, (300,), generator=rng)
    yield Case("in no order", shuffled, 11, small_net)


def what_halves_are(result, labels, seed, build):
    """The properties that count: which random halves they are is up to the author."""
    if result is None:
        return None
    (first, net), (second, other) = result
    a, b = (torch.as_tensor(rows).long().cpu().flatten() for rows in (first, second))
    n, classes = len(labels), len(set(labels.tolist()))
    whole = set(a.tolist()) | set(b.tolist())
    return {
        "images in both halves, or twice in one": bool(len(whole) < len(a) + len(b)),
        "images in neither": bool(len(whole) < n),
        "the same images in both": set(a.tolist()) == set(b.tolist()),
        "halves of equal size": bool(abs(len(a) - len(b)) <= 1),
        "all classes in each half": all(
            len(set(labels.cpu()[rows].tolist())) == classes for rows in (a, b)
        ),
        "one initialisation for both": bool(torch.equal(net.weight, other.weight)),
    }


def _rows(labels, seed):
    order = np.random.RandomState(seed).permutation(len(labels))
    return order[: len(order) // 2], order[len(order) // 2 :]


def halves_of_numpy(labels, seed, build):
    first, second = _rows(labels, seed)
    return (first, build(seed + 100)), (second, build(seed + 200))


def halves_by_mask(labels, seed, build):
    rng = torch.Generator().manual_seed(seed)
    score = torch.rand(len(labels), generator=rng)
    low = score <= score.median()
    rows = torch.arange(len(labels))
    return (rows[low], build(7 * seed)), (rows[~low], build(7 * seed + 3))


def halves_every_second(labels, seed, build):
    order = np.random.RandomState(seed).permutation(len(labels))
    return (order[::2].tolist(), build(2 * seed + 1)), (order[1::2].tolist(), build(2 * seed))


SEED_IGNORED = (
    "The halves do not depend on the seed: with another seed they should be others, or the spread "
    "over splits can never be looked at."
)
SEED_NOT_KEPT = (
    "The same seed gives other halves the second time: draw from a generator that is seeded with "
    "`seed`, so that the split can be made again."
)


def halves_follow_the_seed(answer):
    labels = torch.arange(4).repeat_interleave(50)

    def half(seed):
        return sorted(torch.as_tensor(answer(labels, seed, small_net)[0][0]).tolist())

    with torch.random.fork_rng(devices=[]):
        first = half(5)
        torch.manual_seed(99)
        np.random.seed(99)  # noqa: NPY002 (an answer may draw from it)
        if half(5) != first:
            return SEED_NOT_KEPT
    return SEED_IGNORED if half(6) == first else None


def _halves(split, seeds=lambda seed: (2 * seed, 2 * seed + 1)):
    def wrong(labels, seed, build):
        first, second = split(labels, seed)
        return (first, build(seeds(seed)[0])), (second, build(seeds(seed)[1]))

    return wrong


def drawn_twice(labels, seed):
    half = len(labels) // 2
    rng = np.random.RandomState(seed)
    return rng.permutation(len(labels))[:half], rng.permutation(len(labels))[half:]


def overlap_dropped(labels, seed):
    first, second = drawn_twice(labels, seed)
    return first, np.setdiff1d(second, first)


HALVES = Exercise(
    slug="two-halves",
    title="A bug hunt: two halves",
    difficulty=2,
    minutes=6,
    hints=[
        "How many images are in both halves? Two slices of one permutation cannot have any in "
        "common. How many permutations are there here?",
        "There is a second thing, and it has nothing to do with the images: from which weights do "
        "the two networks start?",
    ],
    cases=halves_cases,
    oracle=halves_of_numpy,
    observe=what_halves_are,
    probes=[halves_follow_the_seed],
    mistakes=[
        Mistake(
            "overlap",
            "The initialisations differ now, but the halves are cut from two permutations, so half "
            "of the images of each are in the other, too: cut both from one.",
            _halves(drawn_twice),
            right_shape=True,
        ),
        Mistake(
            "one initialisation for both",
            "The halves are disjoint now, but both networks start from the same weights. They "
            "would be alike for that reason, too, and the experiment is about the images: give "
            "each a seed of its own.",
            _halves(_rows, lambda seed: (seed, seed)),
            right_shape=True,
        ),
        Mistake(
            "the overlap thrown away",
            "The images that were in both halves are taken out of one, which is now only half as "
            "large, and some images are in neither: cut both halves from one permutation.",
            _halves(overlap_dropped),
            right_shape=True,
        ),
        Mistake(
            "the overlap thrown away, one initialisation",
            "The images that were in both halves are taken out of one, which is now only half as "
            "large; and both networks start from the same weights.",
            _halves(overlap_dropped, lambda seed: (seed, seed)),
            right_shape=True,
        ),
        Mistake(
            "first and second half of the file",
            "The images are cut in the order in which they come. Where they are sorted, one "
            "half has other classes than the other: shuffle them first.",
            _halves(
                lambda labels, seed: (range(len(labels) // 2), range(len(labels) // 2, len(labels)))
            ),
            right_shape=True,
        ),
        Mistake(
            "the same half twice",
            "Both networks get the same images.",
            _halves(lambda labels, seed: (_rows(labels, seed)[0],) * 2),
            right_shape=True,
        ),
        Mistake(
            "the seed ignored",
            SEED_IGNORED,
            _halves(lambda labels, seed: _rows(labels, 0)),
            right_shape=True,
        ),
        Mistake(
            "the seed not kept",
            SEED_NOT_KEPT,
            _halves(lambda labels, seed: torch.randperm(len(labels)).tensor_split(2)),
            right_shape=True,
        ),
    ],
    variants=[halves_of_numpy, halves_by_mask, halves_every_second],
    done="No image in common, none left out, and each network starts from weights of its own.",
    equivalent_mutants={
        f"- return ((first, build(2 * seed)), (second, build(2 * seed + 1))) / + return {other}": (
            "Any two different seeds will do."
        )
        for other in (
            "((first, build(2 * seed)), (second, build(2 * seed - 1)))",
            "((first, build(1 * seed)), (second, build(2 * seed + 1)))",
            "((first, build(2 * seed)), (second, build(2 * seed + 2)))",
            "((first, build(2 * seed)), (second, build(3 * seed + 1)))",
        )
    },
)

# --- amplify-in-box --------------------------------------------------------------------------


def box_cases(rng):
    def draw(*shape):
        return torch.rand(*shape, generator=rng, dtype=torch.float64)

    def pair(n, *shape, size):
        """Images with many pixels at 0 and 1, and changes that stay in the box."""
        images = (2.4 * draw(n, *shape) - 1.0).clamp(0, 1)
        change = size.reshape(-1, *[1] * len(shape)) * (2 * draw(n, *shape) - 1)
        return (images + change).clamp(0, 1), images

    images = torch.tensor([[0.0, 0.9, 0.5, 0.3]], dtype=torch.float64)
    near = torch.tensor([[0.1, 1.0, 0.4, 0.3]], dtype=torch.float64)
    yield Case("one image of four pixels", near, images, 0.2)
    sizes = torch.tensor([0.1, 0.4, 0.2], dtype=torch.float64)
    yield Case("three images of 2 x 5", *pair(3, 2, 5, size=sizes), 0.2)
    yield Case("made smaller", *pair(3, 2, 5, size=4 * sizes), 0.05)
    sizes = 0.05 + 0.3 * draw(4)
    yield Case("four images of 1 x 6 x 6", *pair(4, 1, 6, 6, size=sizes), 0.25)
    images = draw(3, 12).round(decimals=0)
    noise = torch.randn(3, 12, generator=rng, dtype=torch.float64)
    yield Case("noise that leaves the box", images + 0.2 * noise, images, 0.2)
    yield Case("no pixel meets the box", 0.5 + 0.01 * draw(2, 9), 0.5 * torch.ones(2, 9), 0.1)


def box_of_scipy(changed, images, stddev):
    """Each image by Brent's method."""
    found = []
    for a, x in zip(changed.double().numpy(), images.double().numpy(), strict=True):

        def excess(k, a=a, x=x):
            return np.sqrt(np.mean((np.clip(x + k * (a - x), 0, 1) - x) ** 2)) - stddev

        k = scipy.optimize.brentq(excess, 0, 1e4, xtol=1e-14, rtol=1e-13)
        found.append(np.clip(x + k * (a - x), 0, 1))
    return np.stack(found)


def box_by_fixed_point(changed, images, stddev):
    """Stretched by what is missing, again and again."""
    change = (changed - images).double()
    k = torch.ones(len(images), *[1] * (images.ndim - 1)).to(change)
    for _ in range(400):
        out = (images + k * change).clamp(0, 1)
        k = k * stddev / (out - images).flatten(1).square().mean(1).sqrt().reshape(k.shape)
    return out


def box_one_by_one(changed, images, stddev):
    done = []
    for a, x in zip(changed, images, strict=True):
        low, high = 0.0, 1e5
        for _ in range(200):
            k = (low + high) / 2
            point = torch.clamp(x + k * (a - x), 0, 1)
            if torch.sqrt(torch.mean((point - x) ** 2)) < stddev:
                low = k
            else:
                high = k
        done.append(torch.clamp(x + high * (a - x), 0, 1))
    return torch.stack(done)


def _rms(change):
    return change.flatten(1).square().mean(1).sqrt().reshape(-1, *[1] * (change.ndim - 1))


def _stretch(changed, images, stddev):
    return images + stddev / _rms(changed - images) * (changed - images)


def stretched_and_clipped(changed, images, stddev):
    return _stretch(changed, images, stddev).clamp(0, 1)


def clipped_and_stretched(changed, images, stddev):
    return _stretch(stretched_and_clipped(changed, images, stddev), images, stddev)


def repaired_once(changed, images, stddev):
    return clipped_and_stretched(changed, images, stddev).clamp(0, 1)


def one_factor(changed, images, stddev):
    """One factor for the batch, such that the mean of the sizes is right."""
    low, high = 0.0, 1e4
    for _ in range(200):
        k = (low + high) / 2
        out = (images + k * (changed - images)).clamp(0, 1)
        low, high = (k, high) if _rms(out - images).mean() < stddev else (low, k)
    return out


def in_l2(changed, images, stddev):
    return box_one_by_one(changed, images, stddev / images[0].numel() ** 0.5)


IN_BOX = Exercise(
    slug="amplify-in-box",
    title="Amplified, and still an image",
    difficulty=3,
    minutes=9,
    hints=[
        "Of the change only its factor k is free: the images are clip(x + k (x' - x)), and their "
        "distortion grows with k. So look for k, one for each image.",
        "An upper end first: start from k = 1 and double it for the images that are too small. "
        "Then halve the bracket some 40 times.",
        "Inside the loop: `out = (images + k * change).clamp(0, 1)`, its rms against the clean "
        "images measured *after* the clipping, and `torch.where` to move one end or the other.",
    ],
    cases=box_cases,
    oracle=box_of_scipy,
    atol=1e-5,
    on_device=False,
    mistakes=[
        Mistake(
            "not measured after clipping",
            "The change is stretched to the stddev and clipped afterwards, so what comes out is "
            "smaller than asked for: measure the size after the clipping, and choose the factor "
            "by that.",
            stretched_and_clipped,
            right_shape=True,
        ),
        Mistake(
            "stretched after clipping",
            "What was clipped is stretched again to make up for it, and leaves the box again: no "
            "clipping follows.",
            clipped_and_stretched,
            right_shape=True,
        ),
        Mistake(
            "repaired once",
            "Stretched, clipped, stretched by what was missing, clipped: nearer, but still too "
            "small, because the second clipping takes away as the first did. The factor has to be "
            "looked for.",
            repaired_once,
            right_shape=True,
        ),
        Mistake(
            "no box",
            "These are stretched without the box, as in Table 4: pixels leave [0, 1].",
            _stretch,
            right_shape=True,
        ),
        Mistake(
            "one factor for all",
            "All images get the same factor, such that the mean of their sizes is the stddev: each "
            "is to have that size itself.",
            one_factor,
            right_shape=True,
        ),
        Mistake(
            "the printed formula",
            "It is the L2 norm of the change that is brought to the stddev, as in the formula that "
            "the paper prints: the rms is asked for, the norm over the root of the number of "
            "pixels.",
            in_l2,
            right_shape=True,
        ),
        Mistake(
            "the change",
            "This is the change: add it to the images.",
            lambda changed, images, stddev: box_one_by_one(changed, images, stddev) - images,
            right_shape=True,
        ),
    ],
    variants=[box_by_fixed_point, box_one_by_one],
    done="Every image is in the box, and has the distortion asked for after the clipping.",
    equivalent_mutants={
        "- return rms < stddev / + return rms <= stddev": "The size itself fits either end.",
        "- for _ in range(40): / + for _ in range(41):": "One halving more changes no digit.",
        "- for _ in range(40): / + for _ in range(39):": "One halving fewer changes no digit.",
        "- high = torch.where(too_small(high), 2 * high, high) / + high = "
        "torch.where(too_small(high), 3 * high, high)": "Any upper end that is large enough.",
    },
)

# --- equal-size ------------------------------------------------------------------------------


def equal_cases(rng):
    def draw(*shape):
        return torch.randn(*shape, generator=rng)

    images = torch.tensor([[[0.0, 1.0], [0.5, 0.0]]])
    yield Case(
        "one image of 2 x 2", images, images + 0.1, torch.tensor([[[1.0, -1.0], [2.0, 0.0]]])
    )
    for label, shape in (("three images", (3, 1, 4, 5)), ("seven images", (7, 2, 3, 3))):
        images = torch.rand(*shape, generator=rng).round(decimals=1)
        sizes = torch.rand(shape[0], generator=rng).reshape(-1, 1, 1, 1) + 0.02
        nearby = (images + sizes * draw(*shape)).clamp(0, 1)
        yield Case(label, images, nearby, (1 + 3 * sizes) * draw(*shape) + 0.5)


def equal_of_numpy(images, adversarial, direction):
    x, a, d = (t.double().numpy().reshape(len(t), -1) for t in (images, adversarial, direction))
    size = np.linalg.norm(a - x, axis=1) / np.linalg.norm(d, axis=1)
    return (x + size[:, None] * d).reshape(images.shape)


def equal_loop(images, adversarial, direction):
    done = []
    for x, a, d in zip(images, adversarial, direction, strict=True):
        done.append(x + d * (a - x).pow(2).sum().sqrt() / d.pow(2).sum().sqrt())
    return torch.stack(done)


def equal_einsum(images, adversarial, direction):
    change = adversarial - images
    square = torch.einsum("n...,n...->n", change, change)
    factor = (square / torch.einsum("n...,n...->n", direction, direction)).sqrt()
    return torch.einsum("n,n...->n...", factor, direction) + images


def _equal(factor=None, finish=lambda out: out, start=lambda x, a: x):
    def wrong(images, adversarial, direction):
        change = adversarial - images
        k = factor(change, direction) if factor else _rms(change) / _rms(direction)
        return finish(start(images, adversarial) + k * direction)

    return wrong


EQUAL = Exercise(
    slug="equal-size",
    title="A control of the same size",
    difficulty=1,
    minutes=4,
    hints=[
        "Two rms values for each image: of the adversarial change, and of the direction.",
        "`attacks.distortion(adversarial, images)` is the first. Their ratio, with axes of length "
        "1 so that it multiplies whole images, times the direction.",
    ],
    cases=equal_cases,
    oracle=equal_of_numpy,
    mistakes=[
        Mistake(
            "clipped",
            "The result is clipped to [0, 1]. Most pixels of a digit are at 0, and half of what a "
            "random direction asks of them is cut off: the control is then smaller than what it is "
            "compared with.",
            _equal(finish=lambda out: out.clamp(0, 1)),
            right_shape=True,
        ),
        Mistake(
            "the mean size for all",
            "All images get the mean size. Adversarial changes differ much in size: each image "
            "has to have that of its own.",
            _equal(lambda change, d: _rms(change).mean() / _rms(d)),
            right_shape=True,
        ),
        Mistake(
            "the direction not measured",
            "The direction is multiplied by the size of the change, which is right only if its "
            "own rms happens to be 1: divide by it, for each image.",
            _equal(lambda change, d: _rms(change)),
            right_shape=True,
        ),
        Mistake(
            "the direction measured over the batch",
            "The direction's rms is one number for the whole batch: some images then get more "
            "than their share and some less.",
            _equal(lambda change, d: _rms(change) / d.square().mean().sqrt()),
            right_shape=True,
        ),
        Mistake(
            "standard deviation",
            "With `std` the mean of the direction is taken off first. A direction with a mean has "
            "a larger rms than that, and the result is too large.",
            _equal(
                lambda change, d: (
                    _rms(change)
                    / d.flatten(1).std(dim=1, correction=0).reshape(-1, *[1] * (d.ndim - 1))
                )
            ),
            right_shape=True,
        ),
        Mistake(
            "on the adversarial images",
            "The direction is added to the adversarial images, so they carry both changes: start "
            "from the clean ones.",
            _equal(start=lambda x, a: a),
            right_shape=True,
        ),
        Mistake(
            "the change",
            "This is the change: add it to the images.",
            _equal(start=lambda x, a: torch.zeros_like(x)),
            right_shape=True,
        ),
    ],
    variants=[equal_loop, equal_einsum],
    done="Each image has a change of exactly the size of its own adversarial one.",
)

# --- paired-bootstrap ------------------------------------------------------------------------


def bootstrap_cases(rng):
    def draws(times, n):
        return torch.randint(n, (times, n), generator=rng)

    def bools(n, p):
        return torch.rand(n, generator=rng) < p

    yield Case(
        "six images, ten draws",
        torch.tensor([True, True, False, True, False, True]),
        torch.tensor([False, True, False, False, True, False]),
        draws(10, 6),
    )
    a = bools(80, 0.5)
    yield Case("two cells that agree mostly", a, a ^ bools(80, 0.15), draws(400, 80))
    yield Case("two that do not", bools(50, 0.7), bools(50, 0.2), draws(300, 50))


def bootstrap_of_numpy(a, b, draws):
    d = a.cpu().double().numpy() - b.cpu().double().numpy()
    means = np.array([d[rows].mean() for rows in draws.cpu().numpy()])
    low, high = np.percentile(means, [2.5, 97.5])
    return d.mean(), low, high


def bootstrap_by_counts(a, b, draws):
    """How often each image was drawn, times its difference."""
    d = a.double() - b.double()
    n = len(d)
    counts = torch.stack([torch.bincount(rows, minlength=n) for rows in draws]).double()
    means = counts @ d / n
    return d.mean(), torch.quantile(means, 0.025), torch.quantile(means, 0.975)


def bootstrap_two_means(a, b, draws):
    means = a.float()[draws].mean(1) - b.float()[draws].mean(1)
    ends = np.quantile(means.double().cpu().numpy(), [0.025, 0.975])
    return float(a.double().mean() - b.double().mean()), *ends


def _ends(values, level=0.95):
    tail = (1 - level) / 2
    return torch.quantile(values, tail), torch.quantile(values, 1 - tail)


def unpaired_draws(a, b, draws):
    """Other images for b than for a."""
    means = a.double()[draws].mean(1) - b.double()[draws.flip(0)].mean(1)
    return a.double().mean() - b.double().mean(), *_ends(means)


def ends_of_both(a, b, draws):
    (low_a, high_a), (low_b, high_b) = (_ends(t.double()[draws].mean(1)) for t in (a, b))
    return a.double().mean() - b.double().mean(), low_a - high_b, high_a - low_b


def _bootstrap(finish):
    """A wrong result: finish(d, means), d the differences of the images."""

    def wrong(a, b, draws):
        d = a.double() - b.double()
        return finish(d, d[draws].mean(1))

    return wrong


PAIRED_BOOTSTRAP = Exercise(
    slug="paired-bootstrap",
    title="Two cells of a row, compared",
    difficulty=2,
    minutes=6,
    hints=[
        "For each image the difference of the two cells is -1, 0 or 1: its mean is the "
        "difference of the shares.",
        "`d[draws]` has the shape (B, N): each row is a set of images drawn with replacement. A "
        "mean for each row, and of those the 2.5 % and the 97.5 % points (`torch.quantile`).",
    ],
    cases=bootstrap_cases,
    oracle=bootstrap_of_numpy,
    atol=1e-5,
    mistakes=[
        Mistake(
            "unpaired",
            "The two cells get different draws, as if they had been measured on different images: "
            "what an image does to both no longer cancels. Take the same draw for both.",
            unpaired_draws,
            right_shape=True,
        ),
        Mistake(
            "the ends of two intervals",
            "This subtracts the ends of two intervals. Both shares cannot be off in opposite "
            "directions that often: draw the *difference* again and again.",
            ends_of_both,
            right_shape=True,
        ),
        Mistake(
            "90 %",
            "The ends are the 5 % and the 95 % points, which leave out a tenth: 2.5 % and 97.5 %.",
            _bootstrap(lambda d, means: (d.mean(), *_ends(means, 0.9))),
            right_shape=True,
        ),
        Mistake(
            "the extremes",
            "The ends are the smallest and the largest draw: the more draws, the wider. Take the "
            "2.5 % and the 97.5 % points.",
            _bootstrap(lambda d, means: (d.mean(), means.min(), means.max())),
            right_shape=True,
        ),
        Mistake(
            "b minus a",
            "The sign is swapped: this is b minus a.",
            _bootstrap(lambda d, means: (-d.mean(), *_ends(-means))),
            right_shape=True,
        ),
        Mistake(
            "the mean of the draws",
            "The first number is the mean of the draws. It is close, but the estimate is the "
            "difference on the images themselves: the draws are for the interval.",
            _bootstrap(lambda d, means: (means.mean(), *_ends(means))),
            right_shape=True,
        ),
        Mistake(
            "divided by the number of draws",
            "The spread of the draws is divided by the root of their number, as if more draws "
            "made the images more: the interval is the spread of the draws itself.",
            _bootstrap(
                lambda d, means: (
                    d.mean(),
                    d.mean() - 1.96 * means.std() / len(means) ** 0.5,
                    d.mean() + 1.96 * means.std() / len(means) ** 0.5,
                )
            ),
            right_shape=True,
        ),
        Mistake(
            "only where they differ",
            "Only the images on which the two cells differ are drawn, so the difference is that of "
            "those: an image on which they agree is a difference of 0, and counts.",
            lambda a, b, draws: (
                lambda d, inside: (
                    d[d != 0].mean(),
                    *_ends((d[draws] * inside[draws]).sum(1) / inside[draws].sum(1)),
                )
            )(a.double() - b.double(), (a != b).double()),
            right_shape=True,
        ),
    ],
    variants=[bootstrap_by_counts, bootstrap_two_means],
    done="Every draw takes the same images for both cells.",
)

# --- bootstrap-means -------------------------------------------------------------------------


def levels_cases(rng):
    def draw(k, n, times, p=0.4):
        shift = torch.rand(k, 1, generator=rng) * 0.5 - 0.25
        fooled = torch.rand(k, n, generator=rng) < p + shift
        networks = torch.randint(k, (times, k), generator=rng)
        return fooled, networks, torch.randint(n, (times, n), generator=rng)

    yield Case(
        "two pairs, three images",
        torch.tensor([[True, False, False], [True, True, False]]),
        torch.tensor([[0, 0], [0, 1], [1, 1]]),
        torch.tensor([[0, 1, 2], [0, 0, 1], [2, 2, 2]]),
    )
    yield Case("four pairs, thirty images", *draw(4, 30, 12))
    yield Case("as many pairs as images and draws", *draw(5, 5, 5))
    yield Case("three pairs, fifty images", *draw(3, 50, 40))


def levels_by_counts(fooled, networks, images):
    """A draw is a weight for each row and for each column of the table."""
    table = fooled.cpu().double().numpy()
    k, n = table.shape
    rows = np.stack([np.bincount(r, minlength=k) for r in networks.cpu().numpy()])
    columns = np.stack([np.bincount(r, minlength=n) for r in images.cpu().numpy()])
    return np.einsum("bk,kn,bn->b", rows, table, columns) / (k * n)


def levels_loop(fooled, networks, images):
    means = []
    for rows, columns in zip(networks, images, strict=True):
        means.append(fooled.double()[rows][:, columns].mean())
    return torch.stack(means)


def levels_gather(fooled, networks, images):
    table = fooled.float()[networks]
    wide = images[:, None].expand(-1, fooled.shape[0], -1)
    return table.gather(2, wide).flatten(1).mean(1)


def _levels(pick):
    """A wrong mean: pick(table, rows, columns) -> what is averaged, for each draw."""

    def wrong(fooled, networks, images):
        table = fooled.double()
        each = [pick(table, r, c) for r, c in zip(networks, images, strict=True)]
        return torch.stack([part.mean() for part in each])

    return wrong


def _unequal(table, rows, columns):
    """Each pair with images of its own: here the draw, moved on by one for each pair."""
    n = table.shape[1]
    return torch.stack([table[r][(columns + i) % n] for i, r in enumerate(rows)])


LEVELS = Exercise(
    slug="bootstrap-means",
    title="Networks drawn, and images drawn",
    difficulty=2,
    minutes=6,
    hints=[
        "One draw b first: `fooled[networks[b]]` repeats and omits rows, then `[:, images[b]]` "
        "repeats and omits columns. The mean of what is left is one number.",
        "`fooled` is boolean: `.double()` before the mean. All draws at once: "
        "`fooled[networks[:, :, None], images[:, None, :]]` has the shape (B, K, N).",
    ],
    cases=levels_cases,
    oracle=levels_by_counts,
    mistakes=[
        Mistake(
            "networks not drawn",
            "The images are drawn and the networks are always the same: the spread is that over "
            "images only, and a table of other networks may be anywhere outside of it.",
            _levels(lambda t, r, c: t[:, c]),
            right_shape=True,
        ),
        Mistake(
            "images not drawn",
            "The networks are drawn and the images are always the same: draw the columns, too.",
            _levels(lambda t, r, c: t[r]),
            right_shape=True,
        ),
        Mistake(
            "other images for each pair",
            "Each pair gets images of its own. The pairs share their images, an easy one is easy "
            "for all of them, and that does not average out over pairs: use the same columns for "
            "all rows of a draw.",
            _levels(_unequal),
            right_shape=True,
        ),
        Mistake(
            "each network once",
            "A network that was drawn twice counts once here. Drawing with replacement means that "
            "it counts as often as it was drawn.",
            _levels(lambda t, r, c: t[r.unique()][:, c]),
            right_shape=True,
        ),
        Mistake(
            "each image once",
            "An image that was drawn twice counts once here. Drawing with replacement means that "
            "it counts as often as it was drawn.",
            _levels(lambda t, r, c: t[r][:, c.unique()]),
            right_shape=True,
        ),
        Mistake(
            "each once",
            "A network or an image that was drawn twice counts once here: with replacement, each "
            "counts as often as it was drawn.",
            _levels(lambda t, r, c: t[r.unique()][:, c.unique()]),
            right_shape=True,
        ),
        Mistake(
            "sums",
            "These are sums: the mean over all K · N entries of the drawn table is asked for.",
            _levels(lambda t, r, c: t[r][:, c].sum()),
            right_shape=True,
        ),
        Mistake(
            "a mean for each pair",
            "This is a mean for each pair and each draw: one number for each draw is asked for.",
            lambda fooled, networks, images: torch.stack(
                [fooled.double()[r][:, c].mean(1) for r, c in zip(networks, images, strict=True)]
            ),
        ),
    ],
    variants=[levels_loop, levels_gather],
    done="Every draw is a table of K pairs and N images, drawn with replacement.",
)

# --- gradient-cosine -------------------------------------------------------------------------


def _net(rng, *sizes):
    layers = []
    for a, b in itertools.pairwise(sizes):
        layer = nn.Linear(a, b)
        with torch.no_grad():
            layer.weight.copy_(torch.randn(b, a, generator=rng) * 1.5 / a**0.5)
            layer.bias.copy_(torch.randn(b, generator=rng) / 2)
        layers += [layer, nn.Sigmoid()]
    return nn.Sequential(nn.Flatten(), *layers[:-1]).double().eval()


def cosine_cases(rng):
    def draw(*shape):
        return torch.rand(*shape, generator=rng, dtype=torch.float64)

    yield Case(
        "two linear networks, one image of 2 x 2",
        _net(rng, 4, 3),
        _net(rng, 4, 3),
        draw(1, 1, 2, 2),
        torch.tensor([2]),
    )
    first, second = _net(rng, 12, 8, 5), _net(rng, 12, 6, 5)
    yield Case("seven images", first, second, draw(7, 1, 3, 4), torch.tensor([0, 4, 2, 2, 1, 3, 0]))
    yield Case("a network and itself", first, first, draw(4, 3, 2, 2), torch.tensor([1, 1, 0, 4]))
    against = _net(rng, 12, 5)
    opposed = _net(rng, 12, 5)
    with torch.no_grad():
        opposed[1].weight.copy_(-against[1].weight)
        opposed[1].bias.copy_(-against[1].bias)
    yield Case(
        "a network and its opposite", against, opposed, draw(6, 1, 3, 4), torch.arange(6) % 5
    )


def _gradient_by_hand(net, images, targets):
    """The chain rule, layer by layer, in NumPy: W1ᵀ σ' ... (p - onehot)."""
    layers = [m for m in net if isinstance(m, nn.Linear)]
    h, kept = images.flatten(1).numpy(), []
    for k, layer in enumerate(layers):
        h = h @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
        if k < len(layers) - 1:
            h = 1 / (1 + np.exp(-h))
            kept.append(h)
    p = np.exp(h - h.max(1, keepdims=True))
    g = p / p.sum(1, keepdims=True) - np.eye(p.shape[1])[targets.numpy()]
    for layer in reversed(layers):
        g = g @ layer.weight.detach().numpy()
        if kept:
            s = kept.pop()
            g = g * s * (1 - s)
    return g


def cosine_by_hand(net_a, net_b, images, targets):
    a, b = (_gradient_by_hand(net.cpu(), images, targets) for net in (net_a, net_b))
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def _slopes(net, images, targets, loss=None):
    x = images.detach().clone().requires_grad_()
    loss = loss or (lambda z: F.cross_entropy(z, targets, reduction="sum"))
    return torch.autograd.grad(loss(net(x)), x)[0].flatten(1)


def cosine_one_by_one(net_a, net_b, images, targets):
    found = []
    for image, target in zip(images, targets, strict=True):
        sides = []
        for net in (net_a, net_b):
            x = image[None].clone().requires_grad_()
            loss = F.cross_entropy(net(x), target[None])
            sides.append(torch.autograd.grad(loss, x)[0].flatten())
        a, b = sides
        found.append(torch.dot(a, b) / (torch.linalg.norm(a) * torch.linalg.norm(b)))
    return torch.stack(found)


def cosine_of_jacobians(net_a, net_b, images, targets):
    """The loss's gradient from the Jacobian of the mean loss: its scale does not matter."""
    sides = []
    for net in (net_a, net_b):
        x = images.clone().requires_grad_()
        log_p = net(x).log_softmax(1)[torch.arange(len(x)), targets]
        sides.append(F.normalize(torch.autograd.grad(-log_p.mean(), x)[0].flatten(1), dim=1))
    return (sides[0] * sides[1]).sum(1)


def _cosine(of, loss=None):
    """A wrong cosine: of(a, b), the gradients (N, pixels) of the two; loss(z, targets)."""

    def wrong(net_a, net_b, images, targets):
        chosen = loss and (lambda z: loss(z, targets))
        a, b = (_slopes(net, images, targets, chosen) for net in (net_a, net_b))
        return of(a, b)

    return wrong


def _each(a, b):
    return F.cosine_similarity(a, b, dim=1)


COSINE = Exercise(
    slug="gradient-cosine",
    title="Do two networks pull the same way?",
    difficulty=3,
    minutes=8,
    hints=[
        "The gradient with respect to the *images*: `x = images.clone().requires_grad_()`, then "
        "`torch.autograd.grad(loss, x)`. With the sum of the losses of all images, row k of it is "
        "the gradient of image k's own loss.",
        "Flatten each gradient to one row per image, (N, pixels).",
        "The cosine of each pair of rows, with its sign: their inner product over the product of "
        "their norms (`F.cosine_similarity(a, b, dim=1)`).",
    ],
    cases=cosine_cases,
    oracle=cosine_by_hand,
    on_device=False,
    atol=1e-5,
    mistakes=[
        Mistake(
            "the cosine of the means",
            "The gradients are averaged over the images first, and one cosine is left. The mean "
            "gradient is what all images have in common, and two networks can agree on that and "
            "on no image: a cosine for each image is asked for.",
            _cosine(lambda a, b: _each(a.mean(0, keepdim=True), b.mean(0, keepdim=True))[0]),
        ),
        Mistake(
            "the cosine of the means, for every image",
            "Every image gets the same number, the cosine of the two mean gradients: take the "
            "cosine image by image.",
            _cosine(
                lambda a, b: _each(a.mean(0, keepdim=True), b.mean(0, keepdim=True)).expand(len(a))
            ),
            right_shape=True,
        ),
        Mistake(
            "absolute value",
            "The sign is lost. Opposite directions count as the same, and random ones no longer "
            "have the mean 0.",
            _cosine(lambda a, b: _each(a, b).abs()),
            right_shape=True,
        ),
        Mistake(
            "the batch as one vector",
            "All images' gradients are taken as one long vector: the images with large gradients "
            "decide, and there is one number for all.",
            _cosine(lambda a, b: _each(a.flatten(), b.flatten()[None])[0]),
        ),
        Mistake(
            "the target's logit",
            "This is the gradient of the target's logit. The attack descends the loss, which also "
            "pulls the other logits down: take the cross-entropy.",
            _cosine(_each, lambda z, t: -z.gather(1, t[:, None]).sum()),
            right_shape=True,
        ),
        Mistake(
            "not divided by the norms",
            "These are inner products: divide by both norms, or large gradients look like "
            "agreement.",
            _cosine(lambda a, b: (a * b).sum(1)),
            right_shape=True,
        ),
        Mistake(
            "correlation",
            "The mean over pixels is taken off each gradient first, which makes it a correlation: "
            "a step that brightens all pixels is a direction like any other.",
            _cosine(lambda a, b: _each(a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True))),
            right_shape=True,
        ),
        Mistake(
            "signs only",
            "The signs of the gradients are compared, not the gradients: a pixel with next to no "
            "slope counts as much as the steepest.",
            _cosine(lambda a, b: _each(a.sign(), b.sign())),
            right_shape=True,
        ),
        Mistake(
            "an angle",
            "This is the angle, in radians: its cosine is asked for.",
            _cosine(lambda a, b: _each(a, b).clamp(-1, 1).arccos()),
            right_shape=True,
        ),
    ],
    variants=[cosine_one_by_one, cosine_of_jacobians],
    done="One signed cosine for each image, as found by the chain rule in NumPy.",
    equivalent_mutants={
        "- x = images.detach().clone().requires_grad_() / + x = "
        "images.detach().requires_grad_()": "What is detached is another tensor already.",
        "- x = images.detach().clone().requires_grad_() / + x = "
        "images.clone().requires_grad_()": "The images have no history here.",
        "- loss = F.cross_entropy(net(x), targets, reduction='sum') / + loss = "
        "F.cross_entropy(net(x), targets, reduction='mean')": "A factor does not turn a gradient.",
        "- gradients.append(torch.autograd.grad(loss, x)[0].flatten(1)) / + "
        "gradients.append(torch.autograd.grad(loss, x)[-1].flatten(1))": "There is only one.",
    },
)

# --- reaches ---------------------------------------------------------------------------------


def reach_cases(rng):
    def draw(*shape):
        return torch.randn(*shape, generator=rng)

    yield Case(
        "three images of two pixels",
        torch.tensor([[3.0, 1.0], [1.0, 4.0], [-3.0, 0.0]]),
        torch.tensor([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0]]),
    )
    for label, shape in (("forty images", (40, 1, 2, 3)), ("sixty images", (60, 2, 3, 2))):
        theirs = draw(*shape)
        sizes = torch.rand(shape[0], generator=rng).reshape(-1, 1, 1, 1)
        yield Case(label, 2.5 * sizes * theirs + draw(*shape) / 2, theirs)
    small = 0.05 * draw(50, 1, 4, 4)
    yield Case("changes of the size of ours", 0.8 * small + 0.03 * draw(50, 1, 4, 4), small)


def reaches_of_numpy(r, theirs):
    """Project, and compare the lengths."""
    a, b = (t.cpu().double().numpy().reshape(len(t), -1) for t in (r, theirs))
    length = np.linalg.norm(b, axis=1)
    along = (a * b / length[:, None]).sum(1)
    return along >= length


def reaches_by_cosine(r, theirs):
    a, b = r.flatten(1), theirs.flatten(1)
    return F.cosine_similarity(a, b) * a.norm(dim=1) >= b.norm(dim=1)


def reaches_loop(r, theirs):
    return [bool((a * b).sum() >= (b * b).sum()) for a, b in zip(r, theirs, strict=True)]


def _reach(rule):
    def wrong(r, theirs):
        return rule(r.flatten(1), theirs.flatten(1))

    return wrong


REACHES = Exercise(
    slug="reaches",
    title="Far enough in its direction?",
    difficulty=2,
    minutes=5,
    hints=[
        "The component of r along the other network's change s is r·s / |s|. When is it at least "
        "|s|?",
        "Multiplied by |s|: `(r * theirs).flatten(1).sum(1)` against the sum of squares of "
        "`theirs`.",
    ],
    cases=reach_cases,
    oracle=reaches_of_numpy,
    mistakes=[
        Mistake(
            "longer",
            "This asks whether r is at least as long as the other change, whatever its direction: "
            "only its component along the other change counts.",
            _reach(lambda a, b: a.norm(dim=1) >= b.norm(dim=1)),
            right_shape=True,
        ),
        Mistake(
            "the same side",
            "This asks whether r points to the same side as the other change: it has to go as far, "
            "too.",
            _reach(lambda a, b: (a * b).sum(1) >= 0),
            right_shape=True,
        ),
        Mistake(
            "the other way round",
            "This asks whether the *other* change reaches as far along r: the boundary in question "
            "is the other network's, so project r on `theirs`.",
            _reach(lambda a, b: (a * b).sum(1) >= a.square().sum(1)),
            right_shape=True,
        ),
        Mistake(
            "not divided by the length",
            "The inner product is compared with the length: the component is r·s / |s|, so divide "
            "by the length first.",
            _reach(lambda a, b: (a * b).sum(1) >= b.norm(dim=1)),
            right_shape=True,
        ),
        Mistake(
            "the absolute component",
            "The sign is lost: r may go just as far the opposite way.",
            _reach(lambda a, b: (a * b).sum(1).abs() >= b.square().sum(1)),
            right_shape=True,
        ),
        Mistake(
            "beyond it in every pixel",
            "Every pixel is asked to change at least as much as in the other change. Pixels can "
            "stand in for each other: it is the component along the direction that counts.",
            _reach(lambda a, b: (a * b.sign() >= b.abs()).all(1)),
            right_shape=True,
        ),
        Mistake(
            "the fraction",
            "This is how far r goes in units of the other change: whether it is at least 1 is "
            "asked for.",
            _reach(lambda a, b: (a * b).sum(1) / b.square().sum(1)),
            right_shape=True,
        ),
    ],
    variants=[reaches_by_cosine, reaches_loop],
    done="Whether the component along the other network's own change is at least as long as it.",
    equivalent_mutants={
        "- return along >= theirs.flatten(1).square().sum(dim=1) / + return along > "
        "theirs.flatten(1).square().sum(dim=1)": "Just on the plane is neither side.",
    },
)

EXERCISES = [
    CELL,
    ROW,
    HALVES,
    IN_BOX,
    EQUAL,
    PAIRED_BOOTSTRAP,
    LEVELS,
    COSINE,
    REACHES,
]

# --- predictions, quizzes, short answers -----------------------------------------------------

PREDICTIONS = {
    "corner-up": Prediction(
        "Images made for FC10(1e-2), shown to FC10(1e-4): which share does it get wrong?",
        unit="%",
        digits=3,
    ),
    "corner-down": Prediction(
        "And the other way round: images made for FC10(1e-4), shown to FC10(1e-2), which gets 8 % "
        "of the clean images wrong?",
        unit="%",
        digits=3,
    ),
    "other-half": Prediction(
        "Images made for FC100-100-10@P1, shown to FC100-100-10@P2, which has seen other training "
        "images and gets 2 % of the clean ones wrong: which share does it get wrong?",
        unit="%",
        digits=3,
    ),
    "target-hits": Prediction(
        "Of the images that fool another network, over all pairs: on which share does it say the "
        "very class that the images were made for? (One of nine wrong classes: 11 % by chance.)",
        unit="%",
        digits=2,
    ),
    "cosine-of-halves": Prediction(
        "The input gradients of FC100-100-10@P1 and FC100-100-10@P2 at the same image: what is "
        "their mean cosine? (Two random directions: 0, give or take 0.036.)",
        digits=2,
    ),
}

QUIZZES = {
    "read-a-cell": Quiz(
        "The paper's Table 2 says 22.7 % for images made for FC10(1e-4) and read by FC10(1), and "
        "21.2 % is FC10(1)'s error on clean training images (Table 1). How many of the images that "
        "FC10(1) reads correctly did the change fool it on?",
        [
            Option(
                "22.7 %",
                False,
                "Nearly all of these were misread before anybody changed a pixel.",
            ),
            Option(
                "22.7 - 21.2 = 1.5 %",
                False,
                "That is the *net* change of the error over all images. Images that were wrong and "
                "became right hide as many that were right and became wrong; and the denominator "
                "is the images that were right.",
            ),
            Option(
                "At least about 2 %; how many exactly, the two numbers do not say",
                True,
                "(22.7 - 21.2) / (100 - 21.2), if no image became right; more, if some did. Which "
                "is why a table needs its clean row, or better, the images that were right.",
            ),
        ],
    ),
    "amplified-nearest": Quiz(
        "An example for the nearest class fools other networks less often than one for a random "
        "class. Now stretch each one for the nearest class until it is as large as the image's "
        "one for a random class. Which of the two fools other networks more often?",
        [
            Option(
                "The random class still: it was the better direction",
                False,
                "Look at what the cell below measures. The example for the random class is large "
                "because the way to that class is long, and that is a long way for other networks, "
                "too.",
            ),
            Option(
                "The two are equal: at one size, size no longer decides",
                False,
                "At one size it is the direction that decides, and how far the class lies on the "
                "other side. A near class for one network is mostly a near one for another.",
            ),
            Option(
                "The nearest class",
                True,
                "Both networks tend to have the same class nearby, and a change that was stretched "
                "to twice what it takes has that much to spare when the other network's boundary "
                "lies a little farther or is turned a little.",
            ),
        ],
    ),
    "random-cosine": Quiz(
        "Two independent random directions in 784 dimensions: how large is their cosine, "
        "typically?",
        [
            Option(
                "About 0, give or take 1/784",
                False,
                "The cosine is a sum of 784 products of size 1/784 each with random signs: such a "
                "sum grows like the root of their number.",
            ),
            Option(
                "About 0, give or take 1/28",
                True,
                "784 products of random sign, each of size about 1/784: the root of 784, times "
                "1/784. So a mean cosine of 0.4 is more than ten times what chance gives one pair.",
            ),
            Option(
                "About 0.5: it may be anything from -1 to 1",
                False,
                "In two dimensions it is spread like that. In 784 nearly all directions are nearly "
                "at right angles to any given one.",
            ),
        ],
    ),
}

ANSWERS = {
    "halves-reading": ShortAnswer(
        "Two networks are alike for many reasons: the task, the training images, the architecture, "
        "the first weights. From Table 4 and the experiment with small networks: which of the last "
        "three matters most for transfer, and which number says so?",
        rubric=[
            "The training images: with none in common the share that is fooled falls to a third "
            "or less of what it is with the same images.",
            "The architecture matters less: on the same half, FC123-456-10 is fooled several times "
            "as often as FC100-100-10 on the other half.",
            "The first weights hardly matter: pairs that share them are within the spread of those "
            "that do not (the cosines show a small effect).",
            "It gives n, or the number of pairs, or says that the networks are the replicates.",
            "It sees what is left: with no image in common they still fool each other beyond "
            "noise of the same size, and the task is common to all.",
        ],
    ),
    "why-transfer": ShortAnswer(
        "Why do they transfer? Explain in three sentences the corner of Table 2 from which this "
        "lesson started, where FC10(1e-2)'s images fool FC10(1e-4) and not the other way round.",
        rubric=[
            "Direction: the changes of the two networks have a cosine far above what chance gives, "
            "and it is the same number both ways.",
            "Size: a change fools the other network if its component along that network's own "
            "change is as long as that one.",
            "So from far to near it works (long change, near boundary), and from near to far it "
            "does not.",
            "It does not claim more than was measured: these are networks for one task, trained "
            "on the same images.",
        ],
    ),
}
