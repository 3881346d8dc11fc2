"""Bounds of a whole network by others: ``python bounds_worker.py job.json``.

Runs in an environment of the peers' own, of requirements-bounds.txt. The job names the file of the
network (see common.py), the method and its settings, and where the answer goes: the value as the
method gives it, its CPU seconds, what it says of itself, and its multipliers if it has any.
"""

import importlib
import importlib.metadata
import json
import sys
import time
from pathlib import Path

import common
import numpy as np
import torch
from torch import nn

SLOPES = {nn.ReLU: (0.0, 1.0), nn.Sigmoid: (0.0, 0.25), nn.Tanh: (0.0, 1.0)}


def weights_of(net: nn.Sequential) -> list[torch.Tensor]:
    return [part.weight.detach().double() for part in net if isinstance(part, nn.Linear)]


def eclipse(net, bare: bool) -> dict:
    """eclipse-nn's closed form, of the network or of its bare weights."""
    from eclipse_nn.LipConstEstimator import LipConstEstimator

    given = {"weights": weights_of(net)} if bare else {"model": net}
    return {"value": float(LipConstEstimator(**given).estimate("ECLipsE_Fast"))}


def lipsdp(net, tolerance: float) -> dict:
    """LipSDP-Neuron as its paper has it, by cvxpy and SCS; the first matrix is reduced to its rows
    by an orthonormal change of the image."""
    import cvxpy as cp

    weights = [w.numpy() for w in weights_of(net)]
    first = weights[0]
    if first.shape[1] > first.shape[0]:
        first = np.linalg.qr(first.T, mode="r").T
    matrices = [first, *weights[1:]]
    kinds = [type(part) for part in net if type(part) in SLOPES]
    t = [cp.Variable(len(w), nonneg=True) for w in matrices[:-1]]
    rho = cp.Variable(nonneg=True)
    n = [matrices[0].shape[1], *(len(w) for w in matrices[:-1])]
    blocks = [[np.zeros((a, b)) for b in n] for a in n]
    blocks[0][0] = rho * np.eye(n[0])
    for k, kind in enumerate(kinds):
        low, high = SLOPES[kind]
        assert low == 0
        cross = -high * (cp.diag(t[k]) @ matrices[k])
        blocks[k + 1][k], blocks[k][k + 1] = cross, cross.T
        blocks[k + 1][k + 1] = 2 * cp.diag(t[k])
    last = matrices[-1]
    blocks[-1][-1] = blocks[-1][-1] - last.T @ last
    problem = cp.Problem(cp.Minimize(rho), [cp.bmat(blocks) >> 0])
    problem.solve(solver=cp.SCS, eps_abs=tolerance, eps_rel=tolerance)
    return {
        "value": float(np.sqrt(max(rho.value, 0.0))),
        "says": problem.status,
        "multipliers": [np.maximum(v.value, 0).tolist() for v in t],
    }


def silu(_) -> dict:
    """eclipse-nn's bound of x -> silu(x), and the largest slope of that, on a grid."""
    net = nn.Sequential(nn.Linear(1, 1), nn.SiLU(), nn.Linear(1, 1)).double()
    for part in (net[0], net[2]):
        part.weight.data.fill_(1.0)
        part.bias.data.zero_()
    x = torch.linspace(-5, 5, 10001, dtype=torch.float64)[:, None].requires_grad_()
    (slopes,) = torch.autograd.grad(net(x).sum(), x)
    return eclipse(net, False) | {"slope": float(slopes.max())}


METHODS = {"eclipse": eclipse, "lipsdp": lipsdp, "silu": silu}
NEEDS = {"lipsdp": "cvxpy"}  # imported before the clock starts; else eclipse-nn is
PACKAGES = ("eclipse-nn", "cvxpy", "scs", "torch")


def main() -> None:
    torch.set_num_threads(1)
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    net = common.load_net(job["net"])
    importlib.import_module(NEEDS.get(job["method"], "eclipse_nn.LipConstEstimator"))
    began = time.process_time()
    answer = METHODS[job["method"]](net, **job["settings"])
    answer["cpu_seconds"] = time.process_time() - began
    answer["versions"] = {name: importlib.metadata.version(name) for name in PACKAGES}
    Path(job["answer"]).write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main()
