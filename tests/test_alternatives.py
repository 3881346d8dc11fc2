"""What figures show, in words: in the solved lessons, in a learner's kernel, in every place."""

import base64
import html
import json
import os

import nbformat
import pytest

from course_lib import alternatives, storage, workcopy
from course_lib.alternatives import KEY, Picture, picture_in, texts_of
from course_lib.guide.lesson import read
from course_lib.site import notebooks

ROOT = storage.checkout()
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)
needs_lessons = pytest.mark.skipif(ROOT is None, reason="an installed course")


def solved():
    """Name and notebook of every solved lesson."""
    for name in workcopy.lessons():
        yield name, json.loads((ROOT / "solutions" / f"{name}.ipynb").read_text(encoding="utf-8"))


@needs_lessons
def test_every_picture_of_the_solved_lessons_has_a_text_of_its_authors():
    """In the HTML, where JupyterLab takes it from, and from there on the site and in the guide."""
    count = 0
    for name, notebook in solved():
        lesson = read(name)
        page, _ = notebooks.page(notebook, lesson)
        of_figures = notebooks.figures(lesson)
        for cell, shown in zip(notebook["cells"], page["cells"], strict=True):
            outputs = zip(cell.get("outputs", []), shown.get("outputs", []), strict=True)
            drawn = [(p, new) for o, new in outputs if (p := picture_in(o.get("data", {})))]
            texts = cell["metadata"].get(KEY, [])
            assert len(texts) in ({1, len(drawn)} if drawn else {0}), (name, cell["id"])
            for k, (picture, new) in enumerate(drawn, 1):
                count += 1
                assert picture.text is not None, (name, cell["id"])
                assert picture.text.startswith(texts[min(k, len(texts)) - 1])
                assert len(picture.text) > 60
                assert f'alt="{html.escape(picture.text, quote=True)}"' in new["data"]["text/html"]
                assert picture.text in of_figures.values()
    assert count > 100


@needs_lessons
def test_no_two_pictures_of_a_lesson_have_the_same_text():
    for name, notebook in solved():
        bundles = [o.get("data", {}) for c in notebook["cells"] for o in c.get("outputs", [])]
        texts = [p.text for data in bundles if (p := picture_in(data))]
        assert len(texts) == len(set(texts)), name


@needs_lessons
def test_the_lessons_know_their_texts_where_their_cells_lie():
    for path in workcopy.lessons().values():
        for cell in workcopy.load(path)["cells"]:
            texts = cell["metadata"].get(KEY)
            if texts:
                assert texts_of(cell["id"], "".join(cell["source"])) == texts
                assert texts_of(None, "".join(cell["source"])) == texts  # not JupyterLab
                changed = "".join(cell["source"]) + "\n# what a learner has added"
                assert texts_of(cell["id"], changed) == texts


def test_a_cell_of_the_learners_own_has_none():
    assert not texts_of("a-new-cell", "plt.plot(range(3))")
    assert not texts_of(None, "")


def test_a_picture_is_read_as_it_was_written():
    text = 'Two "curves" & a line < the <b>other</b>, c’est ça.'
    found = picture_in({"text/html": Picture("image/png", PIXEL).html(text)})
    assert found == Picture("image/png", PIXEL, text)
    assert found.data == base64.b64decode(PIXEL)
    assert picture_in({"image/png": [f"{PIXEL[:40]}\n", f"{PIXEL[40:]}\n"]}).encoded == PIXEL
    assert picture_in({"image/jpeg": PIXEL}).kind == "image/jpeg"
    for other in ({}, {"text/html": "<b>bold</b>"}, {"text/plain": "<img alt=... src=...>"}):
        assert picture_in(other) is None


def test_where_no_kernel_runs_nothing_is_installed():
    alternatives.install()
    with alternatives.using(["A text."]):
        assert alternatives.of_this_cell() == ["A text."]
    assert alternatives.of_this_cell() == ()


def solved_cells(key):
    """The texts of the cells called ``key``, of each lesson that has one."""
    every = (c for path in workcopy.lessons().values() for c in workcopy.load(path)["cells"])
    return [c["metadata"][KEY] for c in every if c["id"] == key]


@needs_lessons
def test_in_a_kernel_a_lessons_pictures_have_their_texts(tmp_path):
    """As JupyterLab sends a cell: with its id. Shown by matplotlib, by IPython, by a slider that
    moves, in whichever thread; a picture of the learner's own stays as it is."""
    nbclient = pytest.importorskip("nbclient")
    draw = "plt.plot([1, 2]); plt.show()\n"
    photograph = (
        "import base64\nfrom IPython.display import Image, display\n"
        f"display(Image(base64.b64decode('{PIXEL}'), format='png'))"
    )
    slider = "widgets.explore(lambda k: plt.plot([k]), [{'k': 1}], k=[1, 2])"
    later = (  # JupyterLab may have a slider's figure drawn in a thread of its own
        "import threading\n"
        "from course_lib import alternatives\n"
        "def move():\n"
        "    with alternatives.using(['A moved slider.']):\n"
        "        plt.plot([3]); plt.show()\n"
        "thread = threading.Thread(target=move); thread.start(); thread.join()"
    )
    sent = [
        ("imports", "import matplotlib.pyplot as plt\nfrom course_lib import plotting, widgets\n"
         "plotting.style()"),
        ("toy-figure", draw * 3),
        ("trend-figure", photograph),
        ("mine", draw),
        ("path-figure", slider),
        ("mine-too", later),
    ]  # fmt: skip
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(code, id=key) for key, code in sent]
    )
    client = nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COURSE_HOME": str(tmp_path)}
    environment["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    environment["COURSE_STATIC"] = "1"  # a slider's outputs would go to the page alone
    environment["IPYTHONDIR"] = str(tmp_path / "ipython")
    with client.setup_kernel(env=environment):
        for i, cell in enumerate(notebook.cells):
            client.kc.session.metadata = {"cellId": cell.id}
            client.execute_cell(cell, i)
    shown = {
        c.id: [p.text for o in c.outputs if (p := picture_in(o.get("data", {})))]
        for c in notebook.cells
    }
    [two], [trend] = solved_cells("toy-figure"), solved_cells("trend-figure")
    assert shown["toy-figure"] == [*two, two[-1]]
    assert shown["trend-figure"] == trend
    assert shown["mine"] == [None]
    assert shown["path-figure"][0] in [t for c in solved_cells("path-figure") for t in c]
    assert shown["mine-too"] == ["A moved slider."]
