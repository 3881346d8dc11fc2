"""The page that a student gets: what each answer is worth, and why, in one file.

It asks for no other file and no other host. What the course says is plain text, mathematics
included. The instructor's own places (folders) are taken out of it, and so are the notices that
only an instructor is to act on. A sentence that holds for several exercises is said once.
"""

import html
import re
import tempfile
from collections import Counter
from pathlib import Path

from .. import storage, webpage, workcopy
from ..exercises import find
from ..grading import Result
from ..grading.submission import read, released
from .folder import Assignment, Folder, write
from .marking import NOTHING, Marked

FOR_THE_INSTRUCTOR = "To be looked at:"  # how such a notice begins
LATER = "It could not be graded yet, which is no fault of yours."
MOST_BYTES = 20_000_000  # of a notebook whose answers are shown beside what is said of them
MOST_TEXT = 20_000  # characters of an answer that is shown
HEADINGS = {
    "PASS": ("Right", "good"),
    "VALID BUT LOOSE": ("Valid, but loose", "part"),
    "FAIL": ("Not right yet", "bad"),
    "EXCEPTION": ("Stopped with an error", "bad"),
    "UNATTEMPTED": ("Not solved", "part"),
    "NOT RUN": ("Does not count", "bad"),
    "MISSING": ("No answer found", "bad"),
    "NOT GRADED": ("Not graded yet", "open"),
    NOTHING: ("Not handed in", "bad"),
}

STYLE = f"""{webpage.STYLE}
:root {{ --good: #0a5c36; --part: #7a4b00; --bad: #a40e26; --open: #5b3aa6; }}
@media (prefers-color-scheme: dark) {{ :root {{ --good: #5fd08e; --part: #f0b457; --bad: #ff9492;
  --open: #c3a6ff; }} }}
h2 {{ margin: 2rem 0 .3rem; font-size: 1.2rem; }}
p {{ margin: .4rem 0; white-space: pre-line; }}
section {{ padding: 0 0 .5rem; border-bottom: 1px solid var(--line); }}
.total {{ font-size: 1.2rem; font-weight: 600; }}
.word {{ font-weight: 600; }}
.good {{ color: var(--good); }} .part {{ color: var(--part); }} .bad {{ color: var(--bad); }}
.open {{ color: var(--open); }} .soft {{ color: var(--soft); }}
summary {{ cursor: pointer; }}
"""


def page(assignment: Assignment, marked: Marked, name: str = "") -> str:
    """The page of one student and lesson, as HTML. name: the student's, if it is known."""
    texts = _answers(marked)
    said: set[str] = set()
    count = Counter(s for r in marked.results for s in dict.fromkeys(_sentences(r)))
    shared = [s for s in [*marked.notes, *(s for s, n in count.items() if n > 1)] if s]
    top = "".join(_once(shared, said))
    parts = "".join(_exercise(r, assignment, texts.get(r.slug), said) for r in marked.results)
    who = f"{name} ({marked.student})" if name else marked.student
    title = f"{assignment.name}, {lesson_title(marked.lesson)}"
    return webpage.whole(
        _text(f"{title}: {who}"),
        STYLE,
        f"<h1>{_text(title)}</h1>\n<p>{_text(who)}</p>\n"
        f'<p class="total">{marked.points:g} of {marked.most:g} points</p>\n{top}{parts}',
    )


def lesson_title(lesson: str) -> str:
    """The lesson in words, as its notebook begins."""
    try:
        first = released(workcopy.lessons()[lesson]).cells[0]["source"]
    except (KeyError, IndexError, workcopy.WorkError):
        return f"lesson {lesson[:2]}"
    line = (first if isinstance(first, str) else "".join(first)).split("\n")[0]
    return f"lesson {line.removeprefix('# ')}"


def write_pages(
    folder: Folder, assignment: Assignment, marked: list[Marked], names: dict[str, str]
) -> list[Path]:
    """Write a page for everybody who handed something in. Raises ClassError where it cannot."""
    paths = []
    for one in marked:
        if one.handed is not None:
            path = folder.feedback(one.student, assignment.name, one.lesson)
            write(path, page(assignment, one, names.get(one.student, "")))
            paths.append(path)
    return paths


def _exercise(result: Result, assignment: Assignment, text: str | None, said: set[str]) -> str:
    heading, colour = HEADINGS.get(result.status, (result.status.capitalize(), "open"))
    lines = [f'<section>\n<h2 id="{_text(result.slug)}">{_text(find(result.slug).title)}</h2>\n']
    lines.append(
        f'<p><span class="word {colour}">{_text(heading)}</span>: '
        f"{result.points:g} of {result.most:g} points</p>\n"
    )
    lines += _once(_sentences(result), said)
    if text is not None:
        shown = text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}\n..."
        lines.append(
            "<details>\n<summary>The answer that was graded</summary>\n"
            f'<pre tabindex="0">{_text(shown)}</pre>\n</details>\n'
        )
    return "".join([*lines, "</section>\n"])


def _sentences(result: Result) -> list[str]:
    if result.status == "NOT GRADED":  # why is the instructor's business
        return [LATER]
    notices = [n for n in result.notices if not n.startswith(FOR_THE_INSTRUCTOR)]
    return [*result.sentences, *notices]


def _once(sentences: list[str], said: set[str]) -> list[str]:
    """Paragraphs of those that were not said yet."""
    found = []
    for sentence in sentences:
        words = without_places(sentence)
        if words not in said:
            said.add(words)
            found.append(f"<p>{_marked(words)}</p>\n")
    return found


def without_places(text: str) -> str:
    """``text`` without the folders of the machine that graded: names of files stay."""
    places = {storage.PACKAGE.parent, Path(tempfile.gettempdir()), Path.home(), Path.cwd()}
    roots = {str(p) for p in places} | {str(p.resolve()) for p in places}
    for root in sorted(roots - {"/", ""}, key=len, reverse=True):
        text = re.sub(rf"{re.escape(root)}(?:[\\/][\w.-]+)*[\\/]?", _last, text)
    return text


def _last(match: re.Match) -> str:
    return re.split(r"[\\/]", match.group().rstrip("\\/"))[-1]


def _text(value: str) -> str:
    """``value`` as text of a page; signs that HTML cannot hold are shown as such."""
    seen = re.sub(
        r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", "\ufffd", value
    )
    return html.escape(seen, quote=True)


def _marked(sentence: str) -> str:
    """A sentence, with what stands in backquotes as code."""
    pieces = _text(sentence).split("`")
    if len(pieces) % 2 == 0:  # an odd number of backquotes: they are left as they are
        return _text(sentence)
    return "".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(pieces))


def _answers(marked: Marked) -> dict[str, str]:
    """The text of each answer, as the grader found it."""
    try:
        if marked.handed is None or marked.handed.stat().st_size > MOST_BYTES:
            return {}
        submission = read(marked.handed)
        if submission.problem:
            return {}
        lesson = released(workcopy.lessons()[marked.lesson])
        found = {}
        for result in marked.results:
            cell = submission.answer(lesson, result.slug, find(result.slug).function)
            if cell is not None and result.status != "UNATTEMPTED":
                found[result.slug] = cell.text
        return found
    except (OSError, KeyError, workcopy.WorkError):
        return {}
