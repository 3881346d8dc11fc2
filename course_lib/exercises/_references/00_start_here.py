"""References of lesson 00_start_here, taken out of its solutions by course build.

Never edited: the source is solutions/00_start_here.py.
"""

# ruff: noqa
# fmt: off

ORDER = [
    "pixel-rms",
]


def pixel_rms(perturbation):
    """The root mean square of each image's change.

    perturbation: (N, 1, 28, 28), the changed image minus the image.
    Returns (N,), one distortion per image.
    """
    return perturbation.square().mean(dim=(1, 2, 3)).sqrt()
