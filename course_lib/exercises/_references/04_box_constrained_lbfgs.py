"""References of lesson 04_box_constrained_lbfgs, taken out of its solutions by course build.

Never edited: the source is solutions/04_box_constrained_lbfgs.py.
"""

# ruff: noqa
# fmt: off

from course_lib.lbfgsb.plain import minimize
from course_lib.lbfgsb.plain import with_gradient
import torch
import torch.nn.functional as F

# the solutions that are the library's
from course_lib.lbfgsb.plain import projected_gradient
from course_lib.lbfgsb.plain import two_loop
from course_lib.lbfgsb.plain import projected_search

ORDER = [
    "projected-step",
    "projected-gradient",
    "two-loop",
    "projected-search",
    "solve-for-c",
    "search-for-c",
    "error-under-noise",
]


def projected_step(image, r, gradient, length):
    """The perturbation after the step -length · gradient, with all pixels
    of image + perturbation in [0, 1].

    image, r, gradient: float64 tensors of one shape; gradient: of the
    objective with respect to the pixels, at image + r; length: a number.
    Returns the new r.
    """
    stepped = image + r - length * gradient
    return stepped.clamp(0, 1) - image


def solve_for_c(net, image, target, c):
    """Minimise c |r|² + cross-entropy over r, with image + r in [0, 1],
    starting at r = 0.

    net: (1, *shape) float64 to logits (1, classes); image: (*shape)
    float64; target: an int; c: a float. |r|² is the sum of squares.
    Returns r (*shape), and whether ``net`` says the target for image + r.
    """
    start = image.flatten()
    label = torch.tensor([target])

    def objective(z):
        logits = net(z.reshape(1, *image.shape))
        size = (z - start).square().sum()
        return c * size + F.cross_entropy(logits, label)

    found = minimize(
        with_gradient(objective),
        start,
        0.0,
        1.0,
        tolerance=1e-4,
        two_loop=two_loop,
        search=projected_search,
    )
    r = (found.x - start).reshape(image.shape)
    return r, int(net((image + r)[None]).argmax()) == target


def search_for_c(solve, smallest=1e-4, largest=1e2, tries=12):
    """Halve the bracket of c (in logarithms) ``tries`` times, for the
    smallest perturbation that succeeds.

    solve(c): returns (r, success), a tensor and a bool or what counts as
    one. Returns (c, r) of the successful try with the smallest |r|, the L2
    norm, or (None, None) if none was successful.
    """
    low, high = smallest, largest
    best = None, None
    for _ in range(tries):
        c = (low * high) ** 0.5
        r, success = solve(c)
        if success:
            low = c
            if best[1] is None or r.norm() < best[1].norm():
                best = c, r
        else:
            high = c
    return best


def error_under_noise(distortion, stddev, pixels=784):
    """The share of images that Gaussian noise carries over a boundary, if
    each has one flat boundary at its distance.

    distortion: (N,) rms of the smallest change that reaches the boundary,
    negative on the wrong side; stddev: of the noise in every pixel, > 0.
    Returns a scalar, the expected error rate.
    """
    distance = distortion * pixels**0.5
    return torch.special.ndtr(-distance / stddev).mean()


# what the lesson shows in its bug hunts
BUGGY = {
    "search-for-c": (
        "def search_for_c(solve, smallest=1e-4, largest=1e2, tries=12):\n"
        "    \"\"\"Halve the bracket of c (in logarithms) ``tries`` times, for the\n"
        "    smallest perturbation that succeeds.\n"
        "\n"
        "    solve(c): returns (r, success), a tensor and a bool or what counts as\n"
        "    one. Returns (c, r) of the successful try with the smallest |r|, the L2\n"
        "    norm, or (None, None) if none was successful.\n"
        "    \"\"\"\n"
        "    low, high = smallest, largest\n"
        "    for _ in range(tries):\n"
        "        c = (low * high) ** 0.5\n"
        "        r, success = solve(c)\n"
        "        if success:\n"
        "            high = c  # the minimum c for which the target is reached\n"
        "        else:\n"
        "            low = c\n"
        "    return c, r"
    ),
}
