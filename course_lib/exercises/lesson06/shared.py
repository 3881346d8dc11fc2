"""What several exercises of lesson 06 share."""

import math

import numpy as np
import torch


def doubles(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def drawn(rng, *shape):
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def stripes(n):
    """A kernel (1, 1, n, n): the slanting wave of the frequencies (1, -1) and (-1, 1)."""
    place = torch.arange(n, dtype=torch.float64) * 2 * math.pi / n
    return (place[:, None] - place).cos()[None, None]


def circular_matrix(weight, n, stride=1):
    """The layer's matrix, one unit image after the other, by sums written out in NumPy."""
    w = weight.numpy()
    outputs, inputs, height, width = w.shape
    columns = []
    for c in range(inputs):
        for a in range(n):
            for b in range(n):
                y = np.zeros((outputs, n, n))
                for i in range(height):
                    for j in range(width):
                        y[:, (a - i) % n, (b - j) % n] += w[:, c, i, j]
                columns.append(y[:, ::stride, ::stride].ravel())
    return np.array(columns).T
