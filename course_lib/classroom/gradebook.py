"""The scores in nbgrader's gradebook, by its public interface, where nbgrader is installed."""

import contextlib
import importlib.util
import os
import sys
from pathlib import Path

from .folder import Assignment, ClassError, Folder
from .marking import NOTHING, Marked


def there() -> None:
    """Raise ClassError where nbgrader is not installed."""
    if importlib.util.find_spec("nbgrader") is None:
        raise ClassError(
            "nbgrader is not installed here: install the course with its extra `classroom` (pip "
            "install -e '.[classroom]'), or leave --gradebook out."
        )


def write(
    folder: Folder,
    assignment: Assignment,
    marked: list[Marked],
    names: dict[str, str],
    path: Path | None = None,
) -> str:
    """Write every score into the gradebook at ``path`` (default: ``gradebook.db`` of the class).

    A score is the automatic one of the cell with the check, as nbgrader's own grading would write
    it; a manual score that an instructor has given there is left. Returns a sentence. Raises
    ClassError where nbgrader is not installed, or refuses.
    """
    there()
    from nbgrader.api import Gradebook

    path = path or folder.root / "gradebook.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _with_programs(), Gradebook(f"sqlite:///{path}") as book:
            _prepare(book, assignment)
            for one in marked:
                _score(book, assignment, one, names.get(one.student, ""))
    except Exception as error:  # nbgrader's, and those of the database below it
        said = " ".join(str(error).split())[:300]
        raise ClassError(f"{path}: nbgrader refused ({type(error).__name__}: {said}).") from error
    return f"Written into nbgrader's gradebook: {path}"


@contextlib.contextmanager
def _with_programs():
    """Let nbgrader find the program `alembic`, which lies beside a Python that nobody activated."""
    before = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), before])
    try:
        yield
    finally:
        os.environ["PATH"] = before


def _prepare(book, assignment: Assignment) -> None:
    name = assignment.name
    book.update_or_create_assignment(name)
    for part in assignment.parts:
        book.update_or_create_notebook(part.lesson, name)
        for slug, worth in part.points.items():
            about = {"max_score": worth, "cell_type": "code"}
            book.update_or_create_grade_cell(f"{slug}-check", part.lesson, name, **about)


def _score(book, assignment: Assignment, one: Marked, name: str) -> None:
    first, _, last = name.rpartition(" ")
    known = {"first_name": first, "last_name": last} if name else {}
    book.update_or_create_student(one.student, **known)
    if all(result.status == NOTHING for result in one.results):
        return
    book.update_or_create_submission(assignment.name, one.student)
    for result in one.results:
        grade = book.find_grade(f"{result.slug}-check", one.lesson, assignment.name, one.student)
        if result.status == "NOT GRADED":
            grade.auto_score, grade.needs_manual_grade = None, True
        else:
            grade.auto_score, grade.needs_manual_grade = result.points, False
    book.db.commit()
