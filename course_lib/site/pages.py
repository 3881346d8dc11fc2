"""All files that Sphinx reads, by their path below one folder."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from .. import glossary, storage, workcopy
from ..cells import source
from ..guide import page as guide_page
from ..guide.lesson import Lesson
from . import api, notebooks, texts


class SiteError(RuntimeError):
    """Why there is no site; the message says what to do."""


FRONT = "Intriguing properties of neural networks"


def files(lessons: Sequence[Lesson], guide: bool = False) -> dict[str, bytes]:
    """The sources: pages, figures under ``extra/``. Raises SiteError where one cannot be made."""
    root = storage.checkout()
    made: dict[str, str | bytes] = {}
    for lesson in lessons:
        notebook = workcopy.load(root / "solutions" / f"{lesson.name}.ipynb")
        shown, pictures = notebooks.page(notebook, lesson)
        made[f"lessons/{lesson.name}.ipynb"] = json.dumps(shown, ensure_ascii=False)
        made |= {f"extra/{notebooks.FIGURES}/{name}": data for name, data in pictures.items()}
    made |= _written(root)
    parts = api.modules()
    for top, names in parts.items():
        made[f"api/{top}.rst"] = api.page(top, names)
    made["api/index.rst"] = api.index(list(parts))
    made["glossary.md"] = glossary_page(lessons)
    if guide:
        made |= _guide(lessons)
    made["docs/index.md"] = how_tos(sorted(n for n in made if re.match(r"docs/.*\.md$", n)))
    made["index.md"] = front(lessons, guide)
    return {name: c if isinstance(c, bytes) else c.encode("utf-8") for name, c in made.items()}


def _written(root: Path) -> dict[str, str | bytes]:
    """The report with its figures, and the pages of docs/."""
    report = root / "results" / "report.md"
    if not report.is_file():
        raise SiteError(
            f"There is no {report}: `course reproduce` writes it, and `git restore results` brings "
            "the course's own back."
        )
    where = {"results/report.md": "report.md", "results/report.html": "report.md"}
    where |= {f"docs/{p.name}": f"docs/{p.name}" for p in sorted((root / "docs").glob("*.md"))}
    where |= {
        f"{folder}/{name}.ipynb": f"lessons/{name}.ipynb"
        for name in workcopy.lessons()
        for folder in ("lessons", "solutions")
    }
    for top, names in api.modules().items():
        for name in names:
            path = name.replace(".", "/")
            where |= dict.fromkeys((path, f"{path}.py", f"{path}/__init__.py"), f"api/{top}.rst")
    made: dict[str, str | bytes] = {}
    for path in [p for p in where if p.startswith("docs/")] + ["results/report.md"]:
        text = (root / path).read_text(encoding="utf-8")
        if not texts.title(text):
            raise SiteError(f"{root / path} has no heading: begin it with a line `# Its title`.")
        made[where[path]] = texts.relinked(text, path, where)
    # a column without a name, as report.html calls it
    made["report.md"] = re.sub(r"(?m)^\| +\|(?=.*\n\|:?-)", "| row |", made["report.md"])
    for picture in sorted((root / "results" / "figures").iterdir()):
        made[f"figures/{picture.name}"] = picture.read_bytes()
    for picture in sorted((root / "docs").glob("*.png")):
        made[f"docs/{picture.name}"] = picture.read_bytes()
    return made


def _guide(lessons: Sequence[Lesson]) -> dict[str, str | bytes]:
    names = "\n".join(lesson.name for lesson in lessons)
    index = guide_page.index(lessons) + f"\n```{{toctree}}\n:hidden:\n\n{names}\n```\n"
    made: dict[str, str | bytes] = {"guide/index.md": index}
    for lesson in lessons:
        made[f"guide/{lesson.name}.md"] = guide_page.lesson_page(lesson)
        for section in lesson.sections:
            for figure in section.figures:
                made[f"guide/{guide_page.FIGURES}/{figure.name}"] = figure.data
    return made


def glossary_page(lessons: Sequence[Lesson]) -> str:
    """The glossary, with links to the lessons that are on the site."""
    links = {x.name[:2]: f"lessons/{x.name}.html" for x in lessons}
    return (
        "# Glossary\n\n"
        + "The words of the course and of the paper, in English and Arabic.\n\n"
        + '<p lang="ar" dir="rtl">مصطلحات الدورة والبحث، بالإنجليزية والعربية.</p>\n\n'
        + glossary.as_html(glossary.terms(), links)
        + "\n"
    )


def front(lessons: Sequence[Lesson], guide: bool) -> str:
    """The first page: what the course is, in both languages, and where everything is."""
    english, arabic = opening()
    rows = [
        f"| [{guide_page.plain(x.title)}](lessons/{x.name}.ipynb) | {guide_page.plain(_first(x))} |"
        for x in lessons
    ]
    blocks = [
        f"# {FRONT}",
        english,
        arabic,
        "## The lessons",
        "Solved, with all that they print and draw. To work through them, open them in JupyterLab "
        "(`python3 start.py lab`); there the exercises are open.",
        "\n".join(["| lesson | what you can do after it |", "|:--|:--|", *rows]),
        "## What else is here",
        "- [The report](report.md): every claim of the paper beside what was measured here\n"
        "- [The glossary](glossary.md), in English and Arabic\n"
        "- [The library](api/index.rst): what the lessons import\n"
        + "- [The instructor's guide](guide/index.md), with the solutions\n" * guide
        + "- How-tos: [all of them](docs/index.md)",
    ]
    trees = [("Lessons", [f"lessons/{x.name}" for x in lessons])]
    trees += [("For instructors", ["guide/index"])] if guide else []
    trees += [
        ("Reference", ["The paper beside here <report>", "glossary", "api/index", "docs/index"])
    ]
    for caption, names in trees:
        entries = "\n".join(names)
        blocks.append(f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{entries}\n```")
    return "\n\n".join(blocks) + "\n"


def opening() -> tuple[str, str]:
    """What lesson 00 opens with, the first paragraph in English and in Arabic."""
    path = workcopy.lessons()[workcopy.find("00", workcopy.lessons())]
    cells = {c.get("id"): source(c) for c in workcopy.load(path)["cells"]}
    english = cells["title"].split("\n\n")[1]
    arabic = cells["title-arabic"].split("<br><br>")
    return english, f"{arabic[0].strip()}\n</div>"


def how_tos(docs: Sequence[str]) -> str:
    """The list of the pages of docs/."""
    names = "\n".join(Path(name).stem for name in docs)
    return f"# How-tos\n\n```{{toctree}}\n:maxdepth: 1\n\n{names}\n```\n"


def _first(lesson: Lesson) -> str:
    """The first thing that one can do after a lesson."""
    words = lesson.objectives[0] if lesson.objectives else ""
    return words.replace("$", "")
