"""The figures of lessons 04 to 07 hold what the lessons hand to them."""

from types import SimpleNamespace

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from course_lib import plotting
from course_lib.lbfgsb import plain
from course_lib.plotting import lesson04, lesson05, lesson06, lesson07


@pytest.fixture(autouse=True)
def _quiet():
    with matplotlib.rc_context():
        matplotlib.use("agg")
        plotting.style()
        yield
    plt.close("all")


def labelled(axis, label):
    """The numbers (x, y) of the line that the legend calls so."""
    [line] = [one for one in axis.lines if one.get_label() == label]
    return [np.asarray(part).tolist() for part in line.get_data()]


# ---------------------------------------------------------------- lesson 04


def test_a_field_points_against_what_it_is_given():
    points, lowest = torch.rand(5, 2), torch.tensor([1.0, 0.5])
    fields, arrows = (points + 1, points - 2), (lowest, -lowest)
    figure = lesson04.field(points, fields, lowest, arrows, ("left", "right"))
    assert [axis.get_title() for axis in figure.axes] == ["left", "right"]
    for axis, field, arrow in zip(figure.axes, fields, arrows, strict=True):
        many, one = [c for c in axis.collections if hasattr(c, "U")]
        assert np.allclose(np.stack([many.U, many.V], 1), -field)
        assert np.allclose([one.U[0], one.V[0]], -arrow)


def test_a_descent_is_drawn_up_to_its_step():
    def height(x, y):
        return (x - 2) ** 2 + 3 * y**2

    lower, upper = torch.tensor([[-1.0, -0.5], [0.8, 1.5]], dtype=torch.float64)
    begin = torch.tensor([-0.9, 1.2], dtype=torch.float64)
    run = plain.minimize(plain.with_gradient(lambda p: height(*p)), begin, lower, upper)
    last = len(run.path)
    assert last > 1
    axis = lesson04.descent(run.path, last, height, lower, upper).axes[0]
    assert np.allclose(axis.lines[0].get_xydata(), torch.stack([s.x for s in run.path]))
    assert axis.get_title().startswith(f"step {last} of {last}: f = ")
    assert np.allclose(np.ravel(labelled(axis, "taken")), run.path[-1].tried[-1])
    first = lesson04.descent(run.path, 1, height, lower, upper).axes[0]
    assert np.allclose(first.lines[0].get_xydata(), begin[None])


def test_minimisers_that_miss_the_target_stand_apart():
    cs, sizes = np.array([0.1, 1, 10]), np.array([3.0, 2, 1])
    axis = lesson04.sizes_over_c(cs, sizes, np.array([True, True, False]), "yours").axes[0]
    assert labelled(axis, "says the target") == [[0.1, 1], [3, 2]]
    assert labelled(axis, "does not") == [[10], [1]]


def test_errors_of_0_are_written_and_not_drawn():
    curves = {"a": (5, None, 0.1, [0.2, 0.3], [0.1, 0.2]), "b": (7, None, 0, [0, 0.3], [0.1, 0.2])}
    figure = lesson04.noise_curves([0.1, 0.5], curves, "whose", {"b": [0.5, 0.6]})
    a, b = figure.axes
    assert labelled(a, "measured") == [[0.1, 0.5], [0.2, 0.3]]
    assert labelled(b, "measured") == [[0.5], [0.3]]
    assert labelled(b, "your last version") == [[0.1, 0.5], [0.5, 0.6]]
    assert [t.get_text() for t in b.texts] == ["0 wrong\nof 70"]
    assert [t.get_text() for t in a.texts] == ["without noise"]
    assert (a.get_title(), b.get_title()) == ("a, n = 5", "b, n = 7")


def test_an_attack_is_shown_with_its_size_and_its_target():
    image, p = torch.rand(1, 4, 4), torch.arange(10) / 45
    r = torch.full_like(image, -0.25)
    *pictures, bars = lesson04.attack(image, r, 7, 3, p, "reached").axes
    assert [axis.get_title() for axis in pictures] == ["a 7", "r, 0.250", "sum"]
    for axis, shown in zip(pictures, (image, 0.5 + r, image + r), strict=True):
        assert np.allclose(axis.images[0].get_array(), shown[0])
    assert np.allclose([bar.get_height() for bar in bars.patches], p)
    coloured = [to_hex(bar.get_facecolor()) == plotting.PAPER.lower() for bar in bars.patches]
    assert coloured == [k == 3 for k in range(10)]


def test_distances_lie_above_what_is_proven():
    lower, upper = [0.9, 0.4, 0.0], [0.9, 0.5, 1.2]
    ours = [0.95, 0.5, float("nan")]
    axis = lesson04.beside_proof(lower, upper, {"ours": ours}).axes[0]
    assert [bar.get_height() for bar in axis.patches] == [0.4, 0.9, 0.0]  # by the upper bound
    [bracket] = [c for c in axis.collections if c.get_label() == "the bracket"]
    ends = [segment[:, 1].tolist() for segment in bracket.get_segments()]
    assert ends == [[0.4, 0.5], [0.9, 0.9], [0.0, 1.2]]
    assert labelled(axis, "nearest point found") == [[1, 2, 3], [0.5, 0.9, 1.2]]
    assert labelled(axis, "ours")[1][:2] == [0.5, 0.95]
    assert np.isnan(labelled(axis, "ours")[1][2])
    assert axis.get_ylim()[0] == 0


# ---------------------------------------------------------------- lesson 05


@pytest.mark.parametrize("count", [1, 2])
def test_shares_are_written_in_per_cent(count):
    tables = [[[0.1, 0.25, 1], [0, 0.5, 0.333]]] * count
    names = [f"table {k}" for k in range(count)]
    figure = lesson05.shares(tables, ["r", "s"], ["a", "b", "c"], names, size=(4, 3))
    assert [axis.get_title() for axis in figure.axes] == names
    assert figure.axes[0].get_ylabel() == "made for"
    for axis in figure.axes:
        cells = {t.get_position(): t.get_text() for t in axis.texts}
        assert cells[0, 0] == "10.0"
        assert cells[2, 0] == "100.0"
        assert cells[2, 1] == "33.3"
        assert [t.get_text() for t in axis.get_xticklabels()] == ["a", "b", "c"]
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["r", "s"]


def test_groups_show_each_pair_and_the_mean():
    cells = {("all", "other"): [10, 20], ("none", "same"): [4.0]}
    axis = lesson05.groups(cells).axes[0]
    drawn = [line.get_xydata().tolist() for line in axis.lines]
    assert [[-0.1, 10], [-0.1, 20]] in drawn
    assert [[-0.1, 15]] in drawn
    assert drawn.count([[2.1, 4]]) == 2  # the pair, and the mean of one


def test_images_stand_beside_the_curves():
    images = torch.rand(10, 1, 4, 4)
    lines = {"a": [0.1, 0.2], "b": [0.3, 0.4]}
    texts = [f"no. {k}" for k in range(10)]
    figure = lesson05.by_size([0.5, 1], lines, [0, 0], 0.5, "title", images, texts)
    curves, *tiles = figure.axes
    assert labelled(curves, "b") == [[0.5, 1], [0.3, 0.4]]
    assert labelled(curves, "noise") == [[0.5, 1], [0, 0]]
    assert [axis.get_title() for axis in tiles] == texts
    for axis, image in zip(tiles, images, strict=True):
        assert np.allclose(axis.images[0].get_array(), image[0])


@pytest.mark.parametrize("theirs", [None, [0.3, 0.2, 0.1]])
def test_two_pairs_of_networks_are_named(theirs):
    named = {"A → B": (0.9, 0.8), "B → A": (0.1, 0.0)}
    figure = lesson05.reach([0.5, 0.5, 0.6], [0.9, 0.1, 0.4], [0.8, 0, 0.3], named, "yours", theirs)
    left, right = figure.axes
    assert left.lines[0].get_xydata().tolist() == [[0.5, 0.8], [0.5, 0], [0.6, 0.3]]
    assert right.lines[1].get_xydata().tolist() == [[0.9, 0.8], [0.1, 0], [0.4, 0.3]]
    assert {text.get_text(): text.xy for text in right.texts} == named
    assert (right.get_legend() is not None) == (theirs is not None)


# ---------------------------------------------------------------- lesson 06


def test_an_ellipse_is_where_the_circle_goes():
    angles = torch.linspace(0, 2 * torch.pi, 361, dtype=torch.float64)
    circle = torch.stack([angles.cos(), angles.sin()])
    matrix = torch.tensor([[3.0, 0], [0, 0.5]], dtype=torch.float64)
    before, after, lengths = lesson06.ellipse(circle, matrix, 90).axes
    assert before.get_title() == "r: length 1.00"
    assert after.get_title() == "Wr: length 0.50"
    assert np.allclose(after.lines[0].get_xydata(), (matrix @ circle).T)
    assert np.allclose(lengths.lines[0].get_ydata()[[0, 90]], [3, 0.5])
    assert np.allclose(lengths.lines[1].get_xydata(), [[90, 0.5]])


def test_channels_lie_side_by_side_in_rows():
    channels = torch.rand(6, 28, 28)
    sheet = lesson06.side_by_side(channels, 3)
    assert sheet.shape == (59, 90)
    assert torch.equal(sheet[31:, 62:], channels[5])
    assert torch.equal(sheet[:28, 31:59], channels[1])
    assert int(sheet.isnan().sum()) == 59 * 90 - 6 * 784


def test_a_frequency_is_drawn_with_what_goes_in_and_out():
    sigmas, pattern, out = torch.rand(28, 28, 1), torch.rand(1, 28, 28), 2 * torch.ones(16, 28, 28)
    figure = lesson06.frequency(sigmas, -1, 3, pattern, out)
    axes = figure.axes
    assert axes[0].images[0].get_array()[14, 14] == sigmas[0, 0, 0]  # frequency 0 in the middle
    assert axes[0].lines[0].get_xydata().tolist() == [[3, -1]]
    assert axes[1].patches[0].get_height() == pytest.approx(float(sigmas[27, 3, 0]))
    assert axes[2].get_title() == "goes in (1)"
    times = float(out.norm() / pattern.norm())
    assert axes[3].get_title() == f"comes out (16), {times:.2f} times"
    assert axes[3].images[0].get_clim() == (-2, 2)


# ---------------------------------------------------------------- lesson 07


def test_bounds_stand_on_one_line_each():
    found = {
        "a": SimpleNamespace(lower=1.0, tight=2.0, product=3.0),
        "b": SimpleNamespace(lower=4.0, tight=4.0, product=4.0),
    }
    axis = lesson07.bounds(found).axes[0]
    assert labelled(axis, "LipLT") == [[2, 4], [0, 1]]
    assert labelled(axis, "product") == [[3, 4], [0, 1]]
    assert [t.get_text() for t in axis.get_yticklabels()] == ["a", "b"]


def test_states_are_told_by_colour_and_counted():
    images = torch.zeros(100, 1, 28, 28)
    certified, broken = torch.zeros(2, 100, dtype=torch.bool)
    certified[:30], broken[99] = True, True
    figure = lesson07.states(images, certified, broken, "net")
    says = "net: 30 certified (blue),\n69 unknown (grey), 1 misread or broken (orange)"
    assert figure.get_suptitle() == says
    sheet = figure.axes[0].images[0].get_array()
    assert np.allclose(sheet[0, 0], (0, 0.45, 0.7))
    assert np.allclose(sheet[-1, -1], (0.84, 0.37, 0))
    assert np.allclose(sheet[3 * 28, 0], 0.55)


def test_the_chosen_strength_stands_out():
    trials = [{"certified": {"0.5": s - 0.1, "1": s / 2}, "accuracy": s} for s in (0.9, 0.8)]
    axis = lesson07.strengths([0.5, 1], trials, trials[1], "sum, strength 1").axes[0]
    assert axis.get_title() == "sum, strength 1"
    drawn = [(list(line.get_ydata()), line.get_color()) for line in axis.lines]
    # from the accuracy on, which is what is certified at radius 0
    assert drawn[:2] == [([0.9, 0.8, 0.45], "0.85"), ([0.8, 0.8 - 0.1, 0.4], "0.85")]
    assert drawn[2] == ([0.8, 0.8 - 0.1, 0.4], plotting.OURS)
    assert drawn[3] == ([0.8], plotting.PAPER)
