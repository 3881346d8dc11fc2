"""What ``course grade`` does, from the folders to the last page."""

from collections.abc import Callable
from pathlib import Path

from . import feedback, handed_in, marking, roster
from . import gradebook as nbgraders
from . import summary as counting
from .folder import ClassError, read, shown, usual


def grade(
    name: str,
    root: str | Path | None = None,
    *,
    submissions: Path | None = None,
    students: Path | None = None,
    jobs: int | None = None,
    time_limit: float | None = None,
    gradebook: Path | bool | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> None:
    """Grade the assignment ``name`` of the class in ``root``.

    root: the class's folder, as :func:`.folder.usual` takes it. submissions: a flat folder; None:
    ``submitted/`` of the class. students: a CSV file. jobs, time_limit: as
    :func:`.marking.grade_all` takes them. gradebook: also into nbgrader's; True: the class's own.
    tell: gets every line that is to be read.

    Raises ClassError where there is no such assignment, or nothing that was handed in, and
    ValueError for a list of students that is none.
    """

    def say(line: str) -> None:
        tell(shown(line))

    folder = usual(root)
    assignment = read(folder, name)
    if gradebook:
        nbgraders.there()
    listed = roster.read(students) if students else roster.Roster()
    if submissions:
        collected = handed_in.flat(Path(submissions).expanduser().resolve(), assignment)
    else:
        collected = handed_in.nbgraders(folder.root, assignment)
    if listed.names:
        handed_in.with_roster(collected, listed.names, assignment)
    if not any(one.path for one in collected.found):
        where = submissions or f"{folder.root}/submitted/STUDENT/{name}/"
        raise ClassError(f"Nobody has handed in a notebook of {name!r}: there is none in {where}.")
    settings = {"time_limit": time_limit} if time_limit else {}
    marked = marking.grade_all(folder, assignment, collected.found, jobs, settings, say)
    data = marking.as_data(assignment, marked, listed.names)
    files = marking.write_grades(folder, data)
    pages = feedback.write_pages(folder, assignment, marked, listed.names)
    lines = ["", counting.text(data), "", *listed.sentences, *collected.sentences]
    lines += [f"Written: {path}" for path in files]
    lines.append(f"Written: {len(pages)} pages below {folder.root / 'feedback'}")
    for line in lines:
        say(line)
    if gradebook:
        path = None if gradebook is True else Path(gradebook).expanduser().resolve()
        say(nbgraders.write(folder, assignment, marked, listed.names, path))


def summary(name: str, root: str | Path | None = None) -> str:
    """What the last grading of ``name`` found, for the whole class.

    Raises ClassError where there is no such assignment, or it was not graded yet.
    """
    folder = usual(root)
    read(folder, name)
    return shown(counting.text(marking.read_grades(folder, name)))
