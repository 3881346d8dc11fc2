"""Numbers as their logarithms: the bound of a deep network can leave the range of a float."""

import math

LOG_ROUNDING = 1e-12  # of a sum of logarithms


def exp(value: float) -> float:
    """e to the ``value``; inf where that leaves the range of a float."""
    return math.exp(value) if value < 709.0 else math.inf


def log(value: float) -> float:
    """The natural logarithm, -inf for 0."""
    return math.log(value) if value > 0 else -math.inf


def rounded_up(value: float) -> float:
    """A logarithm of an upper bound, with what adding logarithms may have lost."""
    return value + LOG_ROUNDING * (1 + abs(value)) if value > -math.inf else value


def log_sum(values: list[float]) -> float:
    """log Σ exp(values), without overflow."""
    top = max(values)
    if top == -math.inf:
        return top
    return top + math.log(math.fsum(math.exp(v - top) for v in values))


def power(value: float) -> str:
    """e to the ``value`` in words, whatever its size: 32.5, or 1.0e+41."""
    if abs(value) < 20 or not math.isfinite(value):
        return f"{exp(value):.4g}"
    digits, exponent = math.modf(value / math.log(10))
    if digits < 0:
        digits, exponent = digits + 1, exponent - 1
    return f"{10**digits:.3f}e{int(exponent):+d}"
