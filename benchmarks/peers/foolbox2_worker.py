"""foolbox 2.4.0's LBFGSAttack, the last release that had it: one image after the other."""

import collections
import collections.abc

for name in collections.abc.__all__:  # foolbox 2 imports them from where they were in 2019
    setattr(collections, name, getattr(collections.abc, name))

import common  # noqa: E402
import foolbox  # noqa: E402
import numpy as np  # noqa: E402


def lbfgs(net, images, labels, targets, **settings):
    model = foolbox.models.PyTorchModel(net, bounds=(0, 1), num_classes=10, device="cpu")
    made = images.numpy().copy()
    for i, (x, label, target) in enumerate(
        zip(images.numpy(), labels.tolist(), targets.tolist(), strict=True)
    ):
        criterion = foolbox.criteria.TargetClass(target)
        found = foolbox.v1.attacks.LBFGSAttack(model, criterion)(x, label, **settings)
        if found is not None:  # None: not one of its solves reached the target
            made[i] = np.asarray(found)
    return made


if __name__ == "__main__":
    common.main({"lbfgs": lbfgs}, "foolbox")
