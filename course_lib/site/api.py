"""A page for each part of ``course_lib``, in the order of its modules' names; Sphinx reads it."""

import pkgutil
import re

from .. import storage

# of each lesson one; the checks' own wrong answers are no reading for who has still to solve them
LEFT_OUT = re.compile(r"\.lesson\d+|\._|\.guide\.questions|\.site\.sphinx|\.__main__|\.hooks$")
PACKAGE = storage.PACKAGE.name


def modules() -> dict[str, list[str]]:
    """Each part of the package by its full name -> itself and the modules below it."""
    found: dict[str, list[str]] = {}
    for info in pkgutil.walk_packages([str(storage.PACKAGE)], f"{PACKAGE}.", onerror=_skip):
        if not LEFT_OUT.search(info.name):
            top = ".".join(info.name.split(".")[:2])
            found.setdefault(top, []).append(info.name)
    return {top: sorted(names) for top, names in sorted(found.items())}


def _skip(name: str) -> None:
    """A module that cannot be imported here is left out of the walk; Sphinx says so."""


def page(top: str, names: list[str]) -> str:
    """The page of one part, as reStructuredText."""
    lines = [_headed(top, "=")]
    for name in names:
        if name != top:
            lines.append(_headed(name.removeprefix(f"{PACKAGE}."), "-"))
        # what a package takes over from its modules stands where it is written
        lines += [f".. automodule:: {name}", "   :members:", "   :ignore-module-all:"]
        lines += ["   :member-order: bysource", ""]
    return "\n".join(lines)


def index(parts: list[str]) -> str:
    """The first page of them all: the package's own words, and the list."""
    return "\n".join(
        [
            _headed("The library", "="),
            f".. automodule:: {PACKAGE}",
            "",
            ".. toctree::",
            "   :maxdepth: 1",
            "",
            *(f"   {part}" for part in parts),
            "",
        ]
    )


def _headed(words: str, line: str) -> str:
    return f"{words}\n{line * len(words)}\n"
