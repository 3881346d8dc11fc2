"""What is given in place of an argument is told in a sentence of the library's own.

Every public function, every argument, a handful of values of a wrong kind: the error is a TypeError
or ValueError that a ``raise`` in the library's code has made, never one of torch's, NumPy's or
Python's own that somebody must decipher.
"""

import re
import traceback
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import course_lib
from course_lib import (
    attacks,
    checked,
    data,
    lbfgsb,
    models,
    spectral,
    training,
    transfer,
    units,
    zoo,
)
from course_lib import device as devices

NAN = float("nan")
FOLDER = Path(course_lib.__file__).parent
MODULES = (attacks, transfer, units, lbfgsb, spectral, data, models, zoo, training)

# kind of an argument -> what it is not
ANYTHING = {
    "nothing": None,
    "a text": "no such thing",
    "a list": [object()],
    "a number": 1.5,
    "a tensor": torch.rand(2),
}
WRONG = {
    "net": ANYTHING,
    "data set": ANYTHING,
    "object": ANYTHING,
    "shape": ANYTHING | {"not a number": NAN, "a shape of halves": (2.5, 3)},
    "number": {k: v for k, v in ANYTHING.items() if k != "a number"} | {"not a number": NAN},
    "whole": ANYTHING | {"not a number": NAN},
    "images": ANYTHING
    | {
        "bytes": torch.zeros(3, 1, 4, 4, dtype=torch.uint8),
        "complex": torch.zeros(3, 1, 4, 4, dtype=torch.complex64),
    },
    "labels": {k: v for k, v in ANYTHING.items() if k != "a tensor"}
    | {
        "floats": torch.rand(3),
        "a table": torch.zeros(3, 2, dtype=torch.int64),
        "below 0": torch.tensor([-1, 0, 1]),
    },
    "floats (N, M)": ANYTHING
    | {
        "bytes": torch.zeros(3, 4, dtype=torch.uint8),
        "three axes": torch.rand(3, 4, 5),
    },
    "floats (N,)": {k: v for k, v in ANYTHING.items() if k != "a tensor"}
    | {"bytes": torch.zeros(3, dtype=torch.uint8), "a table": torch.rand(3, 4)},
    "rows": ANYTHING | {"floats": torch.rand(3, 2), "a vector": torch.tensor([0, 1])},
    "function": ANYTHING,
    "name": ANYTHING | {"empty": ""},
    "device": ANYTHING,
    "generator": ANYTHING,
    "vector": {k: v for k, v in ANYTHING.items() if k != "a tensor"},
    "numbers": {k: v for k, v in ANYTHING.items() if k not in ("a number", "nothing")},
    "numbers or more": {k: v for k, v in ANYTHING.items() if k not in ("a number", "a tensor")},
    "texts": {k: v for k, v in ANYTHING.items() if k != "a text"},
}


def net(pixels=16, classes=5):
    torch.manual_seed(0)
    layers = nn.Flatten(), nn.Linear(pixels, 8), nn.ReLU(), nn.Linear(8, classes)
    return nn.Sequential(*layers).eval()


def line():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 5)).eval()


X = torch.rand(3, 1, 4, 4, generator=devices.generator(0))
Y = torch.tensor([0, 1, 2])
H = torch.randn(30, 6, generator=devices.generator(1))
L30 = torch.arange(30) % 3
TOP = torch.tensor([[0, 1, 2], [3, 4, 5]])
DATA = data.Dataset(X, Y, "squares", torch.arange(3))
AIMS = torch.tensor([1, 2, 3])
OPTIONAL = "?"


def values(x, rows=None):
    return x.square().sum(1), 2 * x


def value(x):
    return float(x.square().sum()), 2 * x


def table():
    return transfer.transfer_table(
        {"a": line()}, None, DATA, targets=AIMS, noise=0.1, stddev=0.1, cache=False
    )


def cell():
    return transfer.Cell(np.ones((2, 2, 5)), np.ones((2, 2, 5), bool))


def example_set():
    return transfer.adversarial_set(line(), DATA, targets=AIMS, cache=False)


# function -> argument -> (a right value, or a function that makes one; its kind, with a ? where
# None is a right one, too)
net_ = (net, "net")
line_ = (line, "net")
x_, y_ = (X, "images"), (Y, "labels?")
h_, top_ = (H, "floats (N, M)"), (TOP, "rows")
layer_, shape_ = (lambda: nn.Linear(6, 4), "net"), ((6,), "shape")
first_ = {"net": line_, "images": x_, "labels": y_}
TABLE = {
    attacks.amplify: {
        "adversarial": (X.roll(1, 0), "images"),
        "images": x_,
        "stddev": (0.1, "number"),
    },
    attacks.fgsm: first_ | {"epsilon": (0.1, "number")},
    attacks.deepfool: first_ | {"steps": (3, "whole"), "overshoot": (0.02, "number")},
    attacks.distortion: {"adversarial": (X.roll(1, 0), "images"), "images": x_},
    attacks.exact_minimum: first_ | {"targets": (AIMS, "labels?")},
    attacks.dual_bound: first_
    | {
        "net": line_,
        "targets": (AIMS, "labels?"),
        "multipliers": (torch.ones(3, 5), "floats (N, M)"),
    },
    attacks.proven_minimum: first_
    | {"targets": (AIMS, "labels?"), "gap": (0.1, "number"), "seconds": (1.0, "number")},
    attacks.linear_distance: first_ | {"targets": (AIMS, "labels?")},
    attacks.linear_map: {"net": line_, "image_shape": ((1, 4, 4), "shape")},
    attacks.gaussian_noise: {"images": x_, "stddev": (0.1, "number"), "seed": (0, "whole")},
    attacks.next_targets: {"labels": (Y, "labels"), "classes": (10, "whole")},
    attacks.all_targets: {"labels": (Y, "labels"), "classes": (10, "whole")},
    attacks.random_targets: {
        "labels": (Y, "labels"),
        "seed": (0, "whole"),
        "classes": (10, "whole"),
    },
    attacks.recorded_targets: {"dataset": (lambda: data.load_mnist("test", "cpu")[:3], "data set")},
    attacks.minimal_adversarial: first_
    | {
        "targets": (AIMS, "labels?"),
        "loss": ("margin", "name"),
        "norm": ("squared", "name"),
        "margin": (1e-4, "number?"),
        "steps": (10, "whole"),
        "chunk": (2, "whole?"),
        "resume": (None, "object?"),
    },
    transfer.adversarial_set: {
        "net": line_,
        "dataset": (DATA, "data set"),
        "targets": (AIMS, "labels"),
        "loss": ("cross-entropy", "name"),
    },
    transfer.against_paper: {
        "table": (table, "object"),
        "printed": ({"a": [0.5]}, "object"),
        "columns": (["a"], "texts"),
    },
    transfer.along: {
        "table": (table, "object"),
        "source": ("a", "name?"),
        "column": ("a", "name"),
        "convention": ("strict", "name"),
    },
    transfer.cosines: {"a": (H, "floats (N, M)"), "b": (H.flip(0), "floats (N, M)")},
    transfer.curve: {
        "sources": (lambda: {"a": line()}, "object"),
        "nets": (lambda: {"a": line()}, "object?"),
        "dataset": (DATA, "data set"),
        "stddevs": ([0.1], "numbers"),
        "targets": (AIMS, "labels"),
        "cache": (False, None),
    },
    transfer.gradient_cosines: {
        "net_a": net_,
        "net_b": line_,
        "images": x_,
        "labels": (Y, "labels"),
        "targets": (AIMS, "labels?"),
    },
    transfer.hierarchical_bootstrap: {
        "cell": (cell, "object"),
        "minus": (cell, "object?"),
        "draws": (10, "whole"),
        "seed": (0, "whole"),
    },
    transfer.input_gradients: {
        "net": net_,
        "images": x_,
        "labels": (Y, "labels"),
        "targets": (AIMS, "labels?"),
    },
    transfer.own_examples: {"table": (table, "object")},
    transfer.paired: {
        "first": (lambda: (table(), "a", "a"), "object"),
        "second": (lambda: (table(), "a", "a"), "object"),
        "convention": ("strict", "name"),
        "what": ("wrong", "name"),
        "times": (1.0, "number"),
    },
    transfer.scaled_noise: {
        "images": x_,
        "size": (torch.full((3,), 0.1), "floats (N,)"),
        "seed": (0, "whole"),
    },
    transfer.transfer_table: {
        "sources": (lambda: {"a": line()}, "object"),
        "nets": (lambda: {"b": line()}, "object?"),
        "dataset": (DATA, "data set"),
        "seeds": ((0,), "object"),
        "stddev": (0.1, "number?"),
        "noise": (0.1, "number"),
        "targets": (AIMS, "labels"),
        "loss": ("cross-entropy", "name"),
        "noise_seed": (0, "whole"),
        "device": ("cpu", "device?"),
        "cache": (False, None),
    },
    transfer.verdicts: {"tables": (lambda: {"table2": table()}, "object")},
    transfer.who_is_fooled: {
        "source": line_,
        "target": line_,
        "examples": (example_set, "object"),
        "rows": (torch.ones(3, dtype=torch.bool), "object?"),
        "seed": (0, "whole"),
        "draws": (10, "whole"),
    },
    transfer.wilson: {"share": (0.5, "number"), "n": (9, "number"), "level": (0.9, "number")},
    units.held_out: {"device": ("cpu", "device?")},
    units.activations: {"net": net_, "images": x_, "layer": ("1", "name")},
    units.pre_activation: {"net": net_, "layer": ("1", "name")},
    units.unit_directions: {"width": (6, "whole")},
    units.random_directions: {
        "count": (2, "whole"),
        "width": (6, "whole"),
        "generator": (lambda: devices.generator(0), "generator"),
    },
    units.haar_bases: {
        "count": (2, "whole"),
        "width": (6, "whole"),
        "generator": (lambda: devices.generator(0), "generator"),
    },
    units.principal_directions: {"h": h_, "count": (2, "whole?")},
    units.unit_variance: {"h": h_},
    units.stretch: {"h": h_, "power": (-1.0, "number")},
    units.check_directions: {"h": h_, "directions": (torch.eye(6), "floats (N, M)")},
    units.top_images: {
        "h": h_,
        "directions": (torch.eye(6), "floats (N, M)"),
        "k": (3, "whole"),
        "ties": (H, "floats (N, M)?"),
    },
    units.label_counts: {"labels": (L30, "labels"), "top": top_},
    units.purity: {"labels": (L30, "labels"), "top": top_},
    units.entropy: {"labels": (L30, "labels"), "top": top_},
    units.chance_purity: {"labels": (L30, "labels"), "k": (3, "whole")},
    units.selectivity: {
        "h": h_,
        "directions": (torch.eye(6), "floats (N, M)"),
        "labels": (L30, "labels"),
    },
    units.middle_ranks: {"ordered": (H.sort(1)[0], "object")},
    units.spread: {"features": (H, "images"), "top": top_},
    units.measure: {
        "h": h_,
        "directions": (torch.eye(6), "floats (N, M)"),
        "labels": (L30, "labels"),
        "spaces": (lambda: {"pixels": H}, "object?"),
        "ties": (H, "floats (N, M)?"),
        "k": (3, "whole"),
    },
    units.randomisation_p: {
        "units": (torch.rand(6), "floats (N,)"),
        "bases": (torch.rand(9, 6), "floats (N, M)"),
    },
    units.verdict: {
        "low": (0.0, "number"),
        "high": (0.1, "number"),
        "margin": (0.2, "number"),
    },
    units.equivalence: {"differences": ([0.1, 0.2], "object"), "margin": (0.2, "number")},
    units.advantage: {
        "units": (0.0, "number"),
        "chance": (0.1, "number"),
        "name": ("purity", "texts"),
    },
    lbfgsb.minimize: {
        "fun": (values, "function"),
        "x0": (torch.rand(2, 3), "floats (N, M)"),
        "lower": (0.0, "number"),
        "upper": (1.0, "number"),
        "centre": (torch.rand(2, 3), "floats (N, M)"),
        "weight": (torch.rand(2), "numbers or more"),
        "restart": (None, "function?"),
        "memory": (3, "whole"),
        "tolerance": (1e-3, "number"),
        "decrease": (1e-3, "number"),
        "max_evaluations": (9, "whole"),
        "per_solve": (9, "whole?"),
    },
    lbfgsb.plain.minimize: {
        "fun": (value, "function"),
        "x0": (torch.rand(3), "vector"),
        "lower": (0.0, "number"),
        "upper": (1.0, "number"),
        "memory": (3, "whole"),
        "tolerance": (1e-3, "number"),
        "max_iterations": (9, "whole"),
        "two_loop": (lbfgsb.plain.two_loop, "function"),
        "search": (lbfgsb.plain.projected_search, "function"),
    },
    lbfgsb.plain.with_gradient: {"function": (lambda: torch.sum, "function")},
    spectral.lipschitz: {
        "net": net_,
        "input_shape": ((1, 4, 4), "shape"),
        "starts": (1, "whole?"),
        "steps": (1, "whole?"),
        "seed": (0, "whole"),
    },
    spectral.certified_radius: first_ | {"net": net_, "method": ("tight", "name")},
    spectral.certified_radii: first_ | {"net": net_, "methods": (("tight",), "object")},
    spectral.certified_accuracy: {
        "radii": (torch.rand(3), "floats (N,)"),
        "radius": (0.1, "numbers or more"),
    },
    spectral.margins: first_ | {"net": net_},
    spectral.norm_bounds: {"layer": layer_, "input_shape": shape_},
    spectral.operator_norm: {"layer": layer_, "input_shape": shape_},
    spectral.norm_row: {"layer": layer_, "input_shape": shape_},
    spectral.differentiable_norm: {
        "layer": layer_,
        "input_shape": shape_,
        "bound": ("upper", "name"),
    },
    spectral.explicit_matrix: {"layer": layer_, "input_shape": shape_},
    spectral.singular_values: {"layer": layer_, "input_shape": shape_},
    spectral.symbols: {
        "layer": (lambda: nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"), "net"),
        "input_shape": ((1, 4, 4), "shape"),
    },
    spectral.slope_range: {"layer": (nn.ReLU, "net")},
    spectral.fold_batch_norm: {
        "layer": layer_,
        "normalisation": (lambda: nn.BatchNorm1d(4).eval(), "net"),
    },
    data.make_splits: {"labels": (np.arange(30) % 10, "object"), "seed": (0, "whole")},
    data.load_mnist: {
        "part": ("test", "name"),
        "device": ("cpu", "device?"),
        "folder": (None, "folder?"),
    },
    data.check_images: {"images": (torch.rand(3, 1, 28, 28), "images")},
    data.check_part: {"part": ("test", "name")},
    data.fingerprint: {"part": ("test", "name")},
    models.network: {"name": ("FC10(1)", "name")},
    models.initial_seed: {"name": ("FC10(1)", "texts"), "seed": (0, "whole")},
    models.linear: {
        "inputs": (3, "whole"),
        "outputs": (2, "whole"),
        "generator": (lambda: devices.generator(0), "generator"),
    },
    models.convolution: {
        "inputs": (3, "whole"),
        "outputs": (2, "whole"),
        "generator": (lambda: devices.generator(0), "generator"),
    },
    models.assemble: {
        "architecture": (models.Architecture(hidden=(3,)), "object"),
        "seed": (0, "whole"),
    },
    models.build: {"name": ("FC10(1)", "name"), "seed": (0, "whole")},
    models.layer_names: {"net": net_},
    models.activations: {
        "net": net_,
        "images": x_,
        "layer": ("1", "name"),
        "batch_size": (2, "whole"),
    },
    models.predictions: {"net": net_, "images": x_, "batch_size": (2, "whole")},
    models.error_rate: {"net": net_, "dataset": (DATA, "data set")},
    zoo.recipe: {"name": ("FC10(1)", "name")},
    zoo.file_name: {"name": ("FC10(1)", "name"), "seed": (0, "whole")},
    zoo.replicate: {"name": ("CONV", "name"), "seed": (0, "whole")},
    zoo.load: {
        "name": ("FC10(1)", "name"),
        "seed": (0, "whole"),
        "device": ("cpu", "device?"),
    },
    zoo.card: {"name": ("FC10(1)", "name"), "seed": (0, "whole")},
    zoo.find: {"name": ("FC10(1)", "name"), "seed": (0, "whole")},
    training.train: {
        "net": (lambda: models.build("FC10(1)"), "net"),
        "dataset": (lambda: data.load_mnist("test", "cpu")[:4], "data set"),
        "epochs": (1, "whole"),
        "learning_rate": (1e-2, "number"),
        "batch_size": (2, "whole"),
        "decay": (0.1, "number"),
        "convention": ("half", "name"),
        "seed": (0, "whole"),
        "penalty": (None, "function?"),
        "progress": (False, None),
    },
    training.train_autoencoder: {
        "encoder": (lambda: nn.Linear(784, 3), "net"),
        "dataset": (lambda: data.load_mnist("test", "cpu")[:4], "data set"),
        "epochs": (1, "whole"),
        "learning_rate": (1e-2, "number"),
        "batch_size": (2, "whole"),
        "seed": (0, "whole"),
        "target": (0.1, "number"),
        "strength": (1.0, "number"),
        "decay": (0.1, "number"),
        "progress": (False, None),
    },
    training.fit_softmax: {
        "layer": (lambda: nn.Linear(6, 3), "net"),
        "features": h_,
        "labels": (L30, "labels"),
        "decay": (0.1, "number"),
        "convention": ("half", "name"),
        "tolerance": (1e-3, "number"),
        "iterations": (50, "whole"),
        "progress": (False, None),
    },
    training.shuffled_batches: {
        "dataset": (DATA, "data set"),
        "batch_size": (2, "whole"),
        "generator": (lambda: devices.generator(0), "generator"),
    },
}
# What a lesson's reader writes: its code is the solution that the lesson shows, and what is
# around it checks what goes in.
SOLUTIONS = {
    training.weight_decay,
    training.kl_sparsity,
    lbfgsb.plain.project,
    lbfgsb.plain.projected_gradient,
    lbfgsb.plain.active,
    lbfgsb.plain.two_loop,
    lbfgsb.plain.direction,
    lbfgsb.plain.projected_search,
}
# the parts of plain.minimize and of the zoo's files, which only the library calls, with what it
# has checked; and what takes no argument
INNER = {
    data.read_idx,
    data.splits,
    lbfgsb.plain.as_tensor,
    lbfgsb.plain.checked_start,
    lbfgsb.plain.checked_values,
    training.check,
    training.descend,
    training.progress_bar,
    training.weight_matrices,
    units.read_record,
    zoo.fit_last,
    zoo.kept,
    zoo.read,
    zoo.recipe_fingerprint,
    zoo.save,
    zoo.scores,
    zoo.status,
    zoo.train,
    zoo.weights_digest,
}


def public():
    found = set()
    for module in (*MODULES, lbfgsb.plain):
        for name in getattr(module, "__all__", None) or vars(module):
            thing = getattr(module, name)
            function = callable(thing) and not isinstance(thing, type)
            if function and not name.startswith("_") and thing.__module__.startswith("course_lib"):
                own = hasattr(module, "__all__") or thing.__module__ == module.__name__
                found |= {thing} if own else set()
    return found


def test_no_public_function_is_left_out():
    assert public() == set(TABLE) | SOLUTIONS | INNER


def made(right):
    """A right value, made anew."""
    value, kind = right
    return value() if callable(value) and kind != "function" else value


def cases():
    for function, arguments in TABLE.items():
        for name, (_, kind) in arguments.items():
            if kind in WRONG or (kind or "").rstrip("?") in WRONG:
                yield pytest.param(function, name, id=f"{function.__name__}-{name}")


@pytest.mark.parametrize("function", TABLE, ids=lambda f: f"{f.__module__}.{f.__name__}")
def test_the_right_arguments_are_taken(function):
    function(**{name: made(right) for name, right in TABLE[function].items()})


@pytest.mark.parametrize(("function", "argument"), cases())
def test_what_is_no_such_argument_is_told(function, argument):
    right, kind = TABLE[function], TABLE[function][argument][1]
    problems = []
    for what, wrong in WRONG[kind.rstrip("?")].items():
        if wrong is None and kind.endswith("?"):
            continue
        given = {name: made(value) for name, value in right.items()}
        try:
            found = function(**given | {argument: wrong})
            list(found) if function is training.shuffled_batches else None
        except (TypeError, ValueError, KeyError) as error:
            problem = not_ours(error)
        except BaseException as error:
            problem = f"{type(error).__name__}: {error}"
        else:
            problem = "taken"
        if problem:
            problems.append(f"{what}: {problem[:150]}")
    assert not problems


def not_ours(error) -> str:
    """What is wrong with an error; "" for a sentence that a raise of the library's has made."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    text = str(error.args[0] if error.args else "")
    where = f"{Path(frame.filename).name}:{frame.lineno}: {frame.line}"
    if not Path(frame.filename).is_relative_to(FOLDER):
        return f"{where}: {type(error).__name__}: {text}"
    inside = Path(frame.filename).read_text(encoding="utf-8").splitlines()
    if not inside[frame.lineno - 1].strip().startswith("raise"):
        return f"{where}: {type(error).__name__}: {text}"
    sentence = re.fullmatch(r"\S.{15,}[.)]", text, re.DOTALL)
    return "" if sentence else f"{where}: no sentence: {text}"


ROWS = {
    "list": [0.1, 0.2],
    "tuple": (0.1, 0.2),
    "array": np.array([0.1, 0.2]),
    "keys": {0.1: 1, 0.2: 2}.keys(),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_values_in_a_row_need_not_be_a_list(row):
    checked.NUMBERS.check(row, "levels")
    few = data.load_mnist("test", "cpu").sample(4, seed=0)
    table = transfer.transfer_table(["FC10(1)"], None, few, stddev=row, noise=row, cache=False)
    assert table.rows
    assert units.equivalence(row, 0.5).verdict == units.equivalence([0.1, 0.2], 0.5).verdict


@pytest.mark.parametrize("seeds", [range(1), np.arange(1), {0: "a"}.keys(), (0,), [0]])
def test_seeds_need_not_be_a_list(seeds):
    few = data.load_mnist("test", "cpu").sample(4, seed=0)
    table = transfer.transfer_table(["FC10(1)"], None, few, seeds=seeds, noise=(), cache=False)
    assert table.rows


@pytest.mark.parametrize("no_row", ["ab", b"ab", {"a": 1}, 3, None, torch.zeros(2, 2)])
def test_what_is_no_row_of_values(no_row):
    assert not checked.is_row(no_row)
    with pytest.raises(TypeError, match="levels"):
        checked.NUMBERS.check(no_row, "levels")
