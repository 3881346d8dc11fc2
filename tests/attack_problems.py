"""Small networks and images for the tests of the attack's solvers."""

import torch
from torch import nn

from course_lib.attacks.problem import Problem


def net_of(unit, classes=5, width=24, seed=0, pixels=36):
    torch.manual_seed(seed)
    layers = nn.Linear(pixels, width), unit, nn.Linear(width, width), unit
    net = nn.Sequential(nn.Flatten(), *layers, nn.Linear(width, classes))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter *= 3
    return net.eval()


def some(n=12, pixels=36, seed=1):
    return torch.rand(n, 1, 6, pixels // 6, generator=torch.Generator().manual_seed(seed))


def targets_of(net, x):
    return net(x).argsort(1)[:, 0]  # the class that is farthest behind


def problem_of(net, x, targets, needed=1e-4):
    return Problem(net, x.flatten(1), targets, x.new_full((len(x),), needed), x.shape[1:])


class Sine(nn.Module):
    def forward(self, x):
        return torch.sin(x)
