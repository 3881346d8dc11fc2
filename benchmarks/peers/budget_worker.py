"""adv-lib's attacks, and foolbox's FMN, with so many gradients an image and no more.

What counts is the nearest success that an attack has looked at while the budget lasted, as in
AttackBench, whatever it returns; an attack that asks for one gradient more is stopped there.
"""

import contextlib

import common
import foolbox
import torch
from adv_lib import attacks
from torch import nn

BOX = 1e-6  # as the judge of attacks.py: x + (1 - x) may be a rounding above 1
SEARCH = 20  # gradients that one search of a constant or a radius gets, if there are so many


class Spent(Exception):
    """A gradient was asked for when the budget was spent."""


class Watched(nn.Module):
    """``net``, with the nearest success among the images that it was asked about so far.

    images: (N, *shape), the clean ones; wanted: (N,) the classes to reach, or to leave. Only whole
    batches of N are looked at: an attack that drops images has to be given them one by one.
    """

    def __init__(self, net, images, wanted, targeted: bool, budget: int):
        super().__init__()
        self.net, self.images, self.wanted, self.targeted = net, images, wanted, targeted
        self.left = budget * len(images)
        self.nearest = images.clone()
        self.l2 = torch.full((len(images),), torch.inf)

    def forward(self, x):
        logits = self.net(x)
        if len(x) == len(self.images):
            self._note(x.detach(), logits.detach().argmax(1))
        if not logits.requires_grad:
            return logits
        logits = logits.clone()  # so that this hook comes before those of the network
        logits.register_hook(self._take)
        return logits

    def _note(self, x, predictions):
        there = (predictions == self.wanted) == self.targeted
        there &= (x.flatten(1).amin(1) >= -BOX) & (x.flatten(1).amax(1) <= 1 + BOX)
        l2 = (x - self.images).flatten(1).norm(dim=1)
        nearer = there & (l2 < self.l2)
        self.nearest[nearer], self.l2[nearer] = x[nearer], l2[nearer]

    def _take(self, gradient):
        if len(gradient) > self.left:
            raise Spent
        self.left -= len(gradient)


def searches(budget: int, most: int) -> int:
    """How many searches of :data:`SEARCH` gradients the budget has, from one to ``most``."""
    return min(most, max(1, budget // SEARCH))


def cw(net, images, wanted, targeted, budget):
    """Without its early end, which ends a short search before it has begun."""
    rounds = searches(budget, 9)
    steps = {"binary_search_steps": rounds, "max_iterations": budget // rounds}
    steps["abort_early"] = False
    attacks.carlini_wagner_l2(net, images, wanted, targeted=targeted, **steps)


def apgd(net, images, wanted, targeted, budget):
    """APGD keeps to a radius: it is doubled until there is a success, then halved to the nearest
    (AttackBench does so, too, in up to twenty searches)."""
    rounds = searches(budget, 20)
    steps = budget // rounds - 1  # it takes one gradient more than it takes steps
    low, radius = torch.zeros(len(images)), torch.ones(len(images))
    for _ in range(rounds):
        before = net.l2.clone()
        attacks.apgd(net, images, wanted, radius, norm=2, targeted=targeted, n_iter=steps)
        low = torch.where(net.l2 < before, low, radius)
        radius = torch.where(net.l2.isfinite(), (low + net.l2) / 2, 2 * radius)


def fmn(net, images, wanted, targeted, budget):
    """foolbox's: adv-lib's stays at the clean image of many of MNIST's, at any number of steps."""
    kinds = foolbox.criteria.Misclassification, foolbox.criteria.TargetedMisclassification
    model = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
    foolbox.attacks.L2FMNAttack(steps=budget).run(model, images, kinds[targeted](wanted))


def stepped(function, name: str, **fixed):
    """``function`` of adv-lib, whose setting ``name`` is the number of gradients."""

    def attack(net, images, wanted, targeted, budget):
        function(net, images, wanted, targeted=targeted, **{name: budget}, **fixed)

    return attack


def unlimited(function):
    """``function`` of adv-lib, which goes on until it has a success."""

    def attack(net, images, wanted, targeted, budget):
        function(net, images, wanted, targeted=targeted, steps=budget)

    return attack


BATCHED = {
    "ddn": stepped(attacks.ddn, "steps", levels=None),
    "pdgd": stepped(attacks.pdgd, "num_steps"),
    "alma": stepped(attacks.alma, "num_steps"),
    "fmn": fmn,
    "apgd": apgd,
    "carlini_wagner_l2": cw,
}
ONE_BY_ONE = {"df": unlimited(attacks.df), "sdf": unlimited(attacks.sdf)}


def within(attack, one_by_one: bool):
    """``attack`` as a function of the worker's arguments, with ``budget`` gradients an image."""

    def run(net, images, labels, targets, budget):
        wanted = labels if targets is None else targets
        found, rows = [], 1 if one_by_one else len(images)
        for x, y in zip(images.split(rows), wanted.split(rows), strict=True):
            watched = Watched(net, x, y, targets is not None, budget).eval()
            with contextlib.suppress(Spent):
                attack(watched, x, y, targets is not None, budget)
            found.append(watched.nearest)
        return torch.cat(found)

    return run


ATTACKS = {name: within(attack, False) for name, attack in BATCHED.items()}
ATTACKS |= {name: within(attack, True) for name, attack in ONE_BY_ONE.items()}

if __name__ == "__main__":
    common.main(ATTACKS, "adv-lib")
