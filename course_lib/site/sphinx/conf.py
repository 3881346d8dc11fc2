"""Sphinx's settings for ``course site``; the folder that it reads is made by ``site.pages``."""

import os
import re
import shutil
from importlib import util
from pathlib import Path

from pygments.lexers.special import TextLexer

HERE = Path(__file__).resolve().parent

project = "Intriguing properties of neural networks: a course"
copyright = "the course's authors; MathJax (Apache-2.0) sets the formulas"
release = ""
language = "en"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.mathjax"]
exclude_patterns = ["extra/**"]

# lessons: shown as they are, never run
nb_execution_mode = "off"
nb_render_markdown_format = "myst"  # else tables of a cell come out as raw pipes
nb_ipywidgets_js = {}  # would be asked of another host
nb_merge_streams = True
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
myst_dmath_double_inline = True
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb", ".rst": "restructuredtext"}
# a short name such as `Status` in a docstring may stand for that of two modules: it links to one
suppress_warnings = ["ref.python"]

autodoc_typehints = "signature"
autodoc_inherit_docstrings = False  # torch's own speak of torch's own pages
autodoc_mock_imports = [
    name
    for name in ("distributed", "nbgrader", "skimage", "sklearn", "hypothesis", "jupytext")
    if util.find_spec(name) is None
]

html_theme = "furo"
html_title = "Intriguing properties of neural networks"
html_static_path = [str(HERE / "static")]
html_css_files = ["course.css"]
html_js_files = [("course.js", {"defer": "defer"})]
html_extra_path = [os.environ["COURSE_SITE_EXTRA"]]  # a relative one would lie beside this file
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"light_css_variables": {}, "top_of_page_buttons": []}

mathjax_path = "mathjax/tex-chtml.js"
# no menu: else each formula is a stop for who walks with the keyboard, and its speech is fetched
mathjax3_config = {"options": {"enableMenu": False}}


def copy_mathjax(app, error):
    """MathJax and its fonts, of which a page reads nothing else."""
    if error is not None:
        return
    found = util.find_spec("sphinx-mathjax-offline")
    source = Path(found.origin).parent / "static" / "mathjax"
    target = Path(app.outdir) / "_static" / "mathjax"
    shutil.copytree(
        source / "output" / "chtml" / "fonts", target / "output" / "chtml" / "fonts",
        dirs_exist_ok=True,
    )  # fmt: skip
    shutil.copy2(source / "tex-chtml.js", target / "tex-chtml.js")


def as_text(app, what, name, obj, options, lines):
    """A docstring is words with code in backquotes; other signs of reStructuredText are no signs.

    |r| is a norm, *args an argument, x_ a name. Lines that stand below each other on purpose (a
    list of names, an argument with what it means indented) stay lines.
    """
    made, code = [], False
    for block in blocks(lines):
        deep = all(line.startswith(" ") for line in block)
        if code and (deep or not block):  # the block behind a "::"
            made += block or [""]
            continue
        code = bool(block) and block[-1].endswith("::")
        text = [escaped(line) for line in block]
        listed = sum(bool(re.match(r"``|[\w*]+(, \w+)*: ", line)) for line in block) > 1
        uneven = len({len(line) - len(line.lstrip()) for line in block}) > 1
        marked = re.compile(r"\s*([-*]|\d+\.|\(?\w\))\s|[=-]{3}")  # a list, a table, a heading
        item = bool(block) and any(map(marked.match, (block[0], block[min(1, len(block) - 1)])))
        made += [f"| {line}" if (listed or uneven) and not item else line for line in text] or [""]
    lines[:] = made


def named(app, pagename, templatename, context, doctree):
    """A heading of the menu says which level it has; Sphinx leaves that out."""
    menu = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = menu.replace(
        'role="heading">', 'role="heading" aria-level="2">'
    )


def blocks(lines):
    """Runs of lines that are not blank, and an empty list for each blank one."""
    found = [[]]
    for line in lines:
        if line.strip():
            found[-1].append(line)
        else:
            found += [[], []] if found[-1] else [[]]
    return found


def escaped(line):
    """A line of words, with nothing in it that is a sign but what stands in backquotes."""
    emphasis = r"(?<![\w*])\*\w(?:[^*]*\w)?\*(?![\w*])"
    pieces = re.split(rf"(``.*?``|:\w+:`.*?`|`[^`]*`|{emphasis})", line)
    plain = re.compile(r"(\*|\||(?<=\w)_(?!\w))")
    pieces[::2] = [plain.sub(r"\\\1", piece) for piece in pieces[::2]]
    return "".join(pieces)


def setup(app):
    # a diagram is read as its text: drawing it would take another host's script
    app.add_lexer("mermaid", TextLexer)
    app.connect("build-finished", copy_mathjax)
    app.connect("html-page-context", named, priority=900)
    app.connect("autodoc-process-docstring", as_text)
