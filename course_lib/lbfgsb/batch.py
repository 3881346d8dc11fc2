"""What the batched engine keeps of every unfinished problem, and the two-loop recursion on it.

The names are those of Nocedal & Wright, *Numerical Optimization* (2006):

``pairs_s``, ``pairs_y``      s and y, a step and its change of the gradient   (7.18)
``initial_scaling``           γ, the scale of the first inverse Hessian        (7.20)
``step_length``               α, of the line search                            (3.1)
``line_search_trials``        step lengths refused in this line search         algorithm 3.1
``projected_gradient_norm``   |P(x - gradient / curvature) - x|                section 17.4
``evaluations_of_solve``      function evaluations since the last restart
``flat_steps``                steps in a row that lowered the function hardly
"""

import torch

# A pair counts if its curvature sᵀy / sᵀs is above this: the recursion divides by sᵀy.
CURVATURE = 1e-8


def dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """(N,) the inner product of each row of ``a`` with that of ``b``."""
    return torch.linalg.vecdot(a, b)


class Batch:
    """The unfinished problems. Every tensor has one row per problem but the memory, where the row
    is the second axis: slot, problem, variable."""

    def __init__(self, x, centre, weight, memory):
        n = len(x)
        new = x.new_zeros
        self.rows = torch.arange(n, device=x.device)
        self.x, self.centre, self.weight = x, centre, weight
        self.value, self.h = x.new_full((n,), torch.nan), new(n)
        self.h_gradient = torch.zeros_like(x)
        self.gradient = torch.zeros_like(x)  # of the whole objective
        self.aux = None
        self.pairs_s = torch.zeros(memory, *x.shape, dtype=x.dtype, device=x.device)
        self.pairs_y = torch.zeros_like(self.pairs_s)
        self.pairs_ss = new(memory, n)  # sᵀs of each
        self.newest_slot, self.filled = -1, 0
        self.initial_scaling = new(n)  # of the newest pair that shows any curvature
        self.step_length = x.new_ones(n)
        self.projected_gradient_norm = new(n)
        (
            self.line_search_trials,
            self.flat_steps,
            self.iterations,
            self.evaluations,
            self.evaluations_of_solve,
        ) = (torch.zeros(n, dtype=torch.int64, device=x.device) for _ in range(5))
        self.finished = torch.zeros(n, dtype=torch.bool, device=x.device)

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all problems but ``rows``."""
        kept = {}
        for name, field in vars(self).items():
            if isinstance(field, torch.Tensor):
                axis = 1 if name.startswith("pairs_") else 0
                kept[name] = field.index_select(axis, rows)
        vars(self).update(kept)  # in one go: Ctrl-C finds all of them or none

    def curvature(self) -> torch.Tensor:
        """(n,) the known curvature 2w, or 1 where there is no quadratic: the unit of a step."""
        return torch.where(self.weight > 0, 2 * self.weight, 1.0)

    def refresh(self) -> None:
        """Value and gradient of the whole objective from those of h, for today's weight."""
        away = self.x - self.centre
        self.value = self.h + self.weight * dot(away, away)
        self.gradient = torch.addcmul(self.h_gradient, 2 * self.weight[:, None], away)

    def reweigh(self, rows: torch.Tensor, weight: torch.Tensor) -> None:
        """Give the problems ``rows`` another weight; their memory and point stay."""
        change = 2 * (weight - self.weight[rows])
        kept = self.pairs_y[: self.filled]
        s, y = (pairs.index_select(1, rows) for pairs in (self.pairs_s[: self.filled], kept))
        kept.index_copy_(1, rows, y.addcmul_(s, change[:, None]))
        self.weight = self.weight.index_put((rows,), weight)
        self.initial_scaling[rows] = 1 / self.curvature()[rows]
        for counter in (self.line_search_trials, self.flat_steps, self.evaluations_of_solve):
            counter[rows] = 0
        self.step_length[rows] = 1.0
        self.refresh()

    def remember(self, s: torch.Tensor, h_gradient: torch.Tensor, usable: torch.Tensor) -> None:
        """Keep the pair (s, y). A rejected trial tells as much of the curvature as another.

        h_gradient: (n, D) at x + s; usable: (n,) bool, whether it is finite there.
        """
        y = torch.addcmul(h_gradient - self.h_gradient, s, 2 * self.weight[:, None])
        sy, yy, ss = dot(s, y), dot(y, y), dot(s, s)
        good = usable & (sy > CURVATURE * ss) & (yy > 0)
        self.initial_scaling = torch.where(good, sy / yy.clamp_min(1e-30), self.initial_scaling)
        self.newest_slot = (self.newest_slot + 1) % len(self.pairs_s)
        self.filled = max(self.filled, self.newest_slot + 1)
        slot = self.newest_slot
        self.pairs_s[slot], self.pairs_y[slot], self.pairs_ss[slot] = s, y, ss

    def accept(self, accepted, x, h, h_gradient, aux) -> None:
        """Go to the trial points ``x`` that are ``accepted`` (n,)."""
        if accepted.all():
            self.x, self.h, self.h_gradient, self.aux = x, h, h_gradient, aux
        else:
            self.x = torch.where(accepted[:, None], x, self.x)
            self.h_gradient = torch.where(accepted[:, None], h_gradient, self.h_gradient)
            self.h = torch.where(accepted, h, self.h)
            if aux is not None:
                wide = accepted.reshape(-1, *[1] * (aux.dim() - 1))
                self.aux = torch.where(wide, aux, self.aux)
        self.refresh()

    def quasi_newton_direction(self, free: torch.Tensor) -> torch.Tensor:
        """(n, D) minus the inverse Hessian times the gradient, on the ``free`` variables; else 0.

        The two-loop recursion with every inner product taken over the free variables. A pair
        without positive curvature there counts for nothing (its ρ is 0).
        """
        q = self.gradient * free
        pairs = []
        for age in range(self.filled):  # from the newest to the oldest
            slot = (self.newest_slot - age) % len(self.pairs_s)
            s, y = self.pairs_s[slot], self.pairs_y[slot] * free
            sy = dot(s, y)
            rho = torch.where(sy > CURVATURE * self.pairs_ss[slot], 1 / sy, 0.0)
            alpha = rho * dot(s, q)
            q.addcmul_(y, alpha[:, None], value=-1)
            pairs.append((s, y, rho, alpha))
        q.mul_(self.initial_scaling[:, None])
        for s, y, rho, alpha in reversed(pairs):
            beta = rho * dot(y, q)
            q.addcmul_(s, (alpha - beta)[:, None])
        return q.mul_(free).neg_()
