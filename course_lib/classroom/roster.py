"""The list of students: a CSV file with a head, as nbgrader and most schools' systems write it."""

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path

IDS = ("student", "id", "student_id", "username", "login")
FIRST, LAST, WHOLE = ("first_name", "first name"), ("last_name", "last name"), ("name", "full name")


@dataclass
class Roster:
    """Name by student, in the order of the file, and sentences about what is wrong in it."""

    names: dict[str, str] = field(default_factory=dict)
    sentences: list[str] = field(default_factory=list)


def read(path: str | Path) -> Roster:
    """The students in the file: their key in a column called "student" or "id", and their names.

    Raises ValueError for a file that is no such list; a line that says nothing, or the same student
    again, is a sentence. Raises OSError where it cannot be read.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path.name} is not text in UTF-8: save it as CSV in UTF-8.") from None
    head = text.partition("\n")[0]
    separator = max(",;\t", key=head.count)  # spreadsheets of some countries write semicolons
    lines = csv.reader(io.StringIO(text), delimiter=separator)
    columns = [name.strip().lower() for name in next(lines, [])]
    where = next((columns.index(name) for name in IDS if name in columns), None)
    if where is None:
        raise ValueError(
            f"{path.name} has no column called student or id: its first line names the columns, as "
            "student,name."
        )
    found, first = Roster(), {}
    for values in lines:
        number = lines.line_num
        cells = [value.strip() for value in values]
        if not any(cells):
            continue
        student = cells[where] if where < len(cells) else ""
        if not student:
            found.sentences.append(f"{path.name}, line {number}: no student is named; left out.")
        elif student in found.names:
            found.sentences.append(
                f"{path.name}, line {number}: {student} is there twice (first in line "
                f"{first[student]}); counted once."
            )
        else:
            found.names[student], first[student] = _name(columns, cells), number
            if not found.names[student] and set(columns) & {*FIRST, *LAST, *WHOLE}:
                found.sentences.append(f"{path.name}, line {number}: {student} has no name.")
    if not found.names:
        raise ValueError(f"{path.name} names no student below its first line.")
    return found


def _name(columns: list[str], cells: list[str]) -> str:
    named = dict(zip(columns, cells, strict=False))

    def first_of(*names):
        return next((named[name] for name in names if named.get(name)), "")

    return first_of(*WHOLE) or f"{first_of(*FIRST)} {first_of(*LAST)}".strip()
