"""Run a solved notebook, clean its outputs, and know whether it has to be run again.

The kernel runs strictly (an exercise that does not PASS raises), on the CPU, in a folder of its
own, with widgets drawn as plain figures: what is stored can be read on a code host.
"""

import ast
import copy
import hashlib
import json
import os
import queue
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import ipykernel.kernelspec
import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from .. import storage
from ..alternatives import picture_in
from ..sourcecode import file_of, modules_read, substance

MOST_BYTES = 1_500_000  # of a solved notebook, so that the repository does not swell
SECONDS = 600  # for one cell
VALUES = 10  # seconds for the values of a failed assert
PRINTED = 300  # characters of what a cell had printed when it failed
WIDGET = "application/vnd.jupyter.widget-view+json"


class ExecutionError(RuntimeError):
    """The notebook could not be executed; the message is a sentence that names the cell."""


# ---------------------------------------------------------------- the fingerprint


def assets(modules: list[str], text: str) -> list[Path]:
    """The committed data that belong to what is read: the zoo's files, the glossary; records that
    are named."""
    package, files = storage.PACKAGE.name, []
    if f"{package}.zoo" in modules:
        files += sorted((storage.ASSETS / "zoo").glob("*"))
    if f"{package}.glossary" in modules:
        files.append(storage.ASSETS / "glossary.toml")
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
    data = {
        path.relative_to(storage.ASSETS).as_posix(): storage.sha256(path)
        for path in assets(modules, code + "".join(texts.values()))
    }
    whole = json.dumps([cells, texts, data], sort_keys=True, ensure_ascii=False)
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


def run(
    notebook,
    environment,
    folder: Path,
    timeout: int = SECONDS,
    begun: list | None = None,
    failed: dict | None = None,
):
    """Execute ``notebook`` in place, in ``folder``. Raises nbclient's errors.

    Each code cell is appended to ``begun`` when its turn comes. Where one fails in an assert,
    ``failed`` gets what this compares: expression -> its value, as text.
    """

    async def look(cell, cell_index, execute_reply):
        if failed is not None:
            failed.update(await _values(client, notebook, cell))

    client = NotebookClient(
        notebook,
        kernel_manager_class=_Manager,
        shutdown_kernel="immediate",
        timeout=timeout,
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        store_widget_state=False,
        on_cell_execute=lambda cell, cell_index: None if begun is None else begun.append(cell),
        on_cell_error=look,
    )
    # what the kernel process itself says (a note on its transport) is no concern of the author's
    client.execute(env=dict(environment), stderr=subprocess.DEVNULL)
    return notebook


def execute(
    notebook,
    lines: Mapping[str, int | Sequence[int]] | None = None,
    source: str = "the source",
    environment: Mapping[str, str] | None = None,
    timeout: int = SECONDS,
):
    """An executed, cleaned copy of ``notebook`` with its fingerprint, and notes about the run.

    ``lines`` maps a cell's id to its line in ``source``, or to those of all its lines, for the
    sentences.
    Raises ExecutionError if a cell fails, hangs or kills its kernel, or if the result is too big.
    """
    new = copy.deepcopy(notebook)
    with tempfile.TemporaryDirectory(prefix="course-build-", ignore_cleanup_errors=True) as folder:
        home = Path(folder).resolve() / "home"
        home.mkdir()
        env = kernel_environment(home, strict=True, static=True) | dict(environment or {})
        env |= {"COURSE_DEVICE": "cpu"}
        try:
            run(new, env, Path(folder), timeout, begun := [], values := {})
        except (CellExecutionError, CellTimeoutError, DeadKernelError, RuntimeError) as error:
            if not begun:
                raise ExecutionError(f"{source}: the kernel did not start: {error}.") from None
            paths = {str(home): "~/course-home", folder: "."}
            said = _sentence(new, begun[-1], error, lines or {}, source, timeout, values)
            raise ExecutionError(_tidy(said, paths)) from None
        notes = clean(new, {str(home): "~/course-home", folder: "."})
    problems = complaints(new)
    if problems:
        raise ExecutionError(f"{source}: {' '.join(problems)}")
    new.metadata.setdefault("course", {})["fingerprint"] = fingerprint(notebook)
    nbformat.validate(new)
    return new, notes


def _sentence(notebook, cell, error, lines, source, timeout, values) -> str:
    if isinstance(error, CellTimeoutError):
        failing, number = cell, 0
        why = f"did not end within {timeout} seconds"
    elif isinstance(error, DeadKernelError):
        failing, number = cell, 0
        why = "killed its kernel (out of memory, or a crash)"
    else:
        failing, number = _failing(notebook, cell)
        said = str(error.evalue).strip()
        why = f"raised {error.ename}" + (f": {said}" if said else "")
        if statement := _assert_at(failing.source, number):
            why += f" at `{ast.unparse(ast.Assert(statement.test))}`"
            shown = [f"{name} is {value}" for name, value in values.items()]
            why += f", where {' and '.join(shown)}" if shown else ""
    where = source
    if known := lines.get(failing.id):
        known = [known] if isinstance(known, int) else known
        where += f":{known[min(max(number - 1, 0), len(known) - 1)]}"
    via = "" if failing is cell else f" (in a function of {failing.id!r})"
    printed = [o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stdout"]
    text = "".join(printed).strip()
    text = text if len(text) <= PRINTED else f"... {text[-PRINTED:]}"
    return f"{where}: the cell {cell.id!r}{via} {why.rstrip('.')}." + (
        f" It had printed: {text!r}." if text else ""
    )


def _failing(notebook, cell):
    """The cell that holds the line at which ``cell`` failed, and that line's number (0: unknown).

    It is another cell where a function failed that an earlier one defines.
    """
    text = "\n".join(line for o in cell.outputs if o.output_type == "error" for line in o.traceback)
    frames = re.findall(r"\bCell In\[(\d+)\], line (\d+)", re.sub(r"\x1b\[[0-9;]*m", "", text))
    if not frames:
        return cell, 0
    count, line = map(int, frames[-1])
    counts = {c.execution_count: c for c in notebook.cells if c.cell_type == "code"}
    return counts.get(count, cell), line


def _assert_at(code: str, line: int) -> ast.Assert | None:
    """The assert in ``code`` that stands in ``line``."""
    found = [
        node
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Assert) and node.lineno <= line <= node.end_lineno
    ]
    return found[-1] if found else None


async def _values(client, notebook, cell) -> dict[str, str]:
    """What the sides of the comparison in a failed assert are worth, asked of the kernel.

    Nothing where that is not to be had within a moment, as in a function that is over.
    """
    failing, number = _failing(notebook, cell)
    statement = _assert_at(failing.source, number)
    if statement is None:
        return {}
    sides = [
        side
        for node in ast.walk(statement.test)
        if isinstance(node, ast.Compare)
        for side in (node.left, *node.comparators)
        if not isinstance(side, ast.Constant)
    ]
    names = [node for node in ast.walk(statement.test) if isinstance(node, ast.Name)]
    texts = list(dict.fromkeys(ast.unparse(side) for side in sides or names))[:4]
    message = client.kc.execute(
        "", silent=True, store_history=False, user_expressions={t: t for t in texts}
    )
    found = {}
    try:
        while not found:
            reply = await client.kc.get_shell_msg(timeout=VALUES)
            if reply["parent_header"].get("msg_id") == message:
                found = reply["content"].get("user_expressions") or {}
                break
    except (queue.Empty, TimeoutError, RuntimeError):
        return {}
    shown = {t: v["data"]["text/plain"] for t, v in found.items() if v.get("status") == "ok"}
    return {t: " ".join(v.split())[:100] for t, v in shown.items() if not v.startswith("<")}


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
            elif "data" in output and not picture_in(output.data):  # nothing to read in it
                for kind, value in output.data.items():
                    if isinstance(value, str):
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
