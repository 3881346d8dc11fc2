"""Why a minimisation stopped: numbers that a tensor can hold, each with its words."""

import enum

import torch


class CodedReason(enum.IntEnum):
    """A number with a ``message``: a member is written as ``NAME = number, "message"``."""

    message: str

    def __new__(cls, code: int, message: str):
        member = int.__new__(cls, code)
        member._value_ = code
        member.message = message
        return member

    @classmethod
    def messages(cls, codes: torch.Tensor) -> list[str]:
        """The message of each of ``codes`` (N,) int64; ValueError for a number of no member."""
        return [cls(code).message for code in codes.tolist()]


class Status(CodedReason):
    """Why :func:`course_lib.lbfgsb.minimize` stopped with a problem."""

    # the projected gradient is within the tolerance
    CONVERGED = 0, "converged"
    # two steps in a row lowered the function by less than ``decrease`` of its value
    FLAT = 1, "flat"
    # no sufficient decrease in 20 trials: the limit of the precision, or a kink
    STUCK = 2, "stuck"
    EXHAUSTED = 3, "out of evaluations"
    # the function is NaN or infinite at the start
    NOT_FINITE = 4, "not finite"
    INTERRUPTED = 5, "interrupted"
