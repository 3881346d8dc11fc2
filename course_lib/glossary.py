"""The words of the course in English and Arabic, read from one file: ``_assets/glossary.toml``.

Lesson 00 shows them, and the site.
"""

import html
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from . import storage

# JupyterLab sets a term beside its meaning, in columns that overlap here
BELOW = 'style="float: none; width: auto; display: block; white-space: normal"'
SOURCE = storage.ASSETS / "glossary.toml"


@dataclass(frozen=True)
class Term:
    """A term in both languages. means, tells: a sentence in English, one in Arabic; back: the
    Arabic term translated back; lesson: the one that explains it, as "04"; as_: how it occurs
    there; abstract: whether the paper's abstract in two languages has it."""

    en: str
    ar: str
    back: str
    means: str
    tells: str
    lesson: str
    as_: str
    abstract: bool = False


def terms() -> list[Term]:
    """All terms, sorted by their English names. Raises ValueError for an entry that lacks a part,
    with its name and what is missing."""
    with open(SOURCE, "rb") as file:
        entries = tomllib.load(file)["term"]
    found = []
    for entry in entries:
        missing = [k for k in ("en", "ar", "back", "means", "tells", "lesson") if not entry.get(k)]
        if missing:
            name = entry.get("en") or entry.get("ar") or "a term"
            raise ValueError(f"{SOURCE.name}: {name!r} has no {', no '.join(missing)}.")
        entry = {"as_": entry.pop("as", entry["en"]), **entry}
        found.append(Term(**entry))
    return sorted(found, key=lambda term: term.en.casefold())


def as_html(listed: Sequence[Term], links: Mapping[str, str] | None = None) -> str:
    """The terms as a list of definitions: English from the left, Arabic from the right.

    links: a lesson's number -> the address of its page, where there is one.
    """
    blocks = []
    for term in listed:
        where = f"lesson {term.lesson}"
        if links and term.lesson in links:
            where = f'<a href="{html.escape(links[term.lesson], quote=True)}">{where}</a>'
        blocks.append(
            f"<div><dt {BELOW}><dfn>{_text(term.en)}</dfn> &nbsp; "
            f'<bdi lang="ar" dir="rtl">{_text(term.ar)}</bdi></dt>'
            f"<dd {BELOW}>{_text(term.means)} ({where})</dd>"
            f'<dd lang="ar" dir="rtl" {BELOW}>{_text(term.tells)}</dd></div>'
        )
    return f'<dl class="course-glossary">\n{chr(10).join(blocks)}\n</dl>'


def _text(words: str) -> str:
    return html.escape(words, quote=False)


def show():
    """The glossary, folded away, as the last expression of a cell."""
    from IPython.display import HTML  # who only reads the terms needs no notebook

    listed = terms()
    return HTML(
        f"<details><summary>{len(listed)} terms, "
        f'<bdi lang="ar" dir="rtl">المصطلحات</bdi></summary>\n{as_html(listed)}\n</details>'
    )
