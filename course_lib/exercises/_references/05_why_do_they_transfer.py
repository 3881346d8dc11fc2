"""References of lesson 05_why_do_they_transfer, taken out of its solutions by course build.

Never edited: the source is solutions/05_why_do_they_transfer.py.
"""

# ruff: noqa
# fmt: off

import torch
import torch.nn.functional as F

ORDER = [
    "transfer-cell",
    "strict-row",
    "two-halves",
    "amplify-in-box",
    "equal-size",
    "paired-bootstrap",
    "bootstrap-means",
    "gradient-cosine",
    "reaches",
]


def transfer_cell(clean, adversarial, labels):
    """What a change of the images does to a network.

    clean, adversarial: (N,) int64, the classes that the network gives the
    images before and after the change; labels: (N,), the true ones.
    Returns three shares, from 0 to 1: wrong after, of all; wrong before,
    of all; and, of the images that were right before, those wrong after.
    """
    wrong = adversarial != labels
    right = clean == labels
    fooled = wrong[right].double().mean()
    return wrong.double().mean(), (~right).double().mean(), fooled


def strict_row(clean, adversarial, labels, success, source):
    """One source's row of a transfer table, on the same images throughout.

    clean, adversarial: (M, N) int64, what M networks say to the N images
    before and after the change; labels: (N,); success: (N,) bool, whether
    the attack on the network ``source`` (a row number) reached its goal.
    Only images with success that all M networks had right count.
    Returns the shares that are wrong after (M,), how many images count,
    and the mean share over the networks other than the source.
    """
    use = success & (clean == labels).all(dim=0)
    shares = (adversarial[:, use] != labels[use]).double().mean(dim=1)
    others = torch.arange(len(clean), device=shares.device) != source
    return shares, int(use.sum()), shares[others].mean()


def two_halves(labels, seed, build):
    """Two disjoint random halves of the images, and a network for each.

    labels: (N,) of the images; seed: of the split; build(seed): a network
    with the first weights of that seed. Returns (rows, network) twice:
    rows are the numbers of the images, random ones, the same for the same
    seed. Both networks are from ``build``, and they start differently.
    """
    half = len(labels) // 2
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)
    first, second = order[:half], order[half:]
    return (first, build(2 * seed)), (second, build(2 * seed + 1))


def amplify_in_box(changed, images, stddev):
    """Images changed along the way to ``changed``, within [0, 1], such that
    the rms of each one's change, as returned, is ``stddev``.

    changed, images: (N, *shape), each image changed somewhere, the images
    in [0, 1], ``changed`` not always; stddev: a number that can be reached
    by a larger or smaller change. Returns (N, *shape).
    """
    change = changed - images

    def at(k):
        factor = k.reshape(-1, *[1] * (images.ndim - 1))
        return (images + factor * change).clamp(0, 1)

    def too_small(k):
        rms = (at(k) - images).flatten(1).square().mean(dim=1).sqrt()
        return rms < stddev

    low = torch.zeros(len(images)).to(images)
    high = torch.ones_like(low)
    while too_small(high).any():
        high = torch.where(too_small(high), 2 * high, high)
    for _ in range(40):
        middle = (low + high) / 2
        small = too_small(middle)
        low = torch.where(small, middle, low)
        high = torch.where(small, high, middle)
    return at(high)


def equal_size(images, adversarial, direction):
    """images, moved along ``direction``, each by the rms of its own change.

    images, adversarial, direction: (N, *shape). Returns (N, *shape), not
    clipped; the rms of result - images is that of adversarial - images.
    """
    axes = [1] * (images.ndim - 1)
    size = (adversarial - images).flatten(1).norm(dim=1)
    factor = size / direction.flatten(1).norm(dim=1)
    return images + factor.reshape(-1, *axes) * direction


def paired_bootstrap(a, b, draws):
    """The difference of two cells on the same images, with an interval.

    a, b: (N,) bool, whether each image fools the one and the other
    network; draws: (B, N) int64, the images of each of B draws.
    Returns the share of a minus the share of b, and the 2.5 % and the
    97.5 % point of the same over the draws, by any usual quantile.
    """
    difference = a.double() - b.double()
    means = difference[draws].mean(dim=1)
    ends = torch.tensor([0.025, 0.975]).to(means)
    low, high = torch.quantile(means, ends)
    return difference.mean(), low, high


def bootstrap_means(fooled, networks, images):
    """The mean of a table, with its rows and its columns drawn again.

    fooled: (K, N) bool, K pairs of networks, N images, the same for all
    pairs; networks: (B, K) int64, the pairs of each of B draws; images:
    (B, N) int64, the images of each draw. Returns the B means, (B,).
    """
    drawn = fooled.double()[networks[:, :, None], images[:, None, :]]
    return drawn.mean(dim=(1, 2))


def gradient_cosine(net_a, net_b, images, targets):
    """The cosine of two networks' input gradients, at each image.

    net_a, net_b: (N, *shape) to logits (N, classes); images: (N, *shape);
    targets: (N,) int64. The gradients are those of each image's own
    cross-entropy for its target. Returns (N,), signed.
    """
    gradients = []
    for net in (net_a, net_b):
        x = images.detach().clone().requires_grad_()
        loss = F.cross_entropy(net(x), targets, reduction="sum")
        gradients.append(torch.autograd.grad(loss, x)[0].flatten(1))
    return F.cosine_similarity(*gradients, dim=1)


def reaches(r, theirs):
    """Whether the component of r along ``theirs`` is at least as long as it.

    r, theirs: (N, *shape), the changes of N images that were made for the
    one and for the other network. Returns (N,) bool.
    """
    along = (r * theirs).flatten(1).sum(dim=1)
    return along >= theirs.flatten(1).square().sum(dim=1)


# what the lesson shows in its bug hunts
BUGGY = {
    "two-halves": (
        "def two_halves(labels, seed, build):\n"
        "    \"\"\"Two disjoint random halves of the images, and a network for each.\n"
        "\n"
        "    labels: (N,) of the images; seed: of the split; build(seed): a network\n"
        "    with the first weights of that seed. Returns (rows, network) twice:\n"
        "    rows are the numbers of the images, random ones, the same for the same\n"
        "    seed. Both networks are from ``build``, and they start differently.\n"
        "    \"\"\"\n"
        "    half = len(labels) // 2\n"
        "    generator = torch.Generator().manual_seed(seed)\n"
        "    first = torch.randperm(len(labels), generator=generator)[:half]\n"
        "    second = torch.randperm(len(labels), generator=generator)[half:]\n"
        "    return (first, build(seed)), (second, build(seed))"
    ),
}
