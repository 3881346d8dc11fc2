"""How pytest runs this repository: no test touches a learner's files; nbval runs the notebooks.

nbval makes every code cell of ``lessons/`` (unsolved) and ``solutions/`` (solved, strictly) a test:

    python -m pytest tests lessons solutions --nbval-lax --nbval-current-env -n2 --dist loadfile

On top of nbval: each notebook's kernel gets an environment and a folder of its own; a kernel that
dies is noticed at once; after a failure the notebook's later cells are skipped; and what a cell
tagged "result" prints must agree with what is stored in the solved notebook.
"""

import collections
import os
import shutil
import tempfile
import time
from pathlib import Path
from queue import Empty

import pytest

# Files that take about a minute or more: they go first, else one worker has one of them left at the
# end while the other waits. The rest follow by their number of tests.
LONG = (
    "test_downstream.py",
    "test_add_an_exercise.py",
    "test_assign.py",
    "test_lab_browser.py",
    "test_attack_oracles.py",
    "test_site.py",
    "test_lessons_on_a_gpu.py",
    "test_grading.py",
    "test_start.py",
    "test_adversary.py",
    "test_attack_promises.py",
    "test_architecture.py",
)
OUTPUT_SECONDS = 60  # nbval's own limit for a message after the cell's end is 5 seconds


def pytest_configure(config):
    config.addinivalue_line("markers", "notebook: a cell of a notebook, run by nbval")
    config.course_folder = Path(tempfile.mkdtemp(prefix="course-tests-"))
    config.course_home = os.environ.get("COURSE_HOME")
    os.environ["COURSE_HOME"] = str(config.course_folder / "home")
    if config.pluginmanager.hasplugin("nbval"):
        _teach_nbval()


def pytest_unconfigure(config):
    if config.course_home is None:
        os.environ.pop("COURSE_HOME", None)
    else:
        os.environ["COURSE_HOME"] = config.course_home
    shutil.rmtree(config.course_folder, ignore_errors=True)


def pytest_collection_modifyitems(items):
    tests = collections.Counter(item.path for item in items)
    items.sort(key=lambda item: _place(item.path, tests))
    for item in items:
        if item.path.suffix == ".ipynb":
            item.output_timeout = OUTPUT_SECONDS
            item.add_marker(pytest.mark.notebook)


def _place(path, tests) -> tuple:
    """Where a file stands in the order in which files are run; the order within it stays."""
    if path.name in LONG:
        return 0, LONG.index(path.name), str(path)
    return (1 if path.suffix == ".ipynb" else 2), -tests[path], str(path)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    failed = getattr(item.parent, "failed_cell", None)
    if failed:
        pytest.skip(f"{failed} of this notebook failed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    item.config.variables = dict(os.environ)
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item):
    """A test that loses the variables of this process says so itself, and costs no other test."""
    found = yield
    if "PATH" in item.config.variables and "PATH" not in os.environ:
        os.environ.update(item.config.variables | dict(os.environ))
        raise AssertionError("This test lost the variables of the process, PATH among them.")
    return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed and item.path.suffix == ".ipynb":
        item.parent.failed_cell = getattr(item.parent, "failed_cell", None) or item.name
    return report


# ---------------------------------------------------------------- nbval


def _teach_nbval():
    from nbval import plugin
    from nbval.kernel import RunningKernel

    if getattr(plugin, "taught", False):
        return
    plugin.taught = True
    start, run = plugin.IPyNbFile.setup, plugin.IPyNbCell.runtest

    def setup(self):
        # a kernel inherits os.environ at its start; lessons and solutions may share this process
        before, inside = dict(os.environ), _kernel_environment(self)
        os.environ.clear()
        os.environ.update(inside)
        try:
            start(self)
        finally:
            os.environ.clear()
            os.environ.update(before)

    def runtest(self):
        run(self)
        _compare_result(self)

    plugin.IPyNbFile.setup = setup
    plugin.IPyNbCell.runtest = runtest
    RunningKernel.await_reply = _await_reply


def _kernel_environment(file) -> dict[str, str]:
    from course_lib.authoring.execute import kernel_environment

    solved = file.path.parent.name == "solutions"
    # a home per notebook: a prediction kept in one must not be found in another
    home = file.config.course_folder / f"{file.path.parent.name}-{file.path.stem}"
    home.mkdir(exist_ok=True)
    return kernel_environment(home, strict=solved, static=solved)


def _await_reply(self, msg_id, timeout=None):
    """nbval's, but a dead kernel is noticed within a second, not at the cell's time limit."""
    end = time.monotonic() + (timeout or float("inf"))
    while True:
        try:
            message = self.get_message("shell", timeout=min(1.0, max(0.0, end - time.monotonic())))
        except Empty:
            if not self.is_alive():
                raise RuntimeError(
                    "the cell killed its kernel (out of memory, or a crash)"
                ) from None
            if time.monotonic() >= end:
                raise
            continue
        if message["parent_header"].get("msg_id") == msg_id:
            if message["content"]["status"] == "aborted":
                raise RuntimeError("the kernel refused to run the cell")
            return


def _compare_result(item):
    """A cell tagged "result" must print what the solved notebook has stored for it."""
    from course_lib.authoring import files, results

    if "result" not in item.cell.metadata.get("tags", []):
        return
    path = item.path.parent.parent / "solutions" / item.path.name
    solved = files.load_notebook(path)
    stored = {c.id: c for c in solved.cells} if solved else {}
    if item.cell.id not in stored:
        item.raise_cell_error(f"{path.name} in solutions/ has no cell {item.cell.id!r}")
    sentence = results.compare(item.test_outputs, stored[item.cell.id].outputs)
    if sentence:
        item.raise_cell_error(f"the result {item.cell.id!r} {sentence}", sentence)
