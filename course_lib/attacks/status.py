"""Why the search for an image's adversarial example ended."""

from ..lbfgsb.status import CodedReason


class Status(CodedReason):
    """A number for :attr:`.Adversarial.status`, with a ``message``."""

    # the first-order conditions hold at the point that is returned (see :mod:`.conditions`): a
    # nearest point, at least locally, and the nearest of all for a linear network
    SETTLED = 0, "settled"
    # the search for c closed on its boundary
    CLOSED = 1, "closed"
    # the best point of a fixed number of steps, on a network with kinks
    AVERAGED = 2, "averaged"
    # a success that is not shown to be a nearest point: a budget, or rounding to eight bits, ended
    # the search
    ENDED = 3, "ended"
    # the clean image has the target already: no change
    ALREADY_THERE = 4, "already there"
    # no c reached the target; the image is returned as it was, and is no success
    FAILED = 5, "failed"
    INTERRUPTED = 6, "interrupted"
    # the rounding of the logits forces a lead that is no longer small beside what the clean image
    # falls short by, or takes more than that share of the distance (as where the scales of the
    # classes differ): a success has been taken too far, and a failure says nothing
    COARSE = 7, "limited by rounding: it forces a lead of over 0.1 % of the clean image's gap"
    # the network's gradient is 0 at the clean image (it rounds, or is saturated, or dead): a
    # success was found along lines, and its distance is an upper bound; a failure says nothing
    NO_GRADIENT = 8, "no gradient to follow"
    # the gradients that were allowed have been taken: the best success within them, or none
    BUDGET = 9, "out of budget"
