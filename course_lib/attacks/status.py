"""Why the search for an image's adversarial example ended."""

from ..lbfgsb.status import CodedReason


class Status(CodedReason):
    """A number for :attr:`.Adversarial.status`, with a ``message``."""

    # the first-order conditions hold: a nearest point, at least locally
    SETTLED = 0, "settled"
    # the search for c closed on its boundary
    CLOSED = 1, "closed"
    # the best point of a fixed number of steps, on a network with kinks
    AVERAGED = 2, "averaged"
    # a success, but a budget ended before the search for c or a nearest point did
    ENDED = 3, "ended"
    # the clean image has the target already: no change
    ALREADY_THERE = 4, "already there"
    # no c reached the target; the image is returned as it was, and is no success
    FAILED = 5, "failed"
    INTERRUPTED = 6, "interrupted"
