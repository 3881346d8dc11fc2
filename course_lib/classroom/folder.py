"""The folder of a class, as nbgrader lays it out, and the record of each assignment in it."""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from .. import __version__, storage, writable
from ..authoring.source import near
from ..cells import whole
from .choice import Part

NAME = re.compile(r"[A-Za-z0-9][\w .-]*")  # nbgrader has no + in names, and folders no slash
FORMAT = 1
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

# The stubs are the builder's: nbgrader's own clearing of solutions would write over them.
CONFIG = '''"""nbgrader's settings for this class, written by `course assign`."""

import os

c = get_config()  # noqa: F821

c.CourseDirectory.root = os.path.dirname(os.path.abspath(__file__))
# the notebooks of source/ hold stubs already: nothing is to be cleared, which would destroy them
c.GenerateAssignment.preprocessors = [
    "nbgrader.preprocessors.LockCells",
    "nbgrader.preprocessors.ClearOutput",
    "nbgrader.preprocessors.CheckCellMetadata",
    "nbgrader.preprocessors.ComputeChecksums",
    "nbgrader.preprocessors.SaveCells",
]
# a cell that never ends costs no later one
c.ExecutePreprocessor.timeout = 120
c.ExecutePreprocessor.interrupt_on_timeout = True
'''


class ClassError(RuntimeError):
    """Something about a class's folder; the message says what, and what to do."""


@dataclass(frozen=True)
class Folder:
    """Where everything of a class lies. root: the folder itself."""

    root: Path

    def record(self, name: str) -> Path:
        return self.root / "assignments" / f"{name}.json"

    def notebook(self, kind: str, name: str, lesson: str) -> Path:
        """A notebook of an assignment; kind: "source" or "release"."""
        return self.root / kind / name / f"{lesson}.ipynb"

    def grades(self, name: str) -> Path:
        return self.root / "grades" / name

    def feedback(self, student: str, name: str, lesson: str) -> Path:
        return self.root / "feedback" / student / name / f"{lesson}.html"

    @property
    def config(self) -> Path:
        return self.root / "nbgrader_config.py"


@dataclass(frozen=True)
class Assignment:
    """What was assigned under a name, by which version of the course."""

    name: str
    parts: list[Part]
    version: str = __version__

    @property
    def points(self) -> dict[str, float]:
        """slug -> points, over all lessons."""
        return {slug: worth for part in self.parts for slug, worth in part.points.items()}


def usual(root: str | Path | None = None) -> Folder:
    """The class in ``root``; None: in the current folder if it is a class's, else in ``class``."""
    here = Path.cwd()
    if root is None:
        root = here if (here / "assignments").is_dir() else here / "class"
    return Folder(Path(root).expanduser().resolve())


def checked_name(name: str) -> str:
    """``name``, if a folder and nbgrader can be called so; raises ValueError if not."""
    if not NAME.fullmatch(name) or name.endswith((".", " ")):
        raise ValueError(
            f"An assignment cannot be called {name!r}: letters, digits, blanks, '-', '_' and '.', "
            "and a letter or a digit first."
        )
    return name


def written(assignment: Assignment) -> str:
    """The text of the record."""
    about = {"format": FORMAT, "name": assignment.name, "version": assignment.version}
    about["parts"] = [asdict(part) for part in assignment.parts]
    return json.dumps(about, indent=1) + "\n"


def read(folder: Folder, name: str) -> Assignment:
    """The assignment ``name`` of the class.

    Raises ClassError where there is none, offering near names, or where its record is damaged.
    """
    path = folder.record(checked_name(name))
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        if about["format"] != FORMAT:
            raise ValueError(f"its format is {about['format']}, not {FORMAT}")
        parts = [Part(p["lesson"], _points(p["points"]), p["whole"]) for p in about["parts"]]
        if not parts or not all(part.points for part in parts):
            raise ValueError("it assigns nothing")
        return Assignment(name, parts, str(about["version"]))
    except (FileNotFoundError, NotADirectoryError):
        there = [p.stem for p in folder.record("x").parent.glob("*.json")]
        raise ClassError(
            f"There is no assignment {name!r} in {folder.root}; {near(name, there)} "
            "(`--output FOLDER` names the class's folder.)"
        ) from None
    except OSError as error:
        raise ClassError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ClassError(
            f"{path} is damaged ({error}): write the assignment again, with the same exercises "
            "and --force."
        ) from None


def _points(found: dict) -> dict[str, float]:
    return {str(slug): float(worth) for slug, worth in found.items()}


def shown(text: str) -> str:
    """``text`` as a terminal can show it: students choose names of files, and what errors say."""
    return CONTROL.sub("\ufffd", whole(text))


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all. Raises ClassError where that cannot be done."""
    with writable.told(path, ClassError):
        storage.write_text(path, whole(text))
