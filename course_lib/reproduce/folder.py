"""The folder of a run's records, and what is known of them: who made them, and whether they are as
they were written.

``records/NAME.json``  a record, as in the course's own folder of records
``made.json``          for each: its checksum, day and mode, and a digest of the code that made it
"""

import json
from datetime import UTC, datetime
from pathlib import Path

import torch

from .. import __version__, storage
from ..kept import renamed
from ..sourcecode import code_digest
from . import tasks as all_tasks
from .running import Stopped
from .task import Task

MADE = "made.json"


def made_by(name: str, mode: str) -> dict:
    """What a record called ``name`` is of, when it is made now."""
    experiments = (all_tasks.EXPERIMENTS[e] for e in all_tasks.RECORDS[name].experiments)
    return {
        "mode": mode,
        "version": __version__,
        "torch": torch.__version__,
        "code": [code_digest(experiment.measure) for experiment in experiments],
    }


def read_made(folder: Path) -> tuple[dict, list[str]]:
    """What ``made.json`` says of each record, and a sentence if it cannot be read."""
    path = folder / MADE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not all(isinstance(found[name], dict) for name in found):
            raise ValueError("it does not tell what made each record")
        return found, []
    except FileNotFoundError:
        return {}, []
    except (OSError, ValueError, TypeError) as error:
        other = renamed(path)
        return {}, [f"The file {path} is damaged ({error}); it is called {other.name} now."]


def examine(folder: Path, mode: str) -> list[str]:
    """A sentence on each record of ``folder`` that is damaged, or that something else made.

    Damaged ones are set aside. Others stay until a run makes them again.
    """
    made, told = read_made(folder)
    for name in all_tasks.RECORDS:
        path = folder / "records" / f"{name}.json"
        if not path.is_file():
            continue
        try:
            json.loads(path.read_text(encoding="utf-8"))
            if name in made and storage.sha256(path) != made[name].get("sha256"):
                raise ValueError("its contents do not match their checksum")
        except (OSError, ValueError) as error:
            other = renamed(path)
            told.append(
                f"The record {path} is damaged ({error}); it is called {other.name} now, and what "
                "was finished of it is put together again."
            )
            continue
        noted = made.get(name, {})
        before = {key: value for key, value in noted.items() if key not in ("sha256", "date")}
        now = made_by(name, mode)
        if before != now:
            told.append(
                f"The record {path} was made {_differently(before, now)}: it stays as it is "
                "until this run, or another, has made it again."
            )
    return told


def _differently(before: dict, now: dict) -> str:
    if not before:
        return "by another program, or by hand"
    if before.get("version") != now["version"] or before.get("code") != now["code"]:
        return "by another version of the course"
    if before.get("torch") != now["torch"]:
        return f"with torch {before.get('torch')}"
    return f"in the mode {before.get('mode')!r}"


def write(folder: Path, mode: str, names: list[str], results: dict[Task, dict]) -> list[Path]:
    """Put the records ``names`` together from finished tasks, and write them; return their files.

    Each is whole or as it was before. Raises Stopped where they cannot be written.
    """
    written = []
    try:
        for name in names:
            found = all_tasks.assemble(name, results)
            if found is None:
                continue
            path = folder / "records" / f"{name}.json"
            storage.write_text(path, all_tasks.RECORDS[name].text(found))
            made, _ = read_made(folder)  # just before it is written: there may be another run
            when = {"sha256": storage.sha256(path), "date": datetime.now(UTC).date().isoformat()}
            made[name] = when | made_by(name, mode)
            storage.write_text(folder / MADE, json.dumps(made, indent=1) + "\n")
            written.append(path)
    except OSError as error:
        raise Stopped(
            f"The records cannot be written to {folder} ({error}): free some room there, or choose "
            "another folder with --output. What was measured is kept, and the same command goes on."
        ) from error
    return written
