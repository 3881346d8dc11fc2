"""What a picture shows, in words, for who cannot see it: the alternative texts of the lessons.

An author writes them below a cell's header (``#| alt: ...``, see :mod:`course_lib.authoring`), and
the builder puts them into the cell's metadata, where they spoil nothing: a learner reads the code
and predicts. A page reads an alternative text from HTML alone, so that is what a picture becomes:
``<img alt="..." src="data:image/png;base64,...">``, as large as the PNG was.

The builder does so with the pictures of a solved notebook. In a learner's kernel :func:`install`
does it to what a cell shows, whatever shows it. A kernel is not told the cell's metadata.
JupyterLab tells it the cell's id; elsewhere the code says which cell it is; both are looked up in
the lessons as they were released. A picture of which nothing is known, such as one of the
learner's own, stays as it is.
"""

import base64
import contextlib
import difflib
import functools
import html
import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from . import storage

KINDS = {"image/png": "png", "image/jpeg": "jpg"}  # lesson 09 shows photographs
KEY = "alt"  # of a cell's metadata: a text for all of its pictures, or one for each
WRITTEN = re.compile(
    r'\s*<img alt="(?P<text>[^"]*)" src="data:(?P<kind>[a-z/]+);base64,(?P<data>[\w+/=]+)">\s*'
)


@dataclass(frozen=True)
class Picture:
    """A picture among a cell's outputs. text: its alternative text; None where it has none."""

    kind: str  # a key of KINDS
    encoded: str  # base64
    text: str | None = None

    @property
    def data(self) -> bytes:
        return base64.b64decode(self.encoded)

    def html(self, text: str) -> str:
        """The picture as HTML, with ``text`` for who cannot see it."""
        words = html.escape(text, quote=True)
        return f'<img alt="{words}" src="data:{self.kind};base64,{self.encoded}">'


def picture_in(data: Mapping) -> Picture | None:
    """The picture that an output's ``data`` is, or None."""
    found = WRITTEN.fullmatch(_joined(data.get("text/html", "")))
    if found and found["kind"] in KINDS:
        return Picture(found["kind"], found["data"], html.unescape(found["text"]))
    kind = next((kind for kind in KINDS if kind in data), None)
    return Picture(kind, "".join(_joined(data[kind]).split())) if kind else None


def _joined(text: str | list[str]) -> str:
    """A text that a notebook's file may hold in lines."""
    return text if isinstance(text, str) else "".join(text)


# In a kernel -------------------------------------------------------------------------------------


class _Running(threading.local):
    """What runs in a thread. A slider is drawn in one of its own where JupyterLab wants it so."""

    texts: Sequence[str] = ()  # the alternative texts of its pictures
    shown: int = 0  # how many pictures it has shown
    publisher: object = None  # the one that has the hook, which hears of this thread alone


_running = _Running()


def install() -> None:
    """Give the pictures of the lessons' cells their texts, from the next cell on; once a kernel.

    Nothing where no notebook's kernel runs.
    """
    shell = _listen()
    if shell is not None:
        shell.events.register("pre_run_cell", _begin)


def _listen():
    """Hang the hook into this thread's publisher; the shell, where that was not done before."""
    try:
        from IPython import get_ipython  # a script that only draws needs no notebook
    except ImportError:
        return None
    shell = get_ipython()
    publisher = getattr(shell, "display_pub", None)
    if not hasattr(publisher, "register_hook") or publisher is _running.publisher:
        return None
    _running.publisher = publisher
    publisher.register_hook(_with_text)
    return shell


def _begin(info) -> None:
    """A cell is about to run: IPython's event."""
    _running.texts = texts_of(getattr(info, "cell_id", None), info.raw_cell or "")
    _running.shown = 0


def _with_text(message: dict) -> dict:
    """What is published, a picture with its text: a hook of the kernel's publisher."""
    data = message.get("content", {}).get("data", {})
    picture = picture_in(data)
    if picture and picture.text is None and _running.texts:
        text = _running.texts[min(_running.shown, len(_running.texts) - 1)]
        _running.shown += 1
        plain = {k: v for k, v in data.items() if k == "text/plain"}
        message["content"] |= {"data": {"text/html": picture.html(text)} | plain, "metadata": {}}
    return message


def of_this_cell() -> Sequence[str]:
    """The texts of the cell that runs, for what it draws when it is over, as a slider does."""
    return _running.texts


@contextlib.contextmanager
def using(texts: Sequence[str]) -> Iterator[None]:
    """Within it pictures get ``texts``, whichever cell runs."""
    _listen()
    before = _running.texts, _running.shown
    _running.texts, _running.shown = texts, 0
    try:
        yield
    finally:
        _running.texts, _running.shown = before


def texts_of(key: str | None, code: str) -> Sequence[str]:
    """The texts of the lessons' cell that has this id or this code; none where there is no such.

    An id may be that of several lessons' cells: then the code most like ``code`` decides.
    """
    same = [(known, texts) for known, text, texts in _known() if text.strip() == code.strip()]
    if same:
        return max(same, key=lambda one: one[0] == key)[1]
    named = [(text, texts) for known, text, texts in _known() if known == key]
    if len(named) < 2:
        return named[0][1] if named else ()
    return max(named, key=lambda one: difflib.SequenceMatcher(None, one[0], code).ratio())[1]


@functools.cache
def _known() -> list[tuple[str, str, list[str]]]:
    """Id, code and texts of every cell of the released lessons that shows pictures."""
    found = []
    for path in sorted(storage.released().glob("[0-9][0-9]_*.ipynb")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # told elsewhere
            for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
                if texts := cell["metadata"].get(KEY):
                    found.append((cell.get("id"), _joined(cell["source"]), texts))
    return found
