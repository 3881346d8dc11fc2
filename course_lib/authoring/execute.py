"""Run a solved notebook, clean its outputs, and know whether it has to be run again.

The kernel runs strictly (an exercise that does not PASS raises), on the CPU, in a folder of its
own, with widgets drawn as plain figures: what is stored can be read on a code host.
"""

import copy
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import ipykernel.kernelspec
import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from .. import storage
from ..sourcecode import file_of, modules_read, substance

MOST_BYTES = 1_500_000  # of a solved notebook, so that the repository does not swell
SECONDS = 600  # for one cell
WIDGET = "application/vnd.jupyter.widget-view+json"


class ExecutionError(RuntimeError):
    """The notebook could not be executed; the message is a sentence that names the cell."""


# ---------------------------------------------------------------- the fingerprint


def _assets(modules: list[str], text: str) -> list[Path]:
    """The committed data that belong to what is read: the zoo's files; records that are named."""
    package, files = storage.PACKAGE.name, []
    if f"{package}.zoo" in modules:
        files += sorted((storage.ASSETS / "zoo").glob("*"))
    records = sorted((storage.ASSETS / "records").glob("*.json"))
    return [f for f in files if f.is_file()] + [r for r in records if r.stem in text]


def fingerprint(notebook) -> str:
    """A hash over the notebook's code and what the code reads: modules, weights, records.

    Text cells, comments and docstrings of modules, and the check engine do not count: none of
    them changes what a cell prints.
    """
    cells = _code(notebook)
    code = "\n".join(source for _, source in cells)
    modules = modules_read(code)
    texts = {m: substance(file_of(m).read_text(encoding="utf-8")) for m in modules}
    assets = {
        path.relative_to(storage.ASSETS).as_posix(): storage.sha256(path)
        for path in _assets(modules, code + "".join(texts.values()))
    }
    whole = json.dumps([cells, texts, assets], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(whole.encode("utf-8")).hexdigest()


def is_fresh(stored, notebook) -> bool:
    """Whether the stored notebook's outputs are those of ``notebook`` as things are now."""
    mark = stored.metadata.get("course", {}).get("fingerprint")
    return (
        _code(stored) == _code(notebook)  # somebody may have edited the file
        and not complaints(stored)
        and mark == fingerprint(notebook)
    )


def _code(notebook) -> list[tuple[str, str]]:
    return [(c.get("id"), c.source) for c in notebook.cells if c.cell_type == "code"]


def with_outputs_of(notebook, stored):
    """``notebook`` with the outputs that ``stored`` has for the cells that did not change."""
    old = {c.id: c for c in stored.cells if c.cell_type == "code" and "id" in c}
    new = copy.deepcopy(notebook)
    for cell in new.cells:
        before = old.get(cell.id)
        if cell.cell_type == "code" and before is not None and before.source == cell.source:
            cell.outputs, cell.execution_count = before.outputs, before.execution_count
    mark = stored.metadata.get("course", {}).get("fingerprint")
    if mark:
        new.metadata.course["fingerprint"] = mark
    return new


# ---------------------------------------------------------------- running


class _ThisPython(KernelSpecManager):
    """Whatever kernels a machine knows: the one that runs is of this very Python."""

    def get_kernel_spec(self, kernel_name):
        return self.kernel_spec_class(
            resource_dir=ipykernel.kernelspec.RESOURCES, **ipykernel.kernelspec.get_kernel_dict()
        )


class _Manager(AsyncKernelManager):
    """A manager that the client makes, and therefore also shuts down."""

    def _kernel_spec_manager_default(self):
        return _ThisPython(parent=self)


def kernel_environment(home: Path, strict: bool, static: bool) -> dict[str, str]:
    """The environment in which a notebook's kernel is started, here and by nbval."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("COURSE_")}
    path = [str(storage.PACKAGE.parent), env.get("PYTHONPATH", "")]
    env |= {
        "PYTHONPATH": os.pathsep.join(p for p in path if p),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "COURSE_HOME": str(home),
        "COURSE_DEVICE": os.environ.get("COURSE_DEVICE", "cpu"),
        "IPYTHONDIR": str(home / "ipython"),
        "PYTHONHASHSEED": "0",
    }
    if strict:
        env["COURSE_STRICT"] = "1"
    if static:
        env |= {"COURSE_STATIC": "1", "TQDM_DISABLE": "1"}
    return env


def run(notebook, environment, folder: Path, timeout: int = SECONDS, begun: list | None = None):
    """Execute ``notebook`` in place, in ``folder``. Raises nbclient's errors.

    Each code cell is appended to ``begun`` when its turn comes.
    """
    client = NotebookClient(
        notebook,
        kernel_manager_class=_Manager,
        shutdown_kernel="immediate",
        timeout=timeout,
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        store_widget_state=False,
        on_cell_execute=lambda cell, cell_index: None if begun is None else begun.append(cell),
    )
    # what the kernel process itself says (a note on its transport) is no concern of the author's
    client.execute(env=dict(environment), stderr=subprocess.DEVNULL)
    return notebook


def execute(
    notebook,
    lines: Mapping[str, int] | None = None,
    source: str = "the source",
    environment: Mapping[str, str] | None = None,
    timeout: int = SECONDS,
):
    """An executed, cleaned copy of ``notebook`` with its fingerprint, and notes about the run.

    ``lines`` maps a cell's id to its line in ``source``, for the sentences.
    Raises ExecutionError if a cell fails, hangs or kills its kernel, or if the result is too big.
    """
    new = copy.deepcopy(notebook)
    with tempfile.TemporaryDirectory(prefix="course-build-", ignore_cleanup_errors=True) as folder:
        home = Path(folder).resolve() / "home"
        home.mkdir()
        env = kernel_environment(home, strict=True, static=True) | dict(environment or {})
        env |= {"COURSE_DEVICE": "cpu"}
        try:
            run(new, env, Path(folder), timeout, begun := [])
        except (CellExecutionError, CellTimeoutError, DeadKernelError, RuntimeError) as error:
            if not begun:
                raise ExecutionError(f"{source}: the kernel did not start: {error}.") from None
            raise ExecutionError(
                _sentence(begun[-1], error, lines or {}, source, timeout)
            ) from None
        notes = clean(new, {str(home): "~/course-home", folder: "."})
    problems = complaints(new)
    if problems:
        raise ExecutionError(f"{source}: {' '.join(problems)}")
    new.metadata.setdefault("course", {})["fingerprint"] = fingerprint(notebook)
    nbformat.validate(new)
    return new, notes


def _sentence(cell, error, lines, source, timeout) -> str:
    where = f"{source}:{lines[cell.id]}" if cell.id in lines else source
    if isinstance(error, CellTimeoutError):
        why = f"did not end within {timeout} seconds"
    elif isinstance(error, DeadKernelError):
        why = "killed its kernel (out of memory, or a crash)"
    else:
        why = f"raised {error.ename}: {str(error.evalue).strip()}"
    return f"{where}: the cell {cell.id!r} {why}."


# ---------------------------------------------------------------- cleaning


def _tidy(text: str, paths: Mapping[str, str]) -> str:
    """Text without what differs between machines and runs."""
    places = {**paths, str(storage.PACKAGE.parent): ".", sys.prefix: "<python>"}
    places[str(Path.home())] = "~"
    for path in sorted(places, key=len, reverse=True):
        if len(path) > 1:
            text = text.replace(path, places[path])
    if "ipykernel_" in text:
        # from a word's start only, else a long word takes quadratic time
        text = re.sub(r"(?<!\S)\S*ipykernel_\d+[/\\]\d+\.py", "<cell>", text)
    text = re.sub(r"\b0x[0-9a-fA-F]{6,}\b", "0x...", text)
    # what a terminal would show after carriage returns: the last version of each line
    text = re.sub(r"^.*\r(?=[^\n])", "", text.replace("\r\n", "\n"), flags=re.MULTILINE)
    return text.replace("\r", "")


PROGRESS = re.compile(r"^.*\d+%\|.*\|.*$\n?|^\s*\d+it \[.*\]\s*$\n?", re.MULTILINE)


def clean(notebook, paths: Mapping[str, str] | None = None) -> list[str]:
    """Take out of an executed notebook what differs from run to run; return notes on the rest."""
    notes = []
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        cell.metadata.pop("collapsed", None)
        if cell.cell_type != "code":
            continue
        kept = []
        for output in cell.outputs:
            if output.output_type == "stream":
                text = PROGRESS.sub("", _tidy(output.text, paths or {}))
                if not text.strip():
                    continue
                if output.name == "stderr":
                    notes.append(f"the cell {cell.id!r} wrote to stderr: {text.strip()[:200]}")
                if kept and kept[-1].output_type == "stream" and kept[-1].name == output.name:
                    kept[-1].text += text
                    continue
                output.text = text
            elif "data" in output:
                for kind, value in output.data.items():
                    if isinstance(value, str) and not kind.startswith("image/png"):
                        output.data[kind] = _tidy(value, paths or {})
            kept.append(output)
        cell.outputs = kept
    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = {"name": "python"}
    return notes


def complaints(notebook) -> list[str]:
    """Sentences on what a stored, executed notebook must not have."""
    found, sizes = [], {}
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    waiting = [cell.id for cell in code if cell.execution_count is None]
    if waiting:
        others = f" (and {len(waiting) - 1} more)" if len(waiting) > 1 else ""
        found.append(f"The cell {waiting[0]!r}{others} was not executed.")
    for cell in code:
        for output in cell.outputs:
            size = len(json.dumps(output))
            sizes[cell.id] = sizes.get(cell.id, 0) + size
            if output.output_type == "error":
                found.append(f"The cell {cell.id!r} ended in {output.ename}.")
            if WIDGET in output.get("data", {}):
                found.append(
                    f"The cell {cell.id!r} shows a widget, which is blank in a static page: use "
                    "course_lib.widgets, which draws plain figures under COURSE_STATIC=1."
                )
    total = len(nbformat.writes(notebook).encode("utf-8"))
    if total > MOST_BYTES and sizes:
        biggest = max(sizes, key=sizes.get)
        found.append(
            f"The notebook has {total / 1e6:.1f} MB, at most {MOST_BYTES / 1e6:.1f} are allowed; "
            f"the biggest output is that of the cell {biggest!r} ({sizes[biggest] / 1e6:.2f} MB)."
        )
    return found
