"""The figure of lesson 01: what weight decay does to FC10."""

import matplotlib.pyplot as plt
import numpy as np


def decay(strengths, fit_errors, other_errors, strength, weight):
    """Draw both errors over log10 λ, and the ten filters at one λ; return the figure.

    strengths: S values of λ; fit_errors, other_errors: (S,), shares, on the fitted images and on
    others; strength: the λ that is marked; weight: (10, 784), the filters that belong to it.
    """
    figure = plt.figure(figsize=(8, 2.6), layout="none")  # quick to draw, for a slider
    left = figure.add_axes((0.08, 0.2, 0.4, 0.7))
    right = figure.add_axes((0.52, 0.1, 0.46, 0.8))
    x = np.log10(strengths)
    left.plot(x, 100 * np.asarray(fit_errors), "o-", label="fitted images")
    left.plot(x, 100 * np.asarray(other_errors), "s-", label="others")
    left.axvline(np.log10(strength), color="0.7", zorder=0)
    left.set(xlabel="log10 of λ", ylabel="error (%)", ylim=(0, 30))
    left.legend(loc="upper left")
    tiles = weight.reshape(2, 5, 28, 28).permute(0, 2, 1, 3)
    largest = float(weight.abs().max())
    right.imshow(tiles.reshape(56, 140), cmap="RdBu_r", vmin=-largest, vmax=largest)
    right.axis("off")
    right.set_title(f"filters 0-4, 5-9 (± {largest:.2g})")
    return figure
