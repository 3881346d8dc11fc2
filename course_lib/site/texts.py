"""Pages of Markdown, written for the repository: their links lead somewhere on the site."""

import posixpath
import re
from collections.abc import Mapping

LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")


def relinked(text: str, here: str, places: Mapping[str, str]) -> str:
    """``text`` with its links to files of the repository turned into links within the site.

    here: the file's own path in the repository; places: path in the repository -> path below the
    site's folder of the page's source. What is not on the site stays as words, with its path where
    they do not name it. Code is left alone.
    """
    own = places[here]

    def link(found: re.Match) -> str:
        words, target = found[1], found[2]
        if re.match(r"[a-z]+:|#", target):
            return found[0]
        path, _, part = target.partition("#")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(here), path))
        if path in places:
            way = posixpath.relpath(places[path], posixpath.dirname(own) or ".")
            return f"[{words}]({way}{'#' + part if part else ''})"
        return words if path in words.replace("`", "") else f"{words} (`{path}`)"

    return "".join(
        piece if i % 2 else LINK.sub(link, piece) for i, piece in enumerate(_around_links(text))
    )


def _around_links(text: str) -> list[str]:
    """``text`` in pieces, every second one a block of code."""
    return re.split(r"(?sm)(^```.*?^```)", text)


def title(text: str) -> str:
    """The first heading of a page; nothing where it has none."""
    found = re.search(r"(?m)^# (.+)$", text)
    return found[1].strip() if found else ""
