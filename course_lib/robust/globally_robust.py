"""The rival that has the certificate itself in its loss: globally robust networks (GloRo)."""

import torch
import torch.nn.functional as F
from torch import nn

from .penalties import norms_of_layers


class GloballyRobustLoss:
    """Cross-entropy with a further class, "not certified at this radius", a mean over the images.

    After Leino, Wang and Fredrikson (ICML 2021, arXiv 2102.08452), equation 2: beside the logits z
    stands one more, the largest that a class j can become beside the answer i when the image is
    moved by ``radius``: max over j ≠ i of z_j + radius · ‖w_i - w_j‖ · L, with w the rows of the
    last layer and L the product of the norms below it. Where that one is the largest, the image is
    not certified, and the loss says so. The radius grows from 0 in the first half of ``steps``
    steps, as there: a network that certifies nothing yet would learn nothing else.

    net: a network whose last layer is linear, with constants of its activations of 1 at most;
    radius: in L2, positive; steps: of the training, 0 for the whole radius from the start.
    Called with logits (n, classes) of ``net`` and labels (n,), each call is a step. Raises
    ValueError for a network whose last layer is none, and what :func:`norms_of_layers` refuses.
    """

    def __init__(self, net: nn.Module, radius: float, steps: int = 0):
        self.last = list(net.children())[-1] if list(net.children()) else None
        if not isinstance(self.last, nn.Linear):
            raise ValueError(
                "The loss needs the rows of a last linear layer, and this network ends in "
                f"{type(self.last).__name__}: take a Sequential that ends in its logits' layer."
            )
        self.net, self.radius, self.rise, self.step = net, radius, steps / 2, 0

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        self.step += 1
        radius = self.radius * min(1.0, self.step / self.rise if self.rise else 1.0)
        answer = logits.argmax(1)
        rows = self.last.weight
        below = torch.stack(norms_of_layers(self.net)[:-1]).prod()
        # torch gives the length of 0, a row's distance from itself, the gradient 0
        apart = torch.linalg.vector_norm(rows[answer][:, None] - rows, dim=2)
        rivals = (logits + radius * apart * below).scatter(1, answer[:, None], -torch.inf)
        return F.cross_entropy(torch.cat([logits, rivals.amax(1, keepdim=True)], 1), labels)
