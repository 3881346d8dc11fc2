"""What several exercises of lesson 03 share."""

import torch

from course_lib.exercises import as_tensor


def pairs(rng):
    """Images and changed ones, labels for the cases: one pixel, all pixels, none."""

    def pair(*shape, dtype=torch.float32):
        images = torch.rand(*shape, generator=rng, dtype=dtype)
        return images + 0.3 * torch.rand(*shape, generator=rng, dtype=dtype) - 0.1, images

    yield "one image of four pixels", *pair(1, 1, 2, 2)
    changed, images = pair(3, 1, 4, 5)
    changed[1] = images[1]
    changed[2] = images[2]
    changed[2, 0, 1, 3] += 0.5
    yield "three images: one unchanged, one changed in one pixel", changed, images
    yield "two colour images", *pair(2, 3, 4, 4)
    yield "five flat images", *pair(5, 7)
    yield "two images in double precision", *pair(2, 1, 3, 3, dtype=torch.float64)


def exactly(answer):
    """``answer`` with what it returns in float64, for probes that look at the last digits."""
    return lambda *args: as_tensor(answer(*args), torch.float64)


def is_on_the_way(point, x, w) -> bool:
    """Whether ``point`` is P(x + mu w) for some mu >= 0: the pixels inside the box tell which."""
    inside = (point > 1e-4) & (point < 1 - 1e-4) & (w.abs() > 1e-2)
    if not inside.any():
        return False
    mu = ((point - x) / w)[inside].median()
    return bool(mu >= 0) and torch.allclose(point, (x + mu * w).clamp(0, 1), atol=1e-5)
