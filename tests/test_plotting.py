"""Figures hold what they are given; sliders draw plain figures where nothing can be moved."""

import ipywidgets
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from course_lib import plotting, widgets
from course_lib.plotting import lesson01, lesson02, lesson03


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


def lines(axis):
    """The plotted lines and markers by their label, as (N, 2) points."""
    return {line.get_label(): line.get_xydata() for line in axis.get_lines()}


def test_lesson_1_draws_errors_over_decay_and_filters():
    weight = torch.arange(7840.0).reshape(10, 784) - 5000
    figure = lesson01.decay([1e-4, 1e-2, 1.0], [0, 0.1, 0.2], [0.12, 0.11, 0.3], 1e-2, weight)
    left, right = figure.axes
    assert lines(left)["fitted images"].round(9).tolist() == [[-4, 0], [-2, 10], [0, 20]]
    assert lines(left)["others"].round(9).tolist() == [[-4, 12], [-2, 11], [0, 30]]
    drawn = np.asarray(right.images[0].get_array())
    assert right.images[0].get_clim() == (-5000, 5000)
    np.testing.assert_array_equal(drawn[28:, 28:56], weight[6].reshape(28, 28))


def test_lesson_2_draws_rows_of_images_in_their_order():
    images = torch.rand(12, 1, 28, 28)
    top = torch.tensor([[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]])
    titled = lesson02.strongest(images, top[:2], top[2:], ["one", "two"])
    numbered = lesson02.numbered(images, top)
    assert [axis.get_title() for axis in titled.axes] == ["one", "two"]
    texts = [[t.get_text() for t in axis.get_yticklabels()] for axis in numbered.axes]
    assert texts == [["1", "2"], ["3", "4"]]
    for figure in (titled, numbered):
        for axis, part in zip(figure.axes, (top[:2], top[2:]), strict=True):
            sheet = np.asarray(axis.images[0].get_array())
            for row, column in np.ndindex(2, 3):
                tile = sheet[32 * row : 32 * row + 32, 30 * column : 30 * column + 30]
                np.testing.assert_allclose(tile[2:30, 1:29], images[part[row, column], 0])


def test_lesson_2_draws_intervals_in_their_margins():
    trained = {"purity": [(-1, 0, 1), (0, 1, 2)], "spread": [(0, 0.5, 1), (0, 0.1, 3)]}
    untrained = {"purity": [(0, 0, 0), (0, 0, 0)], "spread": [(0, 0, 0), (0, 0, 0)]}
    figure = lesson02.differences(["a", "b"], trained, untrained, {"purity": 0.5, "spread": 0.7})
    first, second = figure.axes
    assert [axis.get_title() for axis in figure.axes] == ["purity", "spread"]
    assert [t.get_text() for t in first.get_yticklabels()] == ["a", "b"]
    assert {t.get_text() for t in first.get_legend().get_texts()} == {"trained", "untrained"}
    assert [second.patches[0].get_x(), second.patches[0].get_width()] == [-0.7, 1.4]
    points = [line.get_xydata().tolist() for line in second.get_lines()]
    assert [[0, 0.88], [3, 0.88]] in points
    assert [[0.1, 0.88]] in points


def test_lesson_3_draws_newtons_steps():
    trail = [0.0, 0.5, 0.75, 0.8]
    figure = lesson03.newton([0, 1], [-4.0, 1.0], [-4.0, 4.0], trail, [-4.0, -1.0, -0.1])
    found = lines(figure.axes[0])
    assert found["Newton"].tolist() == [[0, -4], [0.5, -1], [0.75, -0.1]]
    assert found["clipped: w·x(μ) + d"].tolist() == [[0, -4], [1, 1]]
    assert found["without the box"].tolist() == [[0, -4], [1, 4]]


def test_lesson_3_draws_a_mistake_and_its_logits():
    clean, changed = torch.rand(2, 1, 28, 28)
    figure = lesson03.mistake(clean, changed, 0.0512, {"clean": range(10), "changed": [0] * 10})
    axes = figure.axes
    assert axes[1].get_title() == "distortion 0.051"
    for axis, image in zip(axes[:3], (clean, changed, changed - clean), strict=True):
        np.testing.assert_allclose(axis.images[0].get_array(), image[0])
    assert [bar.get_height() for bar in axes[3].patches] == [*range(10), *[0] * 10]
    assert [t.get_text() for t in axes[3].get_legend().get_texts()] == ["clean", "changed"]


def test_lesson_3_draws_a_point_of_the_path():
    image, path, outputs = torch.rand(1, 28, 28), torch.rand(3, 1, 28, 28), torch.eye(10)[2:5]
    lengths, cs = [0.1, 0.2, 0.3], [3.0, 2.0, 1.0]
    figure = lesson03.penalty_path(image, path, lengths, outputs, cs, 1, target=4, least=0.15)
    axes = figure.axes
    assert [axis.get_title() for axis in axes[:2]] == ["read as a 3", "r, distortion 0.200"]
    np.testing.assert_allclose(axes[0].images[0].get_array(), (image + path[1])[0])
    assert np.argmax([bar.get_height() for bar in axes[2].patches]) == 3
    [dots] = axes[3].collections
    assert dots.get_offsets().tolist() == [[3, 0.1], [2, 0.2], [1, 0.3]]
    orange = matplotlib.colors.to_rgba(plotting.COLOURS[1])
    assert [tuple(colour) == orange for colour in dots.get_facecolor()] == [False, False, True]
    assert [[2, 0.2]] in [line.get_xydata().tolist() for line in axes[3].get_lines()]


def test_lesson_3_draws_the_toy_network():
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 21)] * 2), axis=-1)
    start, end, exact = np.array([0.2, 0.4]), np.array([0.7, 0.4]), np.array([0.5, 0.4])
    path = np.linspace(start, [0.9, 0.4], 50)
    figure = lesson03.toy(grid[..., 0] > 0.5, grid[..., 0], 0.7, start, path, end, exact)
    [axis] = figure.axes
    found = lines(axis)
    for name, point in (("start", start), ("penalty", end), ("exact", exact)):
        assert found[name].tolist() == [point.tolist()]
    for name, size in (("penalty", 0.5), ("exact", 0.3)):
        away = np.linalg.norm(found[f"as far as {name}"] - start, axis=1)
        np.testing.assert_allclose(away, size)
    np.testing.assert_allclose(found["minimisers, all c"].max(0), [0.75, 0.4], atol=0.02)
    [level] = axis.collections[0].get_paths()
    np.testing.assert_allclose(level.vertices[:, 0], 0.7)


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
