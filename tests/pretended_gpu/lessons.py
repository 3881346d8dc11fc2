"""A solved lesson, run on the pretended GPU: all its cells, in a kernel of its own."""

import json
from pathlib import Path

import nbformat
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from course_lib.authoring import execute, results

TESTS = Path(__file__).parents[1]
SOLUTIONS = TESTS.parent / "solutions"
NAMES = sorted(path.stem for path in SOLUTIONS.glob("[0-9][0-9]_*.ipynb"))

# IPython runs it before the first cell
STARTUP = """
import sys
sys.path.insert(0, {tests!r})
from pretended_gpu import pretended_gpu as _pretended_gpu
_pretence = _pretended_gpu()
_gpu = _pretence.__enter__()
"""


def _as_on_a_processor(outputs):
    """What a cell printed, with the other name for the device: the stored ones ran on the cpu."""
    return nbformat.from_dict(json.loads(json.dumps(outputs).replace("cuda:0", "cpu")))


def run(name: str, folder: Path, timeout: int = execute.SECONDS) -> tuple[int, list[str]]:
    """How many operations the solved lesson ``name`` did on the GPU, and what went wrong.

    The kernel runs in ``folder``, which is empty, with COURSE_DEVICE=cuda. Wrong are the first
    error and the results that differ from the stored ones, each a sentence.
    """
    stored = nbformat.read(SOLUTIONS / f"{name}.ipynb", as_version=nbformat.NO_CONVERT)
    notebook = nbformat.from_dict(stored)
    notebook.cells.append(nbformat.v4.new_code_cell("print(_gpu.operations)", id="operations"))
    home = folder / "home"
    environment = execute.kernel_environment(home, strict=True, static=True)
    startup = Path(environment["IPYTHONDIR"]) / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00-pretended-gpu.py").write_text(STARTUP.format(tests=str(TESTS)), encoding="utf-8")
    environment["COURSE_DEVICE"] = "cuda"
    begun = []
    try:
        execute.run(notebook, environment, folder, timeout, begun)
    except (CellExecutionError, CellTimeoutError, DeadKernelError, RuntimeError) as error:
        where = repr(begun[-1].id) if begun else "before the first"
        said = f"{error.ename}: {error.evalue}" if hasattr(error, "evalue") else str(error).strip()
        return 0, [f"{name}, cell {where}: {said}"]
    problems = []
    for new, old in zip(notebook.cells, stored.cells, strict=False):
        if "result" in new.metadata.get("tags", []):
            sentence = results.compare(_as_on_a_processor(new.outputs), old.outputs)
            if sentence:
                problems.append(f"{name}: the result {new.id!r} {sentence}")
    return int(notebook.cells[-1].outputs[0].text), problems
