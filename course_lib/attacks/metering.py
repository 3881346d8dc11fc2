"""Gradients counted, and the best point that so many of them gave.

How large a budget is changes nothing in what the solvers do: it says how far they get. What a
larger one gives is therefore never farther. A step that would take more gradients than are left
is not begun, and the image is done. The solvers move their points to the boundary at the end of a
stage; whoever looks earlier wants that, too, and gets it at :data:`LOOKS`, whatever the budget.
"""

import torch

# The numbers of gradients after which an image's best point is moved to the boundary.
LOOKS = tuple(int(n * 10**k) for k in range(6) for n in (1, 2, 3, 5, 7))


class Meter:
    """For each of N images: the gradients it took, its best success within the budget.

    x: (N, D) the images; budget: gradients an image; labels: (N,), if any other class will do.
    spent: (N,) gradients; z (N, D) and square (N,): the best point and its |z - x|², infinite for
    none; done: (N,) bool, whether a step was not begun; flat: (N,) bool, whether no gradient was
    other than 0. Several problems may belong to one image, each with a target of its own.
    """

    def __init__(self, x: torch.Tensor, budget: int, labels: torch.Tensor | None = None):
        self.budget, self.labels = budget, labels
        self.spent = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        self.done = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        self.flat = ~self.done
        self.z, self.square = x.clone(), x.new_full((len(x),), torch.inf)

    def exhausted(self, images: torch.Tensor) -> torch.Tensor:
        """(n,) bool: which of ``images`` (n,) get no more gradients."""
        return (self.done | (self.spent >= self.budget))[images]

    def affords(self, images: torch.Tensor, gradients: int) -> torch.Tensor:
        """(n,) bool: which of ``images`` (n,) get as many ``gradients`` for each time that they
        are named. An image that does not get all of them gets none from now on."""
        asked = torch.zeros_like(self.spent)
        asked.index_add_(0, images, torch.full_like(images, gradients))
        self.done |= (asked > 0) & (self.spent + asked > self.budget)
        return ~self.done[images]

    @torch.no_grad()
    def count(self, problem, images, z, lead, gradients: int, slope, to_boundary) -> None:
        """``gradients``, which they could afford, were taken at each of the points ``z`` (n, D),
        whose lead (n,) is known.

        problem: theirs; images: (n,) to which they belong; slope: (n, D) one of the gradients of
        each, if there are any; to_boundary: that of :mod:`.problem`.
        """
        if not gradients:
            self._note(problem, images, z, ~self.exhausted(images) & (lead >= 0))
            return
        self.flat[images[(slope != 0).any(1)]] = False
        before = self.spent.clone()
        self.spent.index_add_(0, images, torch.full_like(images, gradients))
        self._note(problem, images, z, lead >= 0)
        first = torch.full_like(self.spent, len(images))
        first.scatter_reduce_(0, images, torch.arange(len(images)).to(images), "amin")
        for look in LOOKS:
            at = first[(before < look) & (self.spent >= look)]
            if len(at):
                some, which = problem.take(at), images[at]
                if self.labels is not None:
                    some.targets, some.away = self.labels[which], True
                ends = torch.where(self.square[which].isfinite()[:, None], self.z[which], z[at])
                point, success = to_boundary(some, ends)
                self._note(some, which, point, success)

    def _note(self, problem, images, z, success) -> None:
        square = torch.where(success, (z - problem.x).square().sum(1), torch.inf)
        best = self.square.scatter_reduce(0, images, square, "amin")
        better = ((square == best[images]) & (square < self.square[images])).nonzero()[:, 0]
        self.z[images[better]], self.square = z[better], best
