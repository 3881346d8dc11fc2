"""Figures hold what they are given; sliders draw plain figures where nothing can be moved."""

import ipywidgets
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from course_lib import plotting, widgets


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    with matplotlib.rc_context():
        matplotlib.use("agg")
        plotting.style()
        yield
    plt.close("all")


@pytest.mark.parametrize("shape", [(7, 1, 28, 28), (7, 28, 28)])
def test_every_image_is_drawn_under_its_title(shape):
    images = torch.rand(shape)
    figure = plotting.show_images(images, [f"no. {k}" for k in range(7)], columns=3)
    [axis] = figure.axes
    sheet = np.asarray(axis.images[0].get_array().filled(-1))
    assert axis.images[0].get_clim() == (0, 1)
    assert [text.get_text() for text in axis.texts] == [f"no. {k}" for k in range(7)]
    for image, text in zip(images, axis.texts, strict=True):
        x, y = text.get_position()
        left, top = round(x - 13.5), round(y + 2)
        drawn = sheet[top : top + 28, left : left + 28]
        np.testing.assert_allclose(drawn, image.reshape(28, 28), rtol=1e-6)
    assert (sheet == -1).sum() == sheet.size - 7 * 784, "nothing else is drawn"


def test_weights_are_drawn_symmetrically_about_0():
    weights = torch.tensor([[[-0.2, 0.1], [0.0, 0.5]], [[0.0, 0.0], [0.0, 0.0]]])
    image = plotting.show_images(weights, limits=None).axes[0].images[0]
    assert image.get_clim() == (-1, 1)
    drawn = image.get_array().compressed()
    assert sorted(drawn.round(4).tolist()) == [-0.4, 0, 0, 0, 0, 0, 0.2, 1]


def test_ours_stand_beside_the_papers():
    figure = plotting.beside_paper(
        ["a", "b"], [1.0, 2.0], [1.5, float("nan")], "error / %", [0.1, 0]
    )
    axis = figure.axes[0]
    assert [t.get_text() for t in axis.get_yticklabels()] == ["a", "b"]
    assert axis.get_xlabel() == "error / %"
    assert {t.get_text() for t in axis.get_legend().get_texts()} == {"here", "paper"}


def test_a_table_is_markdown_with_its_numbers_to_the_right():
    shown = plotting.table(["network", "error (%)"], [("a", 1.5), ["b", "2.0 ± 0.1"]])
    assert shown.data.splitlines() == [
        "| network | error (%) |",
        "| :-- | --: |",
        "| a | 1.5 |",
        "| b | 2.0 ± 0.1 |",
    ]
    rows = (row for row in [["x"]])
    assert plotting.table(("one",), rows, "A caption:").data == (
        "A caption:\n\n| one |\n| :-- |\n| x |"
    )
    assert plotting.table(["a", "b"], []).data == "| a | b |\n| :-- | --: |"


def test_a_bar_in_a_cell_is_no_column():
    lines = plotting.table(["|x|", "y"], [["a|b", None]]).data.splitlines()
    assert lines[0] == r"| \|x\| | y |"
    assert lines[2] == r"| a\|b | None |"


@pytest.mark.parametrize("row", [["a"], ["a", 1, 2], []])
def test_a_table_asks_for_a_cell_in_each_column(row):
    with pytest.raises(ValueError, match=rf"^Row 2 .* {len(row)} cells, its head has 2: give each"):
        plotting.table(["network", "error"], [["fine", 1], row])


def test_a_static_page_gets_plain_figures(monkeypatch):
    monkeypatch.setenv("COURSE_STATIC", "1")
    monkeypatch.setattr(ipywidgets, "interact", lambda *a, **k: pytest.fail("a widget"))
    drawn = []
    control = widgets.slider([0, 0.5, 1], "σ")
    widgets.explore(lambda sigma: drawn.append(sigma), [{"sigma": 0}, {"sigma": 1}], sigma=control)
    assert drawn == [0, 1]


def test_a_moved_slider_draws_again(monkeypatch):
    monkeypatch.delenv("COURSE_STATIC", raising=False)
    drawn = []
    control = widgets.slider([0, 0.5, 1], "σ", start=0.5)
    widgets.explore(lambda sigma: drawn.append(sigma), [], sigma=control)
    control.value = 1
    assert drawn == [0.5, 1]


def test_a_menu_starts_at_its_first_value():
    assert widgets.choice(["one", "two"], "which").value == "one"
    assert widgets.choice([("one", 1), ("two", 2)], "which", start=2).value == 2
