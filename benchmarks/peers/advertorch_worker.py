"""advertorch's L-BFGS, a port of cleverhans': the whole batch as one problem of SciPy's."""

import sys

import common

# advertorch's FAB imports a function that torch no longer has; L-BFGS does not use it
sys.modules["torch.autograd.gradcheck"].zero_gradients = None

from advertorch.attacks import LBFGSAttack  # noqa: E402


def lbfgs(net, images, labels, targets, **settings):
    attack = LBFGSAttack(net, num_classes=10, targeted=targets is not None, **settings)
    return attack.perturb(images, labels if targets is None else targets)


if __name__ == "__main__":
    common.main({"lbfgs": lbfgs}, "advertorch")
