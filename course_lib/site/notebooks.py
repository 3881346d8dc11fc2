"""A solved lesson as a page: the notebook as it is, its figures as files with words beside them."""

import copy
import html
import io
from collections.abc import Mapping

from PIL import Image

from ..alternatives import picture_in
from ..cells import metadata
from ..guide.lesson import Lesson, picture_of

FIGURES = "figures"  # the folder beside those of the pages


def figures(lesson: Lesson) -> dict[str, str]:
    """Name of a figure's file -> what is there for who cannot see it."""
    return {f.name: f.text for section in lesson.sections for f in section.figures}


def page(notebook: Mapping, lesson: Lesson) -> tuple[dict, dict[str, bytes]]:
    """The notebook that Sphinx reads, and the figures by file name.

    Raises KeyError for a figure that the lesson does not know: both are read from one file.
    """
    made, files, texts = copy.deepcopy(dict(notebook)), {}, figures(lesson)
    made["metadata"].pop("widgets", None)
    for cell in made["cells"]:
        number = 0
        tags = metadata(cell).get("tags", [])
        if "hide-input" in tags:  # a reader of the site cannot run it, and may want to see it
            cell["metadata"]["tags"] = [tag for tag in tags if tag != "hide-input"]
        for output in cell.get("outputs", []):
            picture = picture_in(output.get("data", {}))
            if picture is None:
                continue
            number += 1
            name = picture_of(lesson.name, cell["id"], number, picture.kind)
            files[name] = picture.data
            output["data"] = {"text/html": shown(name, texts[name], files[name])}
            output["metadata"] = {}
    return made, files


def shown(name: str, text: str, data: bytes) -> str:
    """A figure as HTML, in a box that scrolls by itself where the window is narrow."""
    width, height = Image.open(io.BytesIO(data)).size
    return (
        f'<div class="course-figure"><img src="../{FIGURES}/{name}" width="{width}" '
        f'height="{height}" loading="lazy" alt="{html.escape(text, quote=True)}"></div>'
    )
