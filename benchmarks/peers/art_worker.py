"""ART's Carlini-Wagner L2."""

import common
import numpy as np
import torch
from art.attacks.evasion import CarliniL2Method
from art.estimators.classification import PyTorchClassifier


def carlini_wagner(net, images, labels, targets, **settings):
    classifier = PyTorchClassifier(
        net,
        loss=torch.nn.CrossEntropyLoss(),
        input_shape=tuple(images.shape[1:]),
        nb_classes=10,
        clip_values=(0, 1),
        device_type="cpu",
    )
    attack = CarliniL2Method(classifier, targeted=targets is not None, verbose=False, **settings)
    wanted = labels if targets is None else targets
    return attack.generate(images.numpy(), np.eye(10, dtype=np.float32)[wanted.numpy()])


if __name__ == "__main__":
    common.main({"CarliniL2Method": carlini_wagner}, "adversarial-robustness-toolbox")
