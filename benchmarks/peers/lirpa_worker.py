"""Certified radii by auto_LiRPA's CROWN on L2 balls: ``python lirpa_worker.py job.json``.

Needs an interpreter that can import auto_LiRPA. The newest in the package index, 0.3, wants Python
3.10 and torch below 1.13. That of its repository, github.com/Verified-Intelligence/auto_LiRPA, asks
for torch below 2.9; 0.7.1 ran with a newer one, its folder on PYTHONPATH and tqdm, appdirs,
packaging, graphviz and pyyaml installed. The job names the file of the network (see common.py),
that of the images and labels, how many bisections, and where the answer goes. Nothing is said of
rounding: CROWN computes in float32.
"""

import json
import sys
import time
from pathlib import Path

import auto_LiRPA
import common
import numpy as np
import torch
from auto_LiRPA import BoundedModule, BoundedTensor
from auto_LiRPA.perturbations import PerturbationLpNorm


def margins_from_below(model, images, labels, radius: float, classes: int = 10) -> torch.Tensor:
    """(N,) CROWN's lower bound of the smallest margin over the other classes in the ball."""
    others = torch.tensor([[j for j in range(classes) if j != y] for y in labels.tolist()])
    wanted = torch.zeros(len(labels), classes - 1, classes)
    wanted.scatter_(2, labels[:, None, None].expand(-1, classes - 1, 1), 1.0)
    wanted.scatter_(2, others[:, :, None], -1.0)
    ball = BoundedTensor(images, PerturbationLpNorm(norm=2, eps=radius))
    lower, _ = model.compute_bounds(x=(ball,), method="CROWN", C=wanted, bound_upper=False)
    return lower.detach().amin(1)


def main() -> None:
    torch.set_num_threads(1)
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    net = common.load_net(job["net"])
    with np.load(job["images"]) as stored:
        images, labels = (torch.from_numpy(stored[key]) for key in ("images", "labels"))
    began = time.process_time()
    radii = []
    for image, label in zip(images.split(1), labels.split(1), strict=True):
        model = BoundedModule(net, torch.zeros_like(image))
        low, high = 0.0, float(job["largest"])
        for _ in range(job["bisections"]):
            middle = (low + high) / 2
            if float(margins_from_below(model, image, label, middle)) > 0:
                low = middle
            else:
                high = middle
        radii.append(low)
    answer = {"radii": radii, "cpu_seconds": time.process_time() - began}
    answer["versions"] = {"auto_LiRPA": auto_LiRPA.__version__, "torch": torch.__version__}
    Path(job["answer"]).write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main()
