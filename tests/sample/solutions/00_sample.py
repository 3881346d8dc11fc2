# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown] id="intro"
# # 0. A sample of a lesson
#
# It belongs to the tests: every kind of cell that a source can have, and nothing slow. The
# second exercise is {{exercise:file-sum}}; the record says {{=records["sample"]["error"]|.2%}}.

# %% id="imports"
import hashlib
import os
from pathlib import Path

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
from sample_checks import check

# %% id="images"
rng = np.random.default_rng(0)
images = rng.random((8, 5, 5))

# %% [markdown] id="centre-columns-task" task="centre-columns"
# Write `centre_columns`: subtract from each column of a table its mean,
#
# $$x_{ij} - \frac{1}{n} \sum_k x_{kj}$$


# %% id="centre-columns" exercise="centre-columns"
def centre_columns(table):
    """The table (n, k) with columns of mean zero."""
    ### BEGIN SOLUTION
    means = np.asarray(table).mean(axis=0, keepdims=True)
    return table - means
    ### END SOLUTION


# %% id="centre-columns-check" check="centre-columns"
centre_columns = check("centre-columns", centre_columns)

# %% id="columns" tags=["result"]
centred = centre_columns(images[0])
print(f"largest column mean {abs(centred.mean(axis=0)).max():.3f}")
assert abs(centred.mean(axis=0)).max() < 1e-12

# %% [markdown] id="file-sum-task" task="file-sum"
# Write `sha256`, the sum that tells a damaged file from a whole one.

# %% id="file-sum" exercise="file-sum"
### SOLUTION FROM course_lib.storage.sha256

# %% id="file-sum-check" check="file-sum"
sha256 = check("file-sum", sha256)

# %% [markdown] id="mean-image-task" task="mean-image"
# This `mean_image` has a bug. Find it.


# %% id="mean-image" exercise="mean-image"
def mean_image(images):
    """The mean (h, w) of images (n, h, w)."""
    ### BEGIN SOLUTION
    total = images.sum(axis=0)
    return total / len(images)
    ### END SOLUTION
    ### BEGIN BUG
    #| total = images.sum()
    #|
    #| return total / len(images)
    ### END BUG


# %% id="mean-image-check" check="mean-image"
mean_image = check("mean-image", mean_image)

# %% id="guess"
### BEGIN SOLUTION
guess = (0.4, 0.6)
### END SOLUTION
### BEGIN STUB
#| guess = None  # a number, or (low, high)
### END STUB


# %% id="slider"
#| alt: One of the small images, chosen by the slider,
#| as squares of {{=len("grey")}} greys.
def show(k):
    plt.figure(figsize=(2, 2), dpi=60)
    plt.imshow(images[int(k)])
    plt.show()


if "COURSE_STATIC" in os.environ:
    show(0)
else:
    slider = ipywidgets.FloatSlider(0, min=0, max=7, step=1)
    ipywidgets.interact(show, k=slider)

# %% id="mean-of-means" tags=["result"]
mean = mean_image(images)
print("mean of the mean image", round(float(mean.mean()), 4))
mean.shape

# %% [markdown] id="for-teachers" tags=["solution-only"]
# Whoever sums over all axes gets one number instead of an image.

# %% id="extra" tags=["solution-only"]
print("only in the solved notebook", sha256(Path(hashlib.__file__))[:0])
