"""References of lesson 08_training_against_it, taken out of its solutions by course build.

Never edited: the source is solutions/08_training_against_it.py.
"""

# ruff: noqa
# fmt: off

import scipy.stats
import torch
import torch.nn.functional as F

ORDER = [
    "renew-pool",
    "mixed-batch",
    "layer-step",
    "loss-in-turn",
    "fair-errors",
    "paired-interval",
]


def renew_pool(pool, labels, new, new_labels, order):
    """The pool after a part of it was replaced, and its labels.

    pool: (N, *shape); labels: (N,); new: (n, *shape), n <= N, and
    new_labels: (n,) take the places of old ones; order: a random
    permutation of the N slots: new[k] goes to the slot order[k].
    Returns (N, *shape), (N,); what was given stays as it is.
    """
    slots = order[: len(new)]
    pool, labels = pool.clone(), labels.clone()
    pool[slots] = new
    labels[slots] = new_labels
    return pool, labels


def mixed_batch(images, labels, pool, pool_labels, order):
    """Rows and labels of a batch of images and examples, shuffled.

    images: (n, *shape); labels: (n,); pool: (m, *shape), of it
    pool_labels: (m,); order: a permutation of the n + m rows, images
    first. Returns (n + m, *shape), (n + m,): place k has row order[k].
    """
    rows = torch.cat([images, pool])
    classes = torch.cat([labels, pool_labels])
    return rows[order], classes[order]


def layer_step(above, values, labels, length, ceiling):
    """One step of L2 length ``length`` up the loss, within the range.

    above: what stands above, (N, width) -> logits (N, classes); values:
    (N, width), what a layer puts out, in [0, ceiling]; labels: (N,).
    Every row goes along its own gradient of the cross-entropy, and is
    then clipped to [0, ceiling]; without a gradient it stays where it
    is. Returns (N, width), without a history.
    """
    h = values.detach().requires_grad_()
    loss = F.cross_entropy(above(h), labels, reduction="sum")
    gradient = torch.autograd.grad(loss, h)[0]
    step = length * F.normalize(gradient, dim=1)
    return (values + step).clamp(0, ceiling)


def loss_in_turn(net, place, images, labels, examples, example_labels, share):
    """The loss of the step that trains the layers net[place:] alone.

    net: an nn.Sequential; place: how many layers lie below; images:
    (N, *shape), labels: (N,); examples: (M, width), what goes into
    net[place], with example_labels: (M,). Returns a scalar:
    (1 - share) times the mean cross-entropy of the images + share times
    that of the examples. No gradient reaches the layers below.
    """
    below, above = net[:place], net[place:]
    with torch.no_grad():
        values = below(images)
    clean = F.cross_entropy(above(values), labels)
    fooled = F.cross_entropy(above(examples), example_labels)
    return (1 - share) * clean + share * fooled


def fair_errors(validation, test):
    """The test error of each method, of the setting that was chosen.

    validation: (methods, settings) errors, NaN where a training came to
    nothing (never all of a method's); test: (methods, settings, seeds).
    For each method the setting with the smallest validation error, the
    first of equals; of it the mean over the seeds. Returns (methods,).
    """
    tried = torch.nan_to_num(validation, nan=float("inf"))
    chosen = tried.argmin(1)
    return test[range(len(test)), chosen].mean(1)


def paired_interval(first, second):
    """Mean and half-width of Student's 95 % interval of first - second.

    first, second: (n,), n >= 2, a figure of each of n seeds, in the same
    order. Returns two numbers.
    """
    differences = torch.as_tensor(first) - torch.as_tensor(second)
    n = len(differences)
    t = scipy.stats.t.ppf(0.975, n - 1)
    return differences.mean(), t * differences.std() / n**0.5


# what the lesson shows in its bug hunts
BUGGY = {
    "mixed-batch": (
        "def mixed_batch(images, labels, pool, pool_labels, order):\n"
        "    \"\"\"Rows and labels of a batch of images and examples, shuffled.\n"
        "\n"
        "    images: (n, *shape); labels: (n,); pool: (m, *shape), of it\n"
        "    pool_labels: (m,); order: a permutation of the n + m rows, images\n"
        "    first. Returns (n + m, *shape), (n + m,): place k has row order[k].\n"
        "    \"\"\"\n"
        "    rows = torch.cat([images, pool])\n"
        "    classes = torch.cat([labels[order[order < len(labels)]], pool_labels])\n"
        "    return rows[order], classes"
    ),
}
