"""Where the repository is published, said in one place: ``[project.urls]`` of pyproject.toml.

``python -m course_lib.authoring.address https://github.com/OWNER/NAME`` writes it there, and the
links to other places (Colab, Binder, Codespaces) into the README; ``--none`` takes them out again.
As long as no address is set there are no links: a link that leads nowhere is worse than none.
"""

import argparse
import re
import tomllib
from pathlib import Path

from .. import storage

ADDRESS = re.compile(r"https://github\.com/([\w.-]+)/([\w.-]+?)(?:\.git)?/?")
MARK = "places"
TABLE = re.compile(r'\[project\.urls\]\nRepository = "[^"\n]*"\n\n')
BEFORE = "[project.scripts]\n"
FIRST = "lessons/00_start_here.ipynb"


def repository(root: Path) -> str | None:
    """The address that pyproject.toml in ``root`` says, or None."""
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["project"].get("urls", {}).get("Repository")


def parts(address: str) -> tuple[str, str]:
    """Owner and name. Raises ValueError, with what to write, for what is no such address."""
    match = ADDRESS.fullmatch(address)
    if not match:
        raise ValueError(
            f"{address!r} is no address that Colab, Binder and Codespaces all open: write it as "
            "https://github.com/OWNER/NAME."
        )
    return match[1], match[2]


def links(address: str | None) -> str:
    """Markdown: the first lesson in Colab, in Binder and in a Codespace; nothing for None."""
    if address is None:
        return ""
    owner, name = parts(address)
    found = {
        "Colab": f"https://colab.research.google.com/github/{owner}/{name}/blob/HEAD/{FIRST}",
        "Binder": f"https://mybinder.org/v2/gh/{owner}/{name}/HEAD?urlpath=lab/tree/{FIRST}",
        "a Codespace": f"https://codespaces.new/{owner}/{name}",
    }
    opened = " · ".join(f"[{place}]({link})" for place, link in found.items())
    clean = f"https://github.com/{owner}/{name}"
    return (
        f"**Without installing anything here**, in a browser: {opened}. In Colab run "
        f"`%pip install git+{clean}` first, in a cell of its own."
    )


def placed(text: str, address: str | None) -> str:
    """The README's ``text`` with the links of ``address`` between their marks.

    Raises ValueError if the marks are not there exactly once, or the address is none.
    """
    inside = links(address)
    pattern = re.compile(rf"(<!-- {MARK} -->\n).*?(<!-- /{MARK} -->)", re.DOTALL)
    text, count = pattern.subn(lambda m: m[1] + (inside and inside + "\n") + m[2], text)
    if count != 1:
        raise ValueError(f"README.md needs the marks <!-- {MARK} --> and <!-- /{MARK} --> once.")
    return text


def write(root: Path, address: str | None) -> None:
    """Set the address in the checkout ``root``, or take it out (None).

    Raises ValueError, having written nothing, for what is no address.
    """
    readme, project = root / "README.md", root / "pyproject.toml"
    shown = placed(readme.read_text(encoding="utf-8"), address)
    text = TABLE.sub("", project.read_text(encoding="utf-8"))
    if address is not None:
        owner, name = parts(address)
        table = f'[project.urls]\nRepository = "https://github.com/{owner}/{name}"\n\n'
        text = text.replace(BEFORE, table + BEFORE, 1)
    storage.write_text(project, text)
    storage.write_text(readme, shown)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("address", nargs="?", help="https://github.com/OWNER/NAME")
    chosen.add_argument("--none", action="store_true", help="no address: no links")
    arguments = parser.parse_args()
    try:
        write(storage.checkout(), arguments.address)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    print("Written: pyproject.toml, README.md. The lessons' first cells: course build --no-execute")
