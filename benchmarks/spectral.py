"""Operator norms beside other ways to compute them, in one run: ``python benchmarks/spectral.py``.

One thread, CPU seconds, medians of several runs. The peers are written here from their papers or
called from torch and SciPy. Finished parts are kept (:mod:`course_lib.kept`) until all are done, so
that an interrupted run goes on; --fresh forgets them. The results are spectral.json and SPECTRAL.md
beside this file.

    python benchmarks/spectral.py --fresh     everything anew: what is committed
    python benchmarks/spectral.py --report    SPECTRAL.md again from spectral.json
"""

import argparse
import itertools
import json
import math
import multiprocessing
import os
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import scipy.sparse.linalg
import spectral_report
import torch
from torch import nn
from torch.nn import functional as F

from course_lib import record, spectral, storage
from course_lib.kept import Kept
from course_lib.spectral import convolutions, embedding, fourier, operators
from course_lib.spectral.geometry import geometry

HERE = Path(__file__).resolve().parent
RESULTS, REPORT = HERE / "spectral.json", HERE / "SPECTRAL.md"
NETWORKS = HERE / "networks.json"  # of networks.py
RUNS = 3


# --- the peers ------------------------------------------------------------------------------------


def all_frequencies(weight: torch.Tensor, n: int, half: bool) -> torch.Tensor:
    """The transforms (frequencies, D, C) of a kernel (D, C, k, k) on n x n cells (half: rfft)."""
    transform = torch.fft.rfft2 if half else torch.fft.fft2
    return transform(weight, s=(n, n)).flatten(2).permute(2, 0, 1).contiguous()


def polyphase_kernel(layer: nn.Module, n: int) -> tuple[torch.Tensor, int]:
    """A strided circular convolution as one of stride 1: its kernel and size (ours; the methods of
    the papers know stride 1 only)."""
    shape = geometry(layer, (layer.in_channels, n, n))
    split = fourier.polyphase(shape, (n, n))
    return split.taps.detach()[0].permute(2, 3, 0, 1), split.grid[0]


def full_svd(layer: nn.Module, n: int, half: bool = False) -> float:
    """Sedghi, Gupta, Long (2019): all singular values of every frequency's matrix."""
    weight, m = polyphase_kernel(layer, n)
    return float(torch.linalg.svdvals(all_frequencies(weight, m, half)).max())


def gram_iteration(layer: nn.Module, n: int, steps: int = 6) -> float:
    """Delattre, Barthélemy, Araujo, Allauzen (2023), algorithm 3: an upper bound that converges.

    Each step squares the Gram matrices, rescaled by their Frobenius norms; r keeps the logarithms.
    """
    weight, m = polyphase_kernel(layer, n)
    if weight.shape[0] > weight.shape[1]:
        weight = weight.transpose(0, 1)
    matrices = all_frequencies(weight, m, half=True).mH  # tall: the Gram matrix is the smaller one
    r = torch.zeros(len(matrices), dtype=torch.float64)
    for _ in range(steps):
        norms = torch.linalg.matrix_norm(matrices)
        r = 2 * (r + norms.log())
        matrices = matrices / norms[:, None, None]
        matrices = matrices.mH @ matrices
    logs = (torch.linalg.matrix_norm(matrices).log() + r) / 2**steps
    return float(logs.max().exp())


def torch_spectral_norm(layer: nn.Module, n: int, iterations: int = 100) -> float:
    """The σ by which torch's spectral_norm divides: of the kernel reshaped to D x C·k·k."""
    weight = layer.weight.detach()
    copy = nn.Linear(weight[0].numel(), len(weight), bias=False, dtype=weight.dtype)
    copy.weight.data = weight.flatten(1).clone()
    nn.utils.parametrizations.spectral_norm(copy, n_power_iterations=iterations)
    scaled = copy.weight.detach()
    return float(weight.flatten(1).norm() / scaled.norm())


def scipy_svds(layer: nn.Module, n: int, tol: float = 1e-6) -> float:
    """scipy.sparse.linalg.svds of a zero-padded layer through conv2d and conv_transpose2d."""
    weight = layer.weight.detach()
    stride, padding = layer.stride, layer.padding
    shape = (1, layer.in_channels, n, n)
    out = F.conv2d(torch.zeros(shape, dtype=weight.dtype), weight, None, stride, padding).shape
    left = [
        n - ((o - 1) * s - 2 * p + k)
        for o, s, p, k in zip(out[2:], stride, padding, layer.kernel_size, strict=True)
    ]

    def forward(x):
        return F.conv2d(torch.from_numpy(x.reshape(shape)), weight, None, stride, padding).numpy()

    def backward(y):
        y = torch.from_numpy(y.reshape(out))
        return F.conv_transpose2d(y, weight, None, stride, padding, left).numpy()

    operator = scipy.sparse.linalg.LinearOperator(
        (math.prod(out), math.prod(shape)),
        matvec=lambda x: forward(x).ravel(),
        rmatvec=lambda y: backward(y).ravel(),
        dtype=np.float64,
    )
    rng = np.random.default_rng(0)
    values = scipy.sparse.linalg.svds(operator, 1, tol=tol, return_singular_vectors=False, rng=rng)
    return float(values[0])


# --- error against dense SVD ----------------------------------------------------------------------


def dense_norm(layer: nn.Module, shape) -> float:
    """NumPy's largest singular value of the matrix that the layer makes of the unit vectors."""
    n = math.prod(shape)
    units = torch.eye(n, dtype=torch.float64).reshape(n, *shape)
    with torch.no_grad():
        matrix = (layer(units) - layer(torch.zeros_like(units))).flatten(1).T
    return float(np.linalg.svd(matrix.numpy(), compute_uv=False)[0])


def small_cases(mode: str):
    """(settings, layer, shape): 2-d over stride, dilation, groups, kernel, padding and size."""
    grid = itertools.product((1, 2, 3, 4), (1, 2), (1, 2), (1, 2, 3, 5), (0, 1, 2), (12, 9))
    for s, d, groups, k, p, n in grid:
        reach = d * (k - 1)
        keeps = reach + 1 - s <= 2 * p <= reach and n % s == 0
        if reach + 1 > n + 2 * p or (mode == "circular" and not keeps):
            continue
        settings = {"stride": s, "dilation": d, "groups": groups, "padding": p}
        kind = {"padding_mode": mode, "dtype": torch.float64}
        yield (s, d, groups, k, p, n), nn.Conv2d(4, 6, k, **settings, **kind), (4, n, n)
    if mode == "circular":  # more kernels and sizes, with the padding that keeps the size
        grid = itertools.product((1, 2, 3, 4), (1, 2), (1, 2), (1, 2, 3, 4, 5), (6, 8, 10, 15, 16))
        for s, d, groups, k, n in grid:
            reach, p = d * (k - 1), d * (k - 1) // 2
            if n % s or p > n or reach + 1 - s > 2 * p:
                continue
            settings = {"stride": s, "dilation": d, "groups": groups, "padding": p}
            kind = {"padding_mode": mode, "dtype": torch.float64}
            yield (s, d, groups, k, p, n), nn.Conv2d(2, 4, k, **settings, **kind), (2, n, n)


def accuracy() -> dict:
    """The worst relative errors over the small cases; every iterated case is really iterated."""
    torch.manual_seed(0)
    found = {}
    for mode in ("circular", "zeros"):
        errors, single, slack = [], [], []
        for case, layer, shape in small_cases(mode):
            truth = dense_norm(layer, shape)
            operators.SMALL, certified = 3, operators.CERTIFIED_SIZE
            errors.append((abs(spectral.operator_norm(layer, shape) / truth - 1), case))
            operators.CERTIFIED_SIZE = 0
            upper = spectral.norm_bounds(layer, shape).upper
            operators.SMALL, operators.CERTIFIED_SIZE = 64, certified
            slack.append(upper / truth - 1)
            truth32 = float(spectral.operator_norm(layer.float(), shape))
            single.append(abs(truth32 / truth - 1))
        worst, case = max(errors)
        found[mode] = {
            "cases": len(errors),
            "worst": worst,
            "worst_case": case,
            "worst_float32": max(single),
            "upper_least": min(slack),
            "upper_median": statistics.median(slack),
            "upper_most": max(slack),
        }
    return found


# --- AlexNet and ResNet-18 at their true sizes ----------------------------------------------------


def alexnet(mode: str) -> dict:
    """The five convolutions of the paper's Table 5 with torch's random weights, and their sizes.

    Circular: 224, 27 and 13 cells, with padding that keeps size / stride. Zeros: torchvision's.
    """
    first = 4 if mode == "circular" else 2
    sizes = [
        (3, 96, 11, 4, first, 224),
        (96, 256, 5, 1, 2, 27),
        (256, 384, 3, 1, 1, 13),
        (384, 384, 3, 1, 1, 13),
        (384, 256, 3, 1, 1, 13),
    ]
    torch.manual_seed(0)
    kind = {"padding_mode": mode, "dtype": torch.float64}
    return {f"conv{i}": (nn.Conv2d(*a, **kind), n) for i, (*a, n) in enumerate(sizes, 1)}


def timed(function, runs: int = RUNS) -> tuple[float, float]:
    """What ``function`` returns, and the median of its CPU seconds."""
    seconds = []
    for _ in range(runs):
        begin = time.process_time()
        value = function()
        seconds.append(time.process_time() - begin)
    return value, statistics.median(seconds)


def on_alexnet(method: str) -> dict:
    """Value and seconds of ``method`` on each of AlexNet's convolutions."""
    functions = {
        "ours": ("circular", lambda c, n: spectral.norm_bounds(c, (c.in_channels, n, n))),
        "full SVD": ("circular", full_svd),
        "full SVD, half": ("circular", lambda c, n: full_svd(c, n, half=True)),
        "Gram iteration, 6": ("circular", gram_iteration),
        "Gram iteration, 12": ("circular", lambda c, n: gram_iteration(c, n, 12)),
        "torch spectral_norm": ("circular", torch_spectral_norm),
        "zeros, ours": ("zeros", lambda c, n: spectral.operator_norm(c, (c.in_channels, n, n))),
        "zeros, bounds": ("zeros", lambda c, n: spectral.norm_bounds(c, (c.in_channels, n, n))),
        "zeros, SciPy svds": ("zeros", scipy_svds),
    }
    mode, function = functions[method]
    runs = 1 if mode == "zeros" or method in ONCE else RUNS
    found = {}
    for name, (layer, n) in alexnet(mode).items():
        value, seconds = timed(lambda c=layer, n=n: function(c, n), runs)
        lower, upper = value if isinstance(value, tuple) else (value, value)
        found[name] = {"lower": lower, "upper": upper, "seconds": seconds}
        print(f"  {method} {name}: {upper:.12g}, {seconds:.2f} s", flush=True)
    return found


ONCE = ("Gram iteration, 12",)  # of the circular ones
ALEXNET = (
    "ours",
    "full SVD",
    "full SVD, half",
    "Gram iteration, 6",
    "Gram iteration, 12",
    "torch spectral_norm",
    "zeros, ours",
    "zeros, bounds",
    "zeros, SciPy svds",
)


def resnet18() -> list[tuple]:
    """(inputs, outputs, kernel, stride, padding, size, how many) of the 20 convolutions."""
    shapes = [(3, 64, 7, 2, 3, 224, 1), (64, 64, 3, 1, 1, 56, 4)]
    for channels, size in ((64, 56), (128, 28), (256, 14)):
        shapes.append((channels, 2 * channels, 3, 2, 1, size, 1))
        shapes.append((channels, 2 * channels, 1, 2, 0, size, 1))
        shapes.append((2 * channels, 2 * channels, 3, 1, 1, size // 2, 3))
    return shapes


def on_resnet() -> dict:
    """Seconds for all convolutions: the rigorous upper bounds, and lower and upper together."""
    torch.manual_seed(0)
    rows, total = [], {"upper": 0.0, "bounds": 0.0}
    for *sizes, n, count in resnet18():
        row = {"size": [*sizes, n], "count": count, "upper": 0.0, "bounds": 0.0, "gap": 0.0}
        for _ in range(count):
            layer = nn.Conv2d(*sizes)
            shape = geometry(layer, (sizes[0], n, n))
            grid = shape.circulant_grid()
            if grid is None:
                found, upper = timed(lambda g=shape: embedding.upper_bound(g), 1)
            else:
                found, upper = timed(lambda g=shape, m=grid: exact(g, m), 1)
            bound, below = found.upper, 0.0
            if grid is None:
                (value, _, _), below = timed(lambda g=shape: iterated(g), 1)
            else:
                value = found.lower
            row["upper"] += upper
            row["bounds"] += upper + below
            row["gap"] = max(row["gap"], bound / value - 1)
        print(f"  ResNet-18 {row}", flush=True)
        rows.append(row)
        total = {key: total[key] + row[key] for key in total}
    return {"rows": rows, "total": total, "layers": sum(row["count"] for row in rows)}


def exact(shape, grid):
    return fourier.top(fourier.polyphase(shape, grid))


def iterated(shape):
    return operators.leading(convolutions.convolution_map(shape), precise=False)


# --- memory ---------------------------------------------------------------------------------------


def peak() -> float:
    """The peak memory of this process in MiB (Linux; ru_maxrss would count the parent's, too)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def growth(method: str, n: int) -> float:
    """By how many MiB the peak memory of a fresh process grows: 64 channels, 3 x 3, n x n cells."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    settings = {"padding": 1, "padding_mode": "circular", "dtype": torch.float64}
    small, layer = (nn.Conv2d(c, c, 3, **settings) for c in (2, 64))
    run = {"ours": lambda c, n: spectral.operator_norm(c, (c.in_channels, n, n))}
    function = run.get(method, full_svd)
    function(small, 8)
    before = peak()
    function(layer, n)
    return peak() - before


def memory() -> dict:
    """The peak of ours and of the full-SVD method at two sizes, each in a process of its own."""
    context = multiprocessing.get_context("spawn")
    found = {}
    for method, n in itertools.product(("ours", "full SVD"), (32, 96)):
        with context.Pool(1) as pool:
            found[f"{method}, {n}"] = pool.apply(growth, (method, n))
    return found


# --- what others get wrong ------------------------------------------------------------------------


def wrong() -> list[dict]:
    """Layers where a usual shortcut is wrong: the true value by dense SVD, the shortcut's, ours."""
    torch.manual_seed(0)
    double, circle = {"dtype": torch.float64}, {"dtype": torch.float64, "padding_mode": "circular"}
    grouped = nn.Conv2d(8, 8, 3, padding=1, groups=4, **circle)
    ignored = nn.Conv2d(2, 8, 3, padding=1, **circle)
    ignored.weight.data = grouped.weight.data
    strided = nn.Conv2d(4, 6, 3, stride=2, padding=1, **circle)
    unstrided = nn.Conv2d(4, 6, 3, padding=1, **circle)
    unstrided.weight.data = strided.weight.data
    padded = nn.Conv1d(1, 1, 3, padding=1, bias=False, **double)
    padded.weight.data = torch.tensor([[[1.0, -1.0, 0.0]]], dtype=torch.float64)
    around = nn.Conv1d(1, 1, 3, padding=1, bias=False, **circle)
    around.weight.data = padded.weight.data
    plain = nn.Conv2d(6, 6, 3, padding=1, **double)
    pool, average = nn.MaxPool2d(3, 2), nn.AvgPool2d(3, 1, 1)
    # the pixel that most windows share: the layer's own count of the outputs that it decides
    pixels = 2 * torch.eye(81).reshape(81, 1, 9, 9) - 1
    count = int((pool(pixels) == 1).flatten(1).sum(1).max())
    rows = [
        ("groups = 4", "groups ignored", full_svd(ignored, 8), grouped, (8, 8, 8), None),
        ("stride 2", "stride ignored", full_svd(unstrided, 8), strided, (4, 8, 8), None),
        (
            "stride 2",
            "the paper's Δ^-2 instead of Δ^-1",
            spectral.operator_norm(strided, (4, 8, 8)) / 2,
            strided,
            (4, 8, 8),
            None,
        ),
        (
            "zero padding, kernel [1, -1, 0]",
            "circular at the same size",
            spectral.operator_norm(around, (1, 13)),
            padded,
            (1, 13),
            None,
        ),
        (
            "zero padding, 6 x 3 x 3 x 6",
            "torch spectral_norm (reshaped kernel)",
            torch_spectral_norm(plain, 12),
            plain,
            (6, 12, 12),
            None,
        ),
        ("max pooling 3 x 3, stride 2", "contractive: 1", 1.0, pool, (1, 9, 9), math.sqrt(count)),
        ("average pooling 3 x 3, stride 1", "contractive: 1", 1.0, average, (1, 9, 9), None),
        ("average pooling 2 x 2", "contractive: 1", 1.0, nn.AvgPool2d(2), (1, 8, 8), None),
    ]
    return [
        {
            "layer": layer_name,
            "shortcut": shortcut,
            "value": value,
            "truth": dense_norm(layer, shape) if truth is None else truth,
            "ours": spectral.operator_norm(layer, shape),
        }
        for layer_name, shortcut, value, layer, shape, truth in rows
    ]


# --- the run --------------------------------------------------------------------------------------

PARTS = {
    "accuracy": (accuracy,),
    **{f"alexnet/{method}": (on_alexnet, method) for method in ALEXNET},
    "resnet": (on_resnet,),
    "memory": (memory,),
    "wrong": (wrong,),
}


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def part(function, *arguments) -> dict:
    """A part of the run, with the load of the machine and the time at its end."""
    return {"result": function(*arguments), "load": os.getloadavg()[0], "at": now()}


def main() -> None:
    """Measure what is not yet measured, and write the results and the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fresh", action="store_true", help="forget the parts that are finished")
    parser.add_argument("--report", action="store_true", help="SPECTRAL.md from spectral.json")
    options = parser.parse_args()
    if not options.report:
        torch.set_num_threads(1)
        kept = Kept("spectral", options.fresh)
        done = {"started": kept.get(now)}  # when the first of the parts was, also of another run
        for name, what in PARTS.items():
            print(name, flush=True)
            done[name] = kept.get(part, *what)
        done["machine"], done["finished"] = record.machine(), now()
        storage.write_text(RESULTS, json.dumps(done, indent=1) + "\n")
        kept.forget()
    report()


def report() -> None:
    """SPECTRAL.md from spectral.json, and networks.json where there is one."""
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    networks = json.loads(NETWORKS.read_text(encoding="utf-8")) if NETWORKS.is_file() else {}
    storage.write_text(REPORT, spectral_report.render(found, networks))
    print(f"Written: {REPORT}")


if __name__ == "__main__":
    record.run(main)
