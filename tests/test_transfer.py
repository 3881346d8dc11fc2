"""Transfer tables against loops over images, hand-made networks and closed forms."""

import dataclasses
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from course_lib import attacks, identity, sourcecode, transfer, zoo
from course_lib.data import Dataset, load_mnist
from course_lib.transfer import making, sets
from course_lib.transfer.sets import AdversarialSet
from course_lib.transfer.table import CLEAN, amplified_label, equal_label, noise_label

PIXELS = (1, 2, 2)


def linear(weight, bias=None) -> nn.Sequential:
    """A network with given logits on images of four pixels."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, len(weight)))
    net[1].weight.data = torch.tensor(weight, dtype=torch.float32)
    net[1].bias.data = torch.tensor(bias or [0.0] * len(weight))
    return net.eval()


def threshold(pixel: int, above: float, classes: int = 2) -> nn.Sequential:
    """Class 1 where one pixel is above a value, else class 0."""
    weight = [[0.0] * 4 for _ in range(classes)]
    weight[1][pixel] = 10.0
    return linear(weight, [0.0, -10 * above] + [-100.0] * (classes - 2))


def data(values, labels) -> Dataset:
    """Images of four pixels that all have one value, or the values given."""
    images = torch.tensor(values, dtype=torch.float32)
    if images.dim() == 1:
        images = images[:, None].expand(-1, 4)
    images = images.reshape(-1, *PIXELS).clone()
    return Dataset(images, torch.tensor(labels), "four pixels", torch.arange(len(labels)))


@pytest.fixture(scope="module")
def digits():
    return load_mnist("test", device="cpu").sample(60, seed=3)


@pytest.fixture(scope="module")
def nets():
    return {name: zoo.load(name, device="cpu") for name in ("FC10(1e-4)", "FC100-100-10")}


@pytest.fixture(scope="module")
def small(nets, digits):
    return transfer.transfer_table(nets, None, digits, stddev=0.1, noise=(0.2,), cache=False)


# --- a set -------------------------------------------------------------------------------------


def test_a_set_is_the_attacks_own_result(nets, digits):
    net = nets["FC10(1e-4)"]
    targets = attacks.recorded_targets(digits)
    found = transfer.adversarial_set(net, digits)
    alone = attacks.minimal_adversarial(
        net, digits.images, targets, digits.labels, loss="cross-entropy"
    )
    assert torch.equal(found.adversarial, alone.images)
    assert torch.equal(found.targets, targets)
    with torch.no_grad():
        assert torch.equal(net(found.adversarial).argmax(1)[found.success], targets[found.success])
    rms = (found.adversarial - digits.images).flatten(1).norm(dim=1) / 28
    assert torch.allclose(found.distortion, rms, atol=1e-7)
    assert torch.equal(found.right, net(digits.images).argmax(1) == digits.labels)
    assert "AdversarialSet(60 of 60" in repr(found)


def test_a_network_may_be_named(digits):
    few = digits[:3]
    one = transfer.adversarial_set("FC10(1e-4)", few)
    assert torch.equal(
        one.adversarial, transfer.adversarial_set(("FC10(1e-4)", 0), few).adversarial
    )


def test_amplified_images_have_the_size_and_the_direction(nets, digits):
    net = nets["FC10(1e-4)"]
    with torch.no_grad():
        guess = net(digits.images).argmax(1)
    mistaken = guess != digits.labels
    # some images have their target already
    targets = torch.where(mistaken, guess, attacks.recorded_targets(digits))
    found = transfer.adversarial_set(net, digits, targets=targets)
    there = found.distortion == 0
    assert torch.equal(there, mistaken)
    assert there.any()
    large = found.amplified(0.2)
    assert torch.equal(large[there], digits.images[there])
    change = (large - digits.images).flatten(1)[~there]
    before = (found.adversarial - digits.images).flatten(1)[~there]
    assert torch.allclose(change.norm(dim=1) / 28, torch.tensor(0.2), rtol=1e-5)
    assert torch.allclose(nn.functional.cosine_similarity(change, before), torch.tensor(1.0))
    clipped = found.amplified(0.2, clip=True)
    assert clipped.min() >= 0
    assert clipped.max() <= 1
    assert (found.changed == ~there).all()


def test_noise_is_exactly_as_large_as_each_change(nets, digits):
    found = transfer.adversarial_set(nets["FC10(1e-4)"], digits)
    noise = (found.equal_noise(1) - digits.images).flatten(1)
    assert torch.allclose(noise.norm(dim=1) / 28, found.distortion, rtol=1e-4, atol=1e-7)
    other = (found.equal_noise(2) - digits.images).flatten(1)
    moved = found.changed
    cosine = nn.functional.cosine_similarity(noise[moved], other[moved])
    assert cosine.abs().max() < 0.2, "another seed, another direction"
    assert found.equal_noise(1).min() < 0, "not clipped"


@pytest.mark.parametrize("stddev", [0, -0.1, float("nan"), float("inf"), "0.1", None])
def test_a_stddev_must_be_above_0(stddev, nets, digits):
    found = transfer.adversarial_set(nets["FC10(1e-4)"], digits[:2])
    with pytest.raises(ValueError, match="above 0"):
        found.amplified(stddev)
    if stddev is not None:
        levels = {"stddev": stddev} if not isinstance(stddev, str) else {"noise": [stddev]}
        with pytest.raises(ValueError, match="above 0"):
            transfer.transfer_table(nets, None, digits[:2], **levels)


def test_nearest_targets_are_never_farther(nets, digits):
    few = digits[:10]
    near = transfer.adversarial_set(nets["FC10(1e-4)"], few, targets="nearest")
    random = transfer.adversarial_set(nets["FC10(1e-4)"], few)
    assert (near.distortion <= random.distortion + 1e-4).all()
    assert near.distortion.mean() < 0.7 * random.distortion.mean()
    assert near.settings["targets"] == "nearest"


# --- the cache ---------------------------------------------------------------------------------


@pytest.fixture
def calls(monkeypatch):
    """Counts the attacks that are really run."""
    made = []

    def counted(*args, **settings):
        made.append(settings)
        return attacks.minimal.minimal_adversarial(*args, **settings)

    monkeypatch.setattr(attacks, "minimal_adversarial", counted)
    return made


def test_a_set_is_made_once(nets, digits, calls):
    few = digits[:4]
    first = transfer.adversarial_set(nets["FC10(1e-4)"], few)
    again = transfer.adversarial_set(nets["FC10(1e-4)"], few)
    assert len(calls) == 1
    for field in dataclasses.fields(AdversarialSet):
        value, other = getattr(first, field.name), getattr(again, field.name)
        if isinstance(value, torch.Tensor):
            assert torch.equal(
                value,
                other,
            ), field.name
    transfer.adversarial_set(nets["FC10(1e-4)"], few, cache=False)
    assert len(calls) == 2


def test_whatever_decides_the_images_is_in_the_key(nets, digits, calls):
    few, net = digits[:4], nets["FC10(1e-4)"]
    transfer.adversarial_set(net, few)
    other = linear_copy(net, 1e-3)
    changed = {
        "network": (other, few, {}),
        "images": (net, digits[1:5], {}),
        "one pixel": (net, with_pixel(few), {}),
        "targets": (net, few, {"targets": attacks.next_targets(few.labels)}),
        "rule": (net, few, {"targets": "nearest"}),
        "loss": (net, few, {"loss": "margin"}),
        "margin": (net, few, {"margin": 0.1}),
    }
    for k, (what, (network, images, settings)) in enumerate(changed.items(), 2):
        transfer.adversarial_set(network, images, **settings)
        assert len(calls) == k, what
    assert len(list(sets.folder().glob("*.safetensors"))) == 1 + len(changed)


def linear_copy(net, by):
    """The same network with one weight changed."""
    other = zoo.load("FC10(1e-4)", device="cpu")
    with torch.no_grad():
        other.fc1.weight[0, 400] += by
    return other


def with_pixel(few):
    images = few.images.clone()
    images[0, 0, 0, 0] = 0.5
    return dataclasses.replace(few, images=images)


def test_new_code_is_a_new_key(nets, digits, calls, monkeypatch):
    few = digits[:3]
    transfer.adversarial_set(nets["FC10(1e-4)"], few)
    monkeypatch.setattr(sets, "code_digest", lambda *roots: "another attack")
    transfer.adversarial_set(nets["FC10(1e-4)"], few)
    assert len(calls) == 2


def test_the_code_counts_and_its_comments_do_not(tmp_path, monkeypatch):
    for package in ("attacks", "lbfgsb"):
        (tmp_path / package).mkdir()
    path = tmp_path / "attacks" / "a.py"
    monkeypatch.setattr(sets.storage, "PACKAGE", tmp_path)

    def digest(text):
        path.write_text(text)
        sourcecode.code_digest.cache_clear()
        return sourcecode.code_digest(path)

    first = digest('def f(x):\n    """Text."""\n    return x + 1\n')
    assert digest('def f(x):\n    """Other text."""\n    # more\n    return x + 1\n') == first
    assert digest('def f(x):\n    """Text."""\n    return x + 2\n') != first
    monkeypatch.undo()
    sourcecode.code_digest.cache_clear()


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign"])
def test_a_damaged_file_is_said_to_be_so_and_made_again(damage, nets, digits, calls):
    few = digits[:3]
    first = transfer.adversarial_set(nets["FC10(1e-4)"], few)
    (path,) = sets.folder().glob("*.safetensors")
    raw = path.read_bytes()
    flipped = raw[:-100] + bytes([raw[-100] ^ 1]) + raw[-99:]
    path.write_bytes(
        {"cut": raw[:-9], "flipped": flipped, "empty": b"", "foreign": b"x" * 99}[damage]
    )
    with pytest.warns(UserWarning, match="is damaged .* made again"):
        again = transfer.adversarial_set(nets["FC10(1e-4)"], few)
    assert torch.equal(first.adversarial, again.adversarial)
    assert len(calls) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        transfer.adversarial_set(nets["FC10(1e-4)"], few)
    assert len(calls) == 2


def test_an_interrupted_set_goes_on(nets, digits, monkeypatch):
    few, net = digits[:6], nets["FC10(1e-4)"]
    whole = transfer.adversarial_set(net, few, cache=False)
    solve, seen = attacks.penalty.solve, []

    def stopping(problem, *args, **settings):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(len(problem.targets))
        return solve(problem, *args, **settings)

    monkeypatch.setattr(attacks.penalty, "solve", stopping)
    with pytest.raises(KeyboardInterrupt, match="4 of 6 adversarial images are kept"):
        transfer.adversarial_set(net, few, chunk=2)
    seen.clear()
    rest = transfer.adversarial_set(net, few, chunk=2)
    assert seen == [2], "only what was left"
    assert rest.success.all()
    assert torch.allclose(rest.distortion, whole.distortion, rtol=1e-3)


def test_a_folder_that_cannot_be_written_to_is_no_obstacle(nets, digits, tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    monkeypatch.setenv("COURSE_HOME", str(blocked))
    with pytest.warns(UserWarning, match="could not be kept"):
        found = transfer.adversarial_set(nets["FC10(1e-4)"], digits[:2])
    assert found.success.all()


class Own(nn.Module):
    """A network of one's own, whose forward is in no key."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)


def test_networks_of_unknown_code_are_not_kept(nets, digits, calls):
    own = Own(nets["FC10(1e-4)"]).eval()
    for _ in range(2):
        transfer.adversarial_set(own, digits[:2])
    assert len(calls) == 2
    assert not sets.folder().exists()


# --- a table by hand ---------------------------------------------------------------------------


def hand_made() -> tuple[transfer.TransferTable, Dataset]:
    """Two networks that look at one pixel each, and four images.

    "left" puts the boundary of pixel 0 at 0.5, "right" the one of pixel 1 at 0.6. The examples are
    given: image 0 moves both pixels over both boundaries, image 1 only pixel 0, image 2 has its
    attack failed, image 3 is wrong for "right" without an attack.
    """
    images = data([[0.2, 0.2, 0, 0], [0.3, 0.3, 0, 0], [0.4, 0.4, 0, 0], [0.4, 0.7, 0, 0]], [0] * 4)
    nets = {"left": threshold(0, 0.5), "right": threshold(1, 0.6)}
    moved = images.images.clone().flatten(1)
    moved[0, :2] = torch.tensor([0.6, 0.8])
    moved[1, :2] = torch.tensor([0.7, 0.4])
    moved[3, :2] = torch.tensor([0.8, 0.7])
    moved = moved.reshape(-1, *PIXELS)
    given = AdversarialSet(
        images,
        moved,
        success=torch.tensor([True, True, False, True]),
        distortion=attacks.distortion(moved, images.images),
        overshoot=torch.tensor([1.0, 2.0, 0.0, 3.0]),
        targets=torch.tensor([1, 1, 1, 1]),
        predictions=torch.tensor([0, 0, 0, 0]),
        status=torch.zeros(4, dtype=torch.int64),
        settings={},
    )
    return transfer.transfer_table({"left": given}, nets, images, noise=(0.001,)), images


def test_both_conventions_by_hand():
    table, _ = hand_made()
    # the paper's: images 0, 1 and 3 have an example; "right" has 0 and 3 wrong
    assert table.paper()["left", "left"] == 1.0
    assert table.paper()["left", "right"] == pytest.approx(2 / 3)
    assert table.paper().n["left"] == 3
    # strict: images 0 and 1, because "right" has image 3 wrong to begin with
    assert table.strict()["left", "left"] == 1.0
    assert table.strict()["left", "right"] == 0.5
    assert table.strict().n["left"] == 2
    # clean images: all four count for the paper, two for the strict convention
    assert table.paper()[CLEAN, "right"] == 0.25
    assert table.paper()[CLEAN, "left"] == 0.0
    assert table.strict().n[CLEAN] == table.strict().n[noise_label(0.001)] == 2
    assert table.strict()[CLEAN, "right"] == table.strict()[noise_label(0.001), "right"] == 0.0
    assert table.left_out("left") == 1
    assert table.images_used("left")[0, 0].tolist() == [True, True, False, False]
    assert table.overshoot("left") == pytest.approx(1.5)
    assert table.overshoot("left", "paper") == pytest.approx(2.0)
    sizes = [((0.4**2 + 0.6**2) / 4) ** 0.5, ((0.4**2 + 0.1**2) / 4) ** 0.5]
    assert table.size("left") == pytest.approx(np.mean(sizes), rel=1e-5)


def test_hits_count_the_class_aimed_at():
    three = {"three": threshold(1, 0.6, classes=3)}
    images = data([[0.2, 0.2, 0, 0], [0.2, 0.3, 0, 0]], [0, 0])
    moved = images.images.clone()
    moved[:, 0, 0, 1] = 0.9
    given = AdversarialSet(
        images,
        moved,
        torch.tensor([True, True]),
        attacks.distortion(moved, images.images),
        torch.zeros(2),
        torch.tensor([1, 2]),
        torch.tensor([0, 0]),
        torch.zeros(2, dtype=torch.int64),
        {},
    )
    table = transfer.transfer_table({"given": given}, three, images)
    assert table.strict()["given", "three"] == 1.0
    assert table.shares("strict", "hit")["given", "three"] == 0.5
    assert table.hits[0, 0].tolist() == [True, False]


def test_what_cannot_be_compared_is_said():
    table, _ = hand_made()
    text = str(table)
    assert "attack failed: left: 1" in text
    assert "another n than the other rows" in str(table.paper())
    assert "another n" not in str(table.strict())
    assert "n = 3 and 4" in table.incomparable("left", CLEAN, "paper")
    assert "differ in size" in table.incomparable("left", noise_label(0.001))
    assert table.incomparable("left", equal_label("left")) is None
    assert "50.0%" in text
    assert "<table>" in table._repr_html_()


def test_rows_of_another_size_are_flagged(small):
    assert "compare along a row" in str(small.strict())
    assert small.incomparable("FC10(1e-4)", "FC100-100-10") is not None
    amplified = [amplified_label(name, 0.1) for name in small.columns]
    assert small.incomparable(*amplified) is None


# --- a table against a loop --------------------------------------------------------------------


def test_every_cell_against_a_loop_over_images(small, nets, digits):
    targets = attacks.recorded_targets(digits)
    made = {
        name: attacks.minimal_adversarial(
            net, digits.images, targets, digits.labels, loss="cross-entropy"
        )
        for name, net in nets.items()
    }
    with torch.no_grad():
        for source in nets:
            for column, net in nets.items():
                paper, strict = [], []
                for k in range(len(digits)):
                    clean = digits.images[k : k + 1]
                    label = int(digits.labels[k])
                    if not bool(made[source].success[k]):
                        continue
                    wrong = int(net(made[source].images[k : k + 1]).argmax()) != label
                    paper.append(wrong)
                    if all(int(other(clean).argmax()) == label for other in nets.values()):
                        strict.append(wrong)
                assert small.paper()[source, column] == pytest.approx(np.mean(paper)), (
                    source,
                    column,
                )
                assert small.strict()[source, column] == pytest.approx(np.mean(strict))
                assert small.paper().n[source] == len(paper)
                assert small.strict().n[source] == len(strict) < len(paper)


def test_amplified_and_noise_rows_against_a_loop(small, nets, digits):
    source = "FC100-100-10"
    found = transfer.adversarial_set(nets[source], digits, cache=False)
    net = nets["FC10(1e-4)"]
    right = torch.stack([n(digits.images).argmax(1) == digits.labels for n in nets.values()]).all(0)
    change = found.adversarial - digits.images
    size = change.flatten(1).norm(dim=1) / 28
    keep = right & (size > 0)
    amplified = digits.images + 0.1 * change / size.reshape(-1, 1, 1, 1)
    wrong = net(amplified).argmax(1) != digits.labels
    share = float(wrong[keep].double().mean())
    assert small.strict()[amplified_label(source, 0.1), "FC10(1e-4)"] == pytest.approx(share)
    noise = torch.from_numpy(np.random.RandomState(0).standard_normal(digits.images.shape))
    noisy = digits.images + 0.2 * noise.float()
    wrong = net(noisy).argmax(1) != digits.labels
    share = float(wrong[right].double().mean())
    assert small.strict()[noise_label(0.2), "FC10(1e-4)"] == pytest.approx(share)
    # an amplified size gets its noise, too
    assert noise_label(0.1) in small.rows
    assert small.control(amplified_label(source, 0.1)) == noise_label(0.1)
    assert small.control(source) == equal_label(source)
    assert small.size(amplified_label(source, 0.1)) == pytest.approx(0.1, rel=1e-4)
    assert small.size(equal_label(source)) == pytest.approx(small.size(source), rel=1e-4)


def test_the_strict_clean_row_is_0_and_own_columns_are_whole(small):
    assert all(small.strict()[CLEAN, c] == 0 for c in small.columns)
    assert all(small.paper()[c, c] == small.strict()[c, c] == 1 for c in small.columns)


def test_arrays_of_single_images(small, digits):
    assert small.wrong.shape == small.hits.shape == (len(small.rows), 2, 60)
    row = list(small.rows).index("FC10(1e-4)")
    used = small.images_used("FC10(1e-4)")[0, 0]
    assert small.wrong[row, 1][used].mean() == small.strict()["FC10(1e-4)", "FC100-100-10"]


def test_all_rows_and_columns_may_be_asked_for_by_name(small):
    with pytest.raises(KeyError, match="There is no row 'x': use one of"):
        small.estimate("x", "FC10(1e-4)")
    with pytest.raises(KeyError, match="There is no column 'x'"):
        small.estimate("FC10(1e-4)", "x")
    with pytest.raises(ValueError, match="no convention 'other'"):
        small.shares("other")
    with pytest.raises(ValueError, match="'wrong' or 'hit'"):
        small.estimate("FC10(1e-4)", "FC10(1e-4)", what="right")
    with pytest.raises(ValueError, match="was not made for"):
        small.estimate("FC10(1e-4)", "FC100-100-10", strangers=True)


# --- several networks --------------------------------------------------------------------------


def test_every_pair_of_networks_against_a_loop():
    images = data([0.1, 0.2, 0.3, 0.45], [0, 0, 0, 0])
    group = {
        "a": [threshold(0, 0.5), threshold(0, 0.6), threshold(0, 0.7)],
        "b": [threshold(0, 0.55), threshold(0, 0.65), threshold(0, 0.75)],
        "one": threshold(0, 0.58),
    }
    targets = torch.ones(4, dtype=torch.int64)
    table = transfer.transfer_table(group, None, images, targets=targets)
    assert table.replicates == 3
    flat = {k: v if isinstance(v, list) else [v] for k, v in group.items()}
    for source, sources in flat.items():
        made = [transfer.adversarial_set(s, images, targets=targets, cache=False) for s in sources]
        for column, columns in flat.items():
            rates = [
                float((net(m.adversarial).argmax(1) != 0).double().mean())
                for s, m in enumerate(made)
                for t, net in enumerate(columns)
                if source != column or s == t
            ]
            estimate = table.estimate(source, column)
            assert estimate.mean == pytest.approx(np.mean(rates)), (source, column)
            assert estimate.networks == len(rates)
    strangers = table.estimate("a", "a", strangers=True)
    # an example just over 0.5, 0.6 or 0.7 fools a stranger with a lower threshold: 3 of 6 pairs
    assert strangers.mean == 0.5
    assert strangers.networks == 6
    assert np.isnan(table.estimate("one", "one", strangers=True).mean)
    with pytest.raises(ValueError, match="3 networks of each name"):
        table.wrong  # noqa: B018 - a property that raises


def test_seeds_of_the_zoo_are_its_replicates(digits, monkeypatch):
    asked = []

    def load(name, seed=0, device=None, progress=True):
        asked.append((name, seed))
        return threshold(seed % 4, 0.5 + seed / 10)

    monkeypatch.setattr(zoo, "load", load)
    images = data([0.1, 0.2], [0, 0])
    table = transfer.transfer_table(
        ["FC10(1)", "FC100-100-10"],
        None,
        images,
        seeds=(0, 1, 2),
        targets=torch.tensor([1, 1]),
    )
    # one optimum, so one network, whatever the seeds
    assert asked == [("FC10(1)", 0), *(("FC100-100-10", s) for s in range(3))]
    assert table.ids.tolist() == [[0, 0, 0], [0, 1, 2]]


# --- curves ------------------------------------------------------------------------------------


def test_a_curve_rises_to_the_boundary_of_a_linear_network():
    images = data([0.1, 0.2, 0.3, 0.4], [0] * 4)
    net, far = threshold(0, 0.51), threshold(0, 0.71)  # no image comes to a tie, for rounding
    levels = (0.05, 0.15, 0.25, 0.35)
    table = transfer.curve(
        {"near": net}, {"near": net, "far": far}, images, levels, targets=torch.ones(4).long()
    )
    # only pixel 0 moves: by twice its rms over four pixels
    for column, edge in (("near", 0.51), ("far", 0.71)):
        stddevs, shares = transfer.along(table, "near", column)
        want = [np.mean([x + 2 * s > edge for x in (0.1, 0.2, 0.3, 0.4)]) for s in levels]
        np.testing.assert_allclose(shares, want)
        assert stddevs.tolist() == list(levels)
    assert transfer.along(table, None, "near")[0].tolist() == list(levels)
    with pytest.raises(KeyError, match="no rows of several sizes"):
        transfer.along(table, "other", "near")
    with pytest.raises(ValueError, match="at least one stddev"):
        transfer.curve({"near": net}, None, images, [])


def test_the_paper_beside_it(small):
    printed = {"FC100-100-10": (0.5, 1.0), "not here": (0.1, 0.2), CLEAN: (0.0, 0.0)}
    found = transfer.against_paper(small, printed, ("FC10(1e-4)", "FC100-100-10"))
    assert [(e["row"], e["column"]) for e in found] == [
        ("FC100-100-10", "FC10(1e-4)"),
        ("FC100-100-10", "FC100-100-10"),
        (CLEAN, "FC10(1e-4)"),
        (CLEAN, "FC100-100-10"),
    ]
    assert found[1]["overlap"]
    assert found[0]["here"].mean == small.paper()["FC100-100-10", "FC10(1e-4)"]
    assert not transfer.against_paper(small, {CLEAN: (0.9, 0.9)}, small.columns)[0]["overlap"]


# --- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sources", "images", "sentence"),
    [
        ([], "some", "no sources"),
        ({}, "some", "no sources"),
        (None, "some", "no sources"),
        (["FC10(1e-4)"], "none", "no images"),
        (["FC10(1e-4)"], "empty", "no images"),
        (["FC10(1e-4)", "FC10(1e-4)"], "some", "named twice"),
        (["FC11"], "some", "There is no network called 'FC11'"),
        (["FC10(1e-4)"], "other", "does not take images of shape"),
    ],
)
def test_bad_input_is_refused_before_any_attack(sources, images, sentence, digits, calls):
    given = {
        "some": digits[:2],
        "none": None,
        "empty": digits[:0],
        "other": data([0.1], [0]),
    }[images]
    with pytest.raises(ValueError, match=sentence):
        transfer.transfer_table(sources, None, given)
    assert not calls


def test_networks_must_agree(digits, calls):
    images = data([0.1, 0.2], [0, 0])
    two, three = threshold(0, 0.5), threshold(0, 0.5, classes=3)
    aims = {"targets": torch.tensor([1, 1])}
    with pytest.raises(ValueError, match="'a' has 2 classes and 'b' 3"):
        transfer.transfer_table({"a": two, "b": three}, None, images, **aims)
    with pytest.raises(ValueError, match="Two different networks are called 'a'"):
        transfer.transfer_table({"a": two}, {"a": threshold(1, 0.5)}, images, **aims)
    with pytest.raises(ValueError, match="'b' does not take images of shape"):
        transfer.transfer_table(
            {"a": two}, {"b": zoo.load("FC10(1)", device="cpu")}, images, **aims
        )
    with pytest.raises(ValueError, match="'b' has 2 networks where others have 3"):
        transfer.transfer_table({"a": [two] * 3, "b": [two] * 2}, None, images, **aims)
    with pytest.raises(ValueError, match="'a' is in train mode"):
        transfer.transfer_table({"a": threshold(0, 0.5).train()}, None, images, **aims)
    with pytest.raises(TypeError, match="'a' must be a network"):
        transfer.transfer_table({"a": "FC10(1)"}, None, images, **aims)
    with pytest.raises(ValueError, match="recorded targets"):
        transfer.transfer_table({"a": two}, None, images)
    with pytest.raises(ValueError, match=r"shape \(1,\), but there are 2 images"):
        transfer.transfer_table({"a": two}, None, images, targets=torch.tensor([1]))
    with pytest.raises(ValueError, match="no rule of targets called 'all'"):
        transfer.transfer_table({"a": two}, None, images, targets="all")
    assert not calls


def test_a_network_that_joins_the_images_of_a_batch_is_no_column(calls):
    images = data([0.1, 0.2, 0.7], [0, 0, 0])
    plain = threshold(0, 0.5)

    class Joined(nn.Module):
        def forward(self, x):
            return plain(x) + plain(x).mean(0)

    with pytest.raises(ValueError, match=r"'b' cannot be measured.*other images of its batch"):
        transfer.transfer_table(
            {"a": plain}, {"b": Joined().eval()}, images, targets=torch.tensor([1, 1, 1])
        )
    assert not calls


def test_sets_of_other_images_are_refused(nets, digits):
    found = transfer.adversarial_set(nets["FC10(1e-4)"], digits[:3])
    with pytest.raises(ValueError, match="made from other images"):
        transfer.transfer_table({"x": found}, nets, digits[3:6])
    with pytest.raises(ValueError, match="A column must be a network"):
        transfer.transfer_table({"x": found}, None, digits[:3])


def test_failures_are_left_out_and_counted(digits):
    # class 1 is out of reach: pixel 0 would have to be above 1
    net = linear([[0.0] * 4, [10.0, 0, 0, 0], [0, 20.0, 0, 0]], [0.0, -10.5, -10.0])
    images = data([[0.2, 0.1, 0, 0], [0.3, 0.2, 0, 0], [0.1, 0.3, 0, 0]], [0, 0, 0])
    table = transfer.transfer_table(
        {"net": net}, None, images, targets=torch.tensor([1, 2, 2]), stddev=0.4
    )
    assert table.left_out("net") == 1
    assert table.paper().n["net"] == table.strict().n["net"] == 2
    assert table.paper().n[equal_label("net")] == table.strict().n[CLEAN] == 2
    assert table.paper().n[amplified_label("net", 0.4)] == 2
    assert "net: 1" in str(table)
    nothing = transfer.transfer_table({"net": net}, None, images, targets=torch.tensor([1, 1, 1]))
    assert np.isnan(nothing.strict()["net", "net"])
    assert nothing.strict().n["net"] == 0
    assert np.isnan(nothing.estimate("net", "net").low)


def test_the_columns_show_every_image_to_every_network():
    images = data([0.1, 0.52, 0.8], [0, 0, 0]).images
    columns = making.Columns(
        {"a": [threshold(0, 0.5), threshold(0, 0.6)], "b": [threshold(0, 0.9)]}, 2
    )
    assert columns.answers(images).tolist() == [
        [[0, 1, 1], [0, 0, 0]],
        [[0, 0, 1], [0, 0, 0]],
    ]


# --- what is kept is another network's never ---------------------------------------------------


def toy(net, x) -> Dataset:
    return Dataset(x, net(x).argmax(1), "toy", torch.arange(len(x)))


def same_weights():
    """Pairs of networks with one repr and the same weights that compute different things."""
    for settings in ({"count_include_pad": False}, {"divisor_override": 5}):
        pair = []
        for of_pool in ({}, settings):
            torch.manual_seed(3)
            pool = nn.AvgPool2d(3, 2, 1, **of_pool)
            pair.append(nn.Sequential(pool, nn.Flatten(), nn.Linear(9, 3)).eval())
        yield pair
    pair = []
    for heads in (1, 3):
        torch.manual_seed(4)
        layer = nn.TransformerEncoderLayer(6, heads, 8, batch_first=True)
        last = nn.Linear(36, 3)
        pair.append(nn.Sequential(nn.Flatten(1, 2), layer, nn.Flatten(), last).eval())
    yield pair
    pair = []
    for corners in (False, True):
        torch.manual_seed(5)
        up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=corners)
        pair.append(nn.Sequential(up, nn.Flatten(), nn.Linear(144, 3)).eval())
    yield pair


@pytest.mark.parametrize(("a", "b"), same_weights())
def test_what_is_kept_of_a_network_is_not_given_to_one_that_computes_something_else(a, b):
    x = torch.rand(6, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    digests = [identity.digest(net, (1, 6, 6)) for net in (a, b)]
    assert digests[0] != digests[1]
    assert identity.digest(a) != identity.digest(b)  # the settings alone tell as well
    with torch.no_grad():
        images = toy(a, x)
    how = {"targets": "nearest", "loss": "margin"}
    transfer.adversarial_set(a, images, **how)
    kept = transfer.adversarial_set(b, images, **how)
    fresh = transfer.adversarial_set(b, images, cache=False, **how)
    assert torch.equal(kept.adversarial, fresh.adversarial)
    again = transfer.adversarial_set(b, images, **how)
    assert torch.equal(again.adversarial, fresh.adversarial)


@pytest.mark.parametrize("kind", ["pre-hook", "hook", "forward", "inner"])
def test_a_network_with_code_beside_its_modules_is_not_kept(kind, monkeypatch):
    torch.manual_seed(0)
    x = torch.rand(6, 1, 6, 6)
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 3)).eval()
    images = toy(net, x)
    how = {"targets": "nearest", "loss": "margin"}
    transfer.adversarial_set(net, images, **how)
    if kind == "pre-hook":
        net.register_forward_pre_hook(lambda module, inputs: (1 - inputs[0],))
    if kind == "hook":
        net.register_forward_hook(lambda module, inputs, output: output.flip(1))
    if kind == "forward":
        forward = net.forward
        net.forward = lambda v: forward(1 - v)
    if kind == "inner":
        net[1].register_forward_pre_hook(lambda module, inputs: (1 - inputs[0],))
    kept = transfer.adversarial_set(net, images, **how)
    with torch.no_grad():
        given = net(kept.adversarial).argmax(1)
    assert torch.equal(given[kept.success], kept.targets[kept.success])
    assert not identity.is_plain(net)
    with pytest.raises(TypeError, match="cannot be kept by a network with hooks"):
        identity.described(net)


@pytest.mark.parametrize("classes", [300, 1000])
def test_more_classes_than_a_byte_holds(classes):
    rng = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, classes)).eval()
    with torch.no_grad():
        net[1].weight.copy_(torch.randn(classes, 16, generator=rng))
        net[1].bias[:256] -= 2
    x = torch.rand(8, 1, 4, 4, generator=rng)
    images = toy(net, x)
    sets = transfer.adversarial_set(net, images, targets="nearest", loss="margin")
    assert sets.success.all()
    assert torch.equal(net(sets.adversarial).argmax(1), sets.targets)
    again = transfer.adversarial_set(net, images, targets="nearest", loss="margin")
    assert torch.equal(again.targets, sets.targets)
    table = transfer.transfer_table({"own": sets}, {"net": net}, images, noise=())
    assert int(images.labels.max()) > 255
    seen = table.rows[CLEAN].answers
    assert (seen[0, 0, 0] == images.labels.numpy()).all()
    assert (table.rows["own"].answers[0, 0, 0] == sets.targets.numpy()).all()


@pytest.mark.parametrize("net", [3, ("FC10(1)", 0, 1), len])
def test_what_is_no_network_is_said(net, digits):
    with pytest.raises(TypeError, match="A network is a torch module, the name of one in the zoo"):
        transfer.adversarial_set(net, digits)


def test_images_without_labels_are_no_data_set(digits):
    with pytest.raises(TypeError, match="must be a data set, with labels, not Tensor"):
        transfer.adversarial_set("FC10(1)", digits.images)
