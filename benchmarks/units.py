"""How fast top images are found: ``python benchmarks/units.py`` (``--networks NAME ...``).

Seconds for the eight strongest of 10 000 test images, for 10 000 random directions of each layer,
against what one writes first: a loop over directions, with NumPy's argsort or torch's topk (timed
on a few of the directions, and multiplied up), and one product and one topk for all of them. These
are compared on two layers, each method in a process of its own, whose peak memory is read off, and
their results must agree. Wall seconds, and CPU seconds of all threads (a busy machine stretches the
former). The outcome, with its machine, is benchmarks/units.json.
"""

import argparse
import multiprocessing
import resource
import time
from pathlib import Path

import torch

from course_lib import device, models, record, units, zoo

HERE = Path(__file__).resolve().parent
COUNT, LOOPED = 10_000, 200
COMPARED = (("FC100-100-10", "sigmoid2"), ("CONV", "pool2"))


def numpy_loop(h, directions):
    """One direction after the other, all images sorted."""
    h, found = h.numpy(), []
    for v in directions.numpy():
        found.append((h @ v).argsort()[::-1][:8].copy())
    return torch.tensor([row.tolist() for row in found])


def topk_loop(h, directions):
    """One direction after the other, with topk."""
    return torch.stack([(h @ v).topk(8).indices for v in directions])


def at_once(h, directions):
    """All scores in one matrix (10 000 x 10 000), then topk."""
    return (directions @ h.T).topk(8, dim=1).indices


METHODS = {
    "NumPy loop": (numpy_loop, LOOPED),
    "topk loop": (topk_loop, LOOPED),
    "at once": (at_once, COUNT),
    "units.top_images": (units.top_images, COUNT),
}


def timed(function, h, count: int):
    """Wall and CPU seconds for COUNT directions, from ``count``, and the rows found for those."""
    directions = units.random_directions(count, h.shape[1], device.generator(0))
    function(h, directions[:20])  # warm
    clocks = time.perf_counter, time.process_time
    began = [clock() for clock in clocks]
    top = function(h, directions)
    taken = [(c() - b) * COUNT / count for c, b in zip(clocks, began, strict=True)]
    return {"wall": round(taken[0], 2), "cpu": round(taken[1], 2)}, top


def activations(name: str, layer: str):
    """The activations of the held-out images, on the CPU."""
    net = zoo.load(name, device="cpu", progress=False)
    return units.activations(net, units.held_out("cpu").images, layer)


def one(connection, name: str, layer: str, method: str) -> None:
    """Time a method on a layer in this process; send seconds, the memory it took, and its rows."""
    h = activations(name, layer)
    # what a library takes at its first call, whatever the size, is not the method's
    METHODS[method][0](h, units.random_directions(500, h.shape[1], device.generator(1)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds, top = timed(METHODS[method][0], h, METHODS[method][1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # plain lists: a tensor would travel by a file that ends with this process
    connection.send((seconds | {"megabytes": (peak - before) // 1024}, top[:LOOPED].tolist()))


def measured(*what):
    """The result of :func:`one` in a fresh process."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=one, args=(there, *what))
    process.start()
    found = here.recv()
    process.join()
    return found


def agreement(rows, others) -> float:
    """The share of images that two methods have in common."""
    pairs = zip(rows, others, strict=True)
    return sum(len(set(a) & set(b)) for a, b in pairs) / (8 * len(rows))


def compare(name: str, layer: str) -> dict:
    """Every method on one layer, each in a process of its own."""
    found, rows = {}, {}
    for method in METHODS:
        found[method], rows[method] = measured(name, layer, method)
        share = agreement(rows["NumPy loop"], rows[method])
        assert share > 0.999, f"{method} finds other images ({share:.4f} in common)"
        print(f"{name} {layer}, {method}: {found[method]}", flush=True)
    return found


def every_layer(name: str) -> dict:
    """The library on every layer of a network: name -> width and seconds."""
    found = {}
    for layer in models.layer_names(models.build(name)):
        h = activations(name, layer)
        found[layer] = {"width": h.shape[1]} | timed(units.top_images, h, COUNT)[0]
        print(f"{name} {layer}: {found[layer]}", flush=True)
    return found


def main() -> None:
    """Measure, print, and write benchmarks/units.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="*", default=list(models.NETWORKS))
    arguments = parser.parse_args()
    path = HERE / "units.json"
    head = {"machine": record.machine() | {"threads": torch.get_num_threads()}}
    for name, layer in COMPARED:
        if name in arguments.networks:
            made = {f"{name} {layer}": compare(name, layer)}
            record.merged(path, "methods, 10 000 directions", made, head)
    section = "every layer, 10 000 directions"
    for name in arguments.networks:
        rows = record.merged(path, section, {name: every_layer(name)}, head)[section]
        total = {
            key: round(sum(layer[key] for layers in rows.values() for layer in layers.values()), 1)
            for key in ("wall", "cpu")
        }
        record.merged(path, None, {"every layer of these networks together": total})
    print(total)


if __name__ == "__main__":
    main()
