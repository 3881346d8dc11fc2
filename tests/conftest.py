"""Every test writes into a folder of its own, and computes on the CPU unless it says otherwise."""

import os
import random
import sys

import numpy
import pytest
import torch

# A test that draws passes with any seed. COURSE_SEED=7 tries another one.
SEED = int(os.environ.get("COURSE_SEED", "0"))


def _sow():
    """torch begins with another seed in each process: a network that a file makes while it is
    imported, or a test that sets no seed, would be another one each time."""
    random.seed(SEED)
    numpy.random.seed(SEED % 2**32)  # noqa: NPY002 (who draws from it is a library)
    torch.manual_seed(SEED)


def pytest_collectstart(collector):
    """What a file draws while it is imported does not hang on the files before it."""
    if isinstance(collector, pytest.Module):
        _sow()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Before the fixtures of a file: they draw the same whichever test asks first."""
    _sow()


@pytest.fixture(autouse=True)
def _seeded():
    """After them: a test draws the same alone and among the others."""
    _sow()


def pytest_terminal_summary(terminalreporter, config):
    """Where ``-k`` names no exercise, say which is nearest; pytest says only "deselected"."""
    stats, word = terminalreporter.stats, config.option.keyword
    asked = any("test_exercises.py" in str(argument) for argument in config.args)
    if asked and word and len(stats.get("deselected", ())) and set(stats) <= {"deselected", ""}:
        from course_lib.exercises import find

        try:
            find(word)
        except LookupError as error:
            terminalreporter.write_line(error.args[0])


def pytest_collection_modifyitems(config, items):
    """What takes minutes runs when it is asked for: by COURSE_THOROUGH=1, and on a pretended GPU
    when ``-m`` speaks of "long"."""
    if not os.environ.get("COURSE_THOROUGH"):
        for item in items:
            if item.get_closest_marker("thorough"):
                item.add_marker(pytest.mark.skip(reason="needs COURSE_THOROUGH=1"))
    if "long" in config.getoption("markexpr", ""):
        return
    long = [i for i in items if i.get_closest_marker("long") and _is_pretended(i)]
    config.hook.pytest_deselected(items=long)
    items[:] = [i for i in items if i not in long]


def _is_pretended(item) -> bool:
    return item.get_closest_marker("pretended_gpu") is not None


@pytest.fixture(autouse=True)
def _own_folder(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("COURSE_DEVICE", "cpu")
    monkeypatch.delenv("COURSE_STRICT", raising=False)


@pytest.fixture(autouse=True)
def _compiled_apart():
    """torch recompiles a function eight times in a process, and refuses then: start anew."""
    yield
    if "torch._dynamo" in sys.modules:
        torch.compiler.reset()


def _pretend():
    from pretended_gpu import pretended_gpu

    from course_lib import device
    from course_lib.exercises import trials

    def forget():
        """What is kept of "cuda": a pretence and a real GPU have the same name."""
        for kept in (device._tested, trials._reference, trials._mistaken):
            kept.cache_clear()

    with pretended_gpu() as pretended:
        forget()
        try:
            yield pretended
        finally:
            forget()
    assert pretended.operations > 0, "nothing was computed on the pretended GPU"


PRETENDED = pytest.param("pretended", marks=pytest.mark.pretended_gpu)


@pytest.fixture(params=[PRETENDED])
def pretended_gpu():
    """A pretended GPU (tests/pretended_gpu), which counts its operations."""
    yield from _pretend()


@pytest.fixture(params=[PRETENDED, pytest.param("real", marks=pytest.mark.gpu)])
def gpu(request):
    """A GPU at "cuda", first pretended, then real: the same test, skipped where there is none."""
    if request.param == "pretended":
        yield from _pretend()
    elif torch.cuda.is_available():
        yield None
    else:
        pytest.skip("there is no CUDA device")
