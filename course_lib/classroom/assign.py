"""Write an assignment into the folder of a class."""

from collections.abc import Sequence
from pathlib import Path

from ..authoring.files import text_at
from . import release
from .choice import Part
from .folder import (
    CONFIG,
    Assignment,
    ClassError,
    Folder,
    checked_name,
    read,
    usual,
    write,
    written,
)

KINDS = ("source", "release")


def assign(
    name: str, parts: Sequence[Part], root: str | Path | None = None, force: bool = False
) -> list[str]:
    """Write the notebooks of ``parts`` and their record below ``root``; what was done, in words.

    root: the class's folder, as :func:`.folder.usual` takes it.

    An assignment of that name that is there already, and is the same, is left as it is, and so
    are settings of nbgrader's in any case. Raises ValueError for a name that cannot be, and
    ClassError, having written nothing, where another one has it, or a file is there that this
    would overwrite; with ``force`` it is overwritten.
    """
    folder = usual(root)
    assignment = Assignment(checked_name(name), list(parts))
    files = _files(folder, assignment)
    if not force:
        _judge(folder, assignment, files)
    if folder.config.exists():
        del files[folder.config]
    stale = _stale(folder, name, files) if force else []
    changed = [path for path, text in files.items() if _there(path) != text]
    for path in changed:  # the record is the last: what is in it is there
        write(path, files[path])
    for path in stale:
        path.unlink(missing_ok=True)
    return _told(folder, assignment, changed)


def _files(folder: Folder, assignment: Assignment) -> dict[Path, str]:
    """Every file of the assignment with its text; its record last."""
    files = {folder.config: CONFIG}
    for part in assignment.parts:
        text = release.text(assignment.name, part)
        for kind in KINDS:
            files[folder.notebook(kind, assignment.name, part.lesson)] = text
    return {**files, folder.record(assignment.name): written(assignment)}


def _there(path: Path) -> str | None:
    """The text of a file; None where there is none that can be read as text."""
    try:
        return text_at(path)
    except (OSError, UnicodeDecodeError):
        return None


def _judge(folder: Folder, assignment: Assignment, files: dict[Path, str]) -> None:
    """Raise ClassError if something that is there would be lost."""
    name = assignment.name
    if folder.root.exists() and not folder.root.is_dir():
        raise ClassError(f"{folder.root} is a file: name a folder with --output FOLDER.")
    if folder.record(name).exists():
        before = read(folder, name)
        if before.parts != assignment.parts:
            raise ClassError(
                f"There is an assignment {name!r} in {folder.root} already, of other exercises "
                f"({', '.join(before.points)}). Nothing was written: take another name, or "
                "--force to write over it."
            )
    for path, text in files.items():
        if path != folder.config and path.exists() and _there(path) != text:
            raise ClassError(
                f"{path} is there already, and is another. Nothing was written: name another "
                "folder with --output FOLDER, or --force to write over it."
            )


def _stale(folder: Folder, name: str, files: dict[Path, str]) -> list[Path]:
    """The notebooks of the assignment that was there before, and that this one has not."""
    try:
        before = read(folder, name)
    except ClassError:
        return []
    old = [folder.notebook(kind, name, part.lesson) for part in before.parts for kind in KINDS]
    return [path for path in old if path not in files]


def _told(folder: Folder, assignment: Assignment, changed: list[Path]) -> list[str]:
    lines = []
    for part in assignment.parts:
        path = folder.notebook("release", assignment.name, part.lesson)
        total = f"{sum(part.points.values()):g} points"
        state = "written" if path in changed else "as it was"
        slugs = "all exercises" if part.whole else ", ".join(part.points)
        lines.append(f"{path}: {state} ({slugs}; {total}).")
    lines.append(
        "Hand out what is in release/. What comes back belongs into "
        f"{folder.root}/submitted/STUDENT/{assignment.name}/, or into a folder that "
        f"`course grade {assignment.name} --submissions FOLDER` names."
    )
    if _there(folder.config) != CONFIG:
        lines.append(
            f"{folder.config} is your own, and was left as it is. Before nbgrader makes a release "
            "of this, let it clear no solutions: there are none, and it would clear the stubs."
        )
    return lines
