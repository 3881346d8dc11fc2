"""Write the guide into a folder of its own, which no learner sees and no other file is in."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from .. import __version__, storage, workcopy, writable
from . import html, page
from .lesson import GuideError, Lesson, chosen, read

RECORD = "guide.json"  # what the guide itself has written here, with digests
FORMAT = 1


def guide(output: str | Path = "guide", asked: list[str] | None = None) -> list[str]:
    """Write the guide to the lessons ``asked`` (None: all of them); what was done, in words.

    Raises WorkError for a lesson that does not exist, and GuideError, having written nothing,
    where the folder is one that learners see, or where it holds what the guide has not written.
    """
    names = chosen(asked)
    folder = Path(output).expanduser().resolve()
    refuse(folder)
    lessons = [read(name) for name in names]
    made = files(lessons)
    before = _judged(folder, made)
    with writable.told(folder, GuideError):
        for name, content in made.items():
            with storage.atomic(folder / name) as path:
                path.write_bytes(content)
        for name in before.keys() - made.keys():  # of lessons that are not asked for now
            (folder / name).unlink(missing_ok=True)
        about = {"format": FORMAT, "version": __version__, "files": _digests(made)}
        storage.write_text(folder / RECORD, json.dumps(about, indent=1) + "\n")
    pictures = sum(name.endswith((".png", ".jpg")) for name in made)
    return [
        f"Written: {folder / 'index.html'}, {len(lessons)} lessons, each as .html and as .md",
        f"Written: {pictures} figures with their captions in {folder / page.FIGURES}",
        "The guide holds the solutions: keep it from the learners.",
    ]


def files(lessons: list[Lesson]) -> dict[str, bytes]:
    """Every file of the guide by its name below the folder."""
    pictures = {
        f"{page.FIGURES}/{figure.name}": figure.data
        for lesson in lessons
        for section in lesson.sections
        for figure in section.figures
    }
    texts = {"index": ("Instructor's guide", page.index(lessons))}
    for lesson in lessons:
        texts[lesson.name] = (f"Guide to lesson {lesson.title}", page.lesson_page(lesson))
    made = dict(pictures)
    for name, (title, text) in texts.items():
        try:
            shown = html.page(title, text, pictures)
        except ValueError as error:
            raise GuideError(f"The page {name} cannot be made: {error}") from None
        made[f"{name}.md"] = text.encode("utf-8")
        made[f"{name}.html"] = shown.encode("utf-8")
    made[f"{page.FIGURES}/captions.md"] = page.captions(lessons).encode("utf-8")
    return made


def refuse(folder: Path) -> None:
    """Raise GuideError if ``folder`` is, or lies in, a place that learners or students see."""
    root = storage.checkout()
    places = {workcopy.default_folder().resolve(), storage.PACKAGE}
    if root:
        places |= {root / "lessons", root / "solutions", root / "work"}
    for place in (folder, *folder.parents):
        of_a_class = (place / "nbgrader_config.py").is_file() or all(
            (place / part).is_dir() for part in ("assignments", "release")
        )
        if place in places or of_a_class or any(place.glob("[0-9][0-9]_*.ipynb")):
            raise GuideError(
                f"The guide holds the solutions, and {place} is a folder of lessons, of the course "
                "or of a class: name another one with --output FOLDER."
            )


def _judged(folder: Path, made: Mapping[str, bytes]) -> dict[str, str]:
    """The digests of what the guide wrote here before; GuideError if something would be lost."""
    if folder.exists() and not folder.is_dir():
        raise GuideError(f"{folder} is a file: name a folder with --output FOLDER.")
    before = _record(folder)
    there = [p for p in folder.rglob("*") if p.is_file()] if folder.exists() else []
    names = {path.relative_to(folder).as_posix(): path for path in there}
    for name, path in sorted(names.items()):
        if name == RECORD and before:
            continue
        digest = storage.sha256(path)
        if name not in before:
            raise GuideError(
                f"{path} is not the guide's. Nothing was written: name an empty folder, or one "
                "that is not there yet, with --output FOLDER."
            )
        new = made.get(name)
        if digest not in (before[name], hashlib.sha256(new).hexdigest() if new else ""):
            raise GuideError(
                f"{path} was changed since the guide wrote it. Nothing was written: keep your copy "
                "elsewhere, or name another folder with --output FOLDER."
            )
    return before


def _record(folder: Path) -> dict[str, str]:
    try:
        about = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return {str(k): str(v) for k, v in about["files"].items()} if about["format"] == 1 else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _digests(made: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in sorted(made.items())}
