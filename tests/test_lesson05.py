"""Lesson 05: what the generic tests of the exercises do not cover."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch
import torch.nn.functional as F
from torch import nn

from course_lib import attacks, models, paper, storage, transfer, zoo
from course_lib.authoring import prose
from course_lib.data import Dataset, load_mnist
from course_lib.exercises import find, judge, sources
from course_lib.exercises.lesson05.two_halves import small_net

RELU = "FC100-100-10-ReLU"
RECORD = storage.ASSETS / "records" / "transfer.json"
SOURCE = Path(__file__).parents[1] / "solutions" / "05_why_do_they_transfer.py"


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))


@pytest.fixture(scope="module")
def record():
    return json.loads(RECORD.read_text(encoding="utf-8"))


def plane(normal, offset):
    """A network of two classes, 1 where normal · x > offset."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(len(normal), 2)).double().eval()
    with torch.no_grad():
        net[1].weight.copy_(torch.stack([torch.zeros_like(normal), normal]))
        net[1].bias.copy_(torch.tensor([0.0, -offset]))
    return net.requires_grad_(False)


def test_for_two_planes_reaching_is_crossing():
    """Without a box: r goes to A's plane and a hair on, s to B's. B says 1 just where r reaches."""
    rng = torch.Generator().manual_seed(0)
    a, b = (torch.randn(6, generator=rng, dtype=torch.float64) for _ in range(2))
    b = b + 1.5 * a
    images = torch.randn(400, 6, generator=rng, dtype=torch.float64) - a / 2
    sides = [images @ n - d for n, d in ((a, 0.7), (b, 0.2))]
    zeros = (sides[0] < 0) & (sides[1] < 0)
    images = images[zeros]
    r = -sides[0][zeros, None] * a / a.square().sum()
    s = -sides[1][zeros, None] * b / b.square().sum()
    crossed = plane(b, 0.2)(images + r).argmax(1) == 1
    reached = find("reaches").solution()(r, s)
    assert 20 < int(reached.sum()) < len(images) - 20
    assert torch.equal(reached, crossed)


def test_with_two_classes_the_cosine_is_the_librarys():
    """With two classes the loss's gradient is parallel to that of the difference of the logits."""
    rng = torch.Generator().manual_seed(1)
    nets = []
    for seed in range(2):
        torch.manual_seed(seed)
        layers = nn.Flatten(), nn.Linear(12, 7), nn.Sigmoid(), nn.Linear(7, 2)
        nets.append(nn.Sequential(*layers).double().eval())
    images = torch.rand(9, 1, 3, 4, generator=rng, dtype=torch.float64)
    targets = torch.randint(2, (9,), generator=rng)
    ours = find("gradient-cosine").solution()(*nets, images, targets)
    theirs = transfer.gradient_cosines(*nets, images, 1 - targets, targets)
    assert torch.allclose(ours, theirs)


def test_a_row_and_its_cells_are_those_of_the_librarys_table():
    rng = torch.Generator().manual_seed(2)
    images = torch.rand(60, 1, 2, 2, generator=rng)
    weights = [torch.randn(4, generator=rng).double() for _ in range(2)]
    nets = {
        "a": plane(weights[0], float(weights[0].sum() / 2)).float(),
        "b": plane(weights[0] + 0.5 * weights[1], float(weights[0].sum() / 2)).float(),
        "c": plane(weights[1], float(weights[1].sum() / 2)).float(),
    }
    labels = models.predictions(nets["a"], images)
    labels[:6] = 1 - labels[:6]
    data = Dataset(images, labels, "images of 2 x 2", torch.arange(60))
    table = transfer.transfer_table(nets, None, data, targets=1 - labels, cache=False)
    clean = torch.stack([models.predictions(net, images) for net in nets.values()])
    row, cell = find("strict-row").solution(), find("transfer-cell").solution()
    for k, name in enumerate(nets):
        made = transfer.adversarial_set(nets[name], data, targets=1 - labels, cache=False)
        after = [models.predictions(net, made.adversarial) for net in nets.values()]
        shares, n, _ = row(clean, torch.stack(after), labels, made.success, k)
        assert n == table.strict().n[name] > 5
        for j, other in enumerate(nets):
            assert float(shares[j]) == pytest.approx(table.strict()[name, other])
            if made.success.all():
                error, before, _ = cell(clean[j], after[j], labels)
                assert float(error) == pytest.approx(table.paper()[name, other])
                assert float(before) == pytest.approx(table.paper()[transfer.table.CLEAN, other])


def test_without_the_box_in_the_way_amplification_is_the_librarys():
    rng = torch.Generator().manual_seed(3)
    images = 0.4 + 0.2 * torch.rand(5, 1, 3, 3, generator=rng, dtype=torch.float64)
    near = images + 0.01 * torch.randn(5, 1, 3, 3, generator=rng, dtype=torch.float64)
    ours = find("amplify-in-box").solution()(near, images, 0.1)
    assert torch.allclose(ours, attacks.amplify(near, images, 0.1), atol=1e-8)


def test_the_bootstraps_have_the_spreads_that_theory_gives():
    rng = torch.Generator().manual_seed(4)
    a, b = (torch.rand(150, generator=rng) < p for p in (0.6, 0.45))
    draws = torch.randint(150, (6000, 150), generator=rng)
    mean, low, high = find("paired-bootstrap").solution()(a, b, draws)
    d = (a.double() - b.double()).numpy()
    assert float(mean) == pytest.approx(d.mean())
    assert float(high - low) / 2 == pytest.approx(1.96 * d.std() / 150**0.5, rel=0.06)

    fooled = torch.rand(6, 200, generator=rng) < torch.linspace(0.2, 0.6, 6)[:, None]
    columns = torch.randint(200, (6000, 200), generator=rng)
    rows = torch.randint(6, (6000, 6), generator=rng)
    means, still = find("bootstrap-means").solution(), torch.arange(6).expand(6000, -1)
    over_images = fooled.double().mean(0).numpy().std() / 200**0.5
    assert float(means(fooled, still, columns).std()) == pytest.approx(over_images, rel=0.06)
    over_networks = fooled.double().mean(1).numpy().std() / 6**0.5
    same = torch.arange(200).expand(6000, -1)
    assert float(means(fooled, rows, same).std()) == pytest.approx(over_networks, rel=0.06)


def test_the_given_halves_overlap_by_half_and_start_alike():
    exercise = find("two-halves")
    buggy = sources.build(exercise.buggy(), exercise.solution(), exercise.function)
    labels = torch.arange(10_000) % 10
    (first, net), (second, other) = buggy(labels, 0, small_net)
    common = len(set(first.tolist()) & set(second.tolist()))
    assert common == pytest.approx(2500, abs=120)
    assert torch.equal(net.weight, other.weight)


def test_what_the_quizzes_count_is_right():
    error, clean = paper.TABLE2["FC10(1e-4)"][2], paper.TABLE1["FC10(1)"].errors["train"]
    assert (error, clean) == (0.227, 0.212)
    assert (error - clean) / (1 - clean) == pytest.approx(0.02, abs=0.002)
    rng = torch.Generator().manual_seed(5)
    pairs = torch.randn(2, 4000, 784, generator=rng)
    cosines = F.cosine_similarity(*pairs, dim=1)
    assert float(cosines.square().mean()) ** 0.5 == pytest.approx(1 / 28, rel=0.04)
    assert round(1 / 28, 3) == 0.036


def test_the_predictions_name_the_clean_errors_that_the_lesson_prints():
    """In a question that is asked before the cell runs, the number cannot be computed."""
    for slug, name, part in (
        ("corner-down", "FC10(1e-2)", "train"),
        ("other-half", "FC100-100-10@P2", "test"),
    ):
        few = load_mnist(part, "cpu").sample(300, seed=6)
        error = models.error_rate(zoo.load(name, device="cpu"), few)
        assert f"{100 * error:.3g} %" in find(slug, "PREDICTIONS").question


def test_a_foreseen_mistake_is_recognised_however_it_is_written():
    def cosine(net_a, net_b, images, targets):
        sides = []
        for net in (net_a, net_b):
            x = images.clone().requires_grad_()
            F.cross_entropy(net(x), targets).backward()
            sides.append(x.grad.sum(0).flatten())
        a, b = sides
        return torch.dot(a, b) / a.norm() / b.norm()

    assert judge(find("gradient-cosine"), cosine).mistake == "the cosine of the means"

    def row(clean, adversarial, labels, success, source):
        use = success.clone()
        for said in clean:
            use = use & (said == labels)
        shares = [float((said[use] != labels[use]).float().mean()) for said in adversarial]
        return shares, int(use.sum()), sum(shares) / len(shares)

    assert judge(find("strict-row"), row).mistake == "the source in its own mean"

    def cell(clean, adversarial, labels):
        wrong = (adversarial != labels).float().mean()
        return wrong, (clean != labels).float().mean(), wrong

    assert judge(find("transfer-cell"), cell).mistake == "clean errors as fooled"

    def control(images, adversarial, direction):
        size = attacks.distortion(adversarial, images) / attacks.distortion(direction, 0 * images)
        return torch.clip(images + size.reshape(-1, *[1] * (images.ndim - 1)) * direction, 0, 1)

    assert judge(find("equal-size"), control).mistake == "clipped"


def strict(record, row, column, part="table2"):
    return dict(zip(record["fields"], record["tables"][part]["strict"][row][column], strict=True))


def test_the_record_is_what_the_lesson_says_it_is(record):
    assert record["n"] >= 1000
    assert len(record["seeds"]["table2"]) == 5
    assert len(record["seeds"]["table4"]) >= 3
    assert record["tables"]["table2"]["images"].startswith("MNIST train")
    assert record["tables"]["table4"]["images"].startswith("MNIST test")


def differs(entry):
    """Whether a cell and the paper's differ by more than the interval of their difference."""
    halves = [(entry[p + "high"] - entry[p + "low"]) / 2 for p in ("", "paper_")]
    apart = abs(entry["here"] - entry["paper"]) > np.hypot(*halves)
    return entry["row"] != entry["column"] and apart


def test_what_the_lesson_says_of_table_2_is_what_the_record_says(record):
    apart = [e for e in record["paper"]["table2"] if differs(e)]
    assert len(apart) == 6
    assert all(differs(e) for e in record["paper"]["table2"] if not e["overlap"])
    assert sum("AE400-10" in (e["row"], e["column"]) for e in apart) == 3
    others = [e for e in apart if "AE400-10" not in (e["row"], e["column"])]
    assert sum(e["row"] == "FC10(1)" and "FC10" in e["column"] for e in others) == 2

    six = list(paper.TABLE2_COLUMNS)
    for name in six:
        fooled = strict(record, name, "CONV")["mean"]
        assert (fooled > 0.1) == (name == "FC10(1)")
        assert (fooled > 0.03) == (name in ("FC10(1)", "AE400-10"))
        assert strict(record, "CONV", name)["mean"] < 0.02
    sizes = {n: record["tables"]["table2"]["rows"][n]["distortion"]["strict"] for n in six}
    conv = record["tables"]["table2"]["rows"]["CONV"]["distortion"]["strict"]
    assert conv == pytest.approx(sizes["FC10(1e-4)"], rel=0.05)
    assert min(sizes, key=sizes.get) == "FC10(1e-4)"
    for name in ("FC10(1e-4)", "FC10(1e-2)", "FC10(1)"):  # ReLU as the sigmoid networks
        relu, sigmoid = (strict(record, name, n)["mean"] for n in (RELU, "FC100-100-10"))
        assert relu == pytest.approx(sigmoid, rel=0.15)


def test_what_the_lesson_says_of_table_4_is_what_the_record_says(record):
    a, b, c = paper.TABLE4_COLUMNS
    table = record["tables"]["table4"]["paper"]
    assert paper.TABLE4[a][1] > 4 * paper.TABLE4[b][0]
    assert table[a][b][0] < table[b][a][0]  # the other order
    for first, second in ((a, b), (b, a)):
        assert table[first][c][0] < table[first][second][0]
        k = paper.TABLE4_COLUMNS.index(second)
        assert paper.TABLE4[first][2] < paper.TABLE4[first][k]
    noise = table["Gaussian noise, stddev 0.1"]
    assert max(noise[name][0] for name in (a, b, c)) < 0.03
    for row in (f"{name}, amplified to 0.1" for name in (a, b, c)):
        assert all(table[row][name][0] > 0.3 for name in (a, b, c))


def test_what_the_lesson_says_of_the_spreads_is_what_the_record_says(record):
    hidden = ("FC100-100-10", "FC200-200-10")
    for a, b in (hidden, hidden[::-1]):
        cell = strict(record, a, b)
        assert cell["over_networks"] > 1.3 * cell["over_images"]
    for a, b in (("FC10(1)", "FC100-100-10"), ("AE400-10", "FC10(1e-4)")):
        cell = strict(record, a, b)
        assert cell["over_networks"] < cell["over_images"]
    small, large = (strict(record, *pair) for pair in (hidden, hidden[::-1]))
    assert small["high"] < large["low"]


def test_the_verdicts_that_the_lesson_words_are_those_of_the_record(record):
    words = {key: entry["verdict"] for key, entry in record["verdicts"].items()}
    for key in (
        "other hyperparameters",
        "other training images",
        "weaker across training images",
        "weaker, one architecture",
        "equal noise",
        "amplified",
        "amplified, noise",
    ):
        assert words[key] == "holds"
    for key in (
        "larger noise",
        "other initial weights",
        "autoencoder least",
        "nearest class",
        "class aimed at",
    ):
        assert words[key] == "undecided"
    larger = record["verdicts"]["larger noise"]
    assert larger["for"] == larger["of"] - 1
    assert larger["smallest"]["what"] == "FC10(1e-4) → FC10(1e-2)"
    weights = record["verdicts"]["other initial weights"]
    assert weights["for"] == weights["of"] - 1
    assert weights["smallest"]["what"] == "CONV"
    least = record["verdicts"]["autoencoder least"]["smallest"]["what"]
    assert least == "FC10(1e-4) → FC10(1e-2) minus → AE400-10"
    for key in ("nearest class", "class aimed at"):
        entry = record["verdicts"][key]
        assert entry["for"] > 0.6 * entry["of"]
    assert list(record["verdicts"])[-2:] == ["nearest class", "class aimed at"]


@pytest.mark.parametrize("verdict", ["undecided", "does not hold"])
def test_the_lesson_cannot_tell_another_verdict_as_a_yes(record, verdict):
    verdicts = {key: entry | {"verdict": verdict} for key, entry in record["verdicts"].items()}
    names = {"records": {"transfer": record | {"verdicts": verdicts}}, "paper": paper}
    said = {}
    for cell in ("take-away", "verdicts-note", "hits-note", "nearest-note"):
        text = SOURCE.read_text(encoding="utf-8").split(f'id="{cell}"')[1].split("\n# %%")[0]
        said[cell] = prose.MARKUP.sub(lambda m: prose.evaluate(m[2], names), text)
    assert said["take-away"].count("reproduced") == 1  # of Table 2's cells, which are no verdict
    assert said["take-away"].count(verdict) == 8
    assert verdict in said["hits-note"]
    assert verdict in said["nearest-note"]
    listed = said["verdicts-note"].count(" against it ")
    assert listed == (len(verdicts) if verdict == "undecided" else 0)


def test_what_the_lesson_says_of_cosines_and_margins_is_what_the_record_says(record):
    pair = record["cosines"]["table4"]["pairs"]["FC100-100-10@P1 | FC100-100-10@P2"]["target"]
    assert pair["mean"][1] > 10 / 28 > 3 * pair["untrained"]
    assert pair["untrained"] < pair["shuffled"] / 2 < pair["mean"][0] / 4
    assert record["cosine_and_transfer"]["table2"]["spearman"] > 0.6
    found = {k: v["median_auc"] for k, v in record["predicted"]["table2"].items()}
    assert 0.5 < found["cosine"] < 0.65 < found["margin"] < found["first order"]


def test_what_the_lesson_says_of_the_nearest_class_is_what_the_record_says(record):
    near, random = (record["tables"][key]["strict"] for key in ("nearest2", "table2"))
    sources = [a for a in record["tables"]["nearest2"]["columns"] if a in near]
    pairs = [(a, b) for a in sources for b in near[a] if a != b]
    large = [
        (near[f"{a}, amplified to 0.1"][b][0], random[f"{a}, amplified to 0.1"][b][0])
        for a, b in pairs
    ]
    assert sum(n > r for n, r in large) > 0.9 * len(pairs)
    minimal = [(near[a][b][0], random[a][b][0]) for a, b in pairs]
    assert sum(n < r for n, r in minimal) > 0.9 * len(pairs)


def test_reaching_predicts_the_hits_on_other_networks_and_images_than_the_lessons(tmp_path):
    few = load_mnist("train", "cpu").sample(150, seed=77)
    names = ("FC10(1e-4)", "FC10(1e-2)", "FC10(1)", RELU)
    made = {name: transfer.adversarial_set(name, few, cache=False) for name in names}
    use = torch.stack([own.right for own in made.values()]).all(0)
    targets = attacks.recorded_targets(few)[use]
    change = {name: (own.adversarial - few.images)[use] for name, own in made.items()}
    reaches, expected, hits = find("reaches").solution(), [], []
    for a in names:
        for b in names:
            if a != b:
                said = models.predictions(zoo.load(b, device="cpu"), made[a].adversarial[use])
                expected.append(float(reaches(change[a], change[b]).double().mean()))
                hits.append(float((said == targets).double().mean()))
    assert scipy.stats.spearmanr(expected, hits).statistic > 0.85
    assert np.abs(np.array(expected) - np.array(hits)).max() < 0.2


def test_the_references_are_built():
    module = importlib.import_module("course_lib.exercises._references.05_why_do_they_transfer")
    assert set(module.BUGGY) == {"two-halves"}


# --- what learners wrote: right in other ways, and wrong in usual ones ------------------------


def boot(ends):
    def answer(a, b, draws):
        d = a.double() - b.double()
        return d.mean(), *ends(d[draws].mean(1))

    return answer


def per_image(function):
    def answer(*args):
        return [function(*row) for row in zip(*args, strict=True)]

    return answer


def newton(changed, images, stddev):
    """Steps of a secant kind, as good as the precision allows, never waiting for equality."""
    change, shape = (changed - images).double(), (-1, *[1] * (images.ndim - 1))
    low, high = torch.zeros(len(images)).double(), torch.full((len(images),), 1e6).double()
    for _ in range(100):
        k = (low + high) / 2
        out = (images.double() + k.reshape(shape) * change).clamp(0, 1)
        rms = np.sqrt(np.mean((out - images).numpy().reshape(len(images), -1) ** 2, axis=1))
        low = torch.where(torch.from_numpy(rms) < stddev, k, low)
        high = torch.where(torch.from_numpy(rms) < stddev, high, k)
    return out.numpy()


def shuffled_halves(labels, seed, build):
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(labels))
    cut = (len(labels) + 1) // 2
    return (rows[:cut], build(seed)), (rows[cut:], build(seed + 1))


def chosen_halves(labels, seed, build):
    torch.manual_seed(seed)
    first = torch.zeros(len(labels), dtype=torch.bool)
    first[torch.randperm(len(labels))[: len(labels) // 2]] = True
    return [[first.nonzero().flatten(), build(1)], [(~first).nonzero().flatten(), build(2)]]


def graph_cosine(net_a, net_b, images, targets):
    sides = []
    for net in (net_a, net_b):
        x = images.clone().requires_grad_()
        p = net(x).softmax(1).gather(1, targets[:, None]).sum()  # parallel to the loss's
        g = torch.autograd.grad(p, x, create_graph=True)[0].flatten(1)
        sides.append(g / g.norm(dim=1, keepdim=True))
    return (sides[0] * sides[1]).sum(1)


RIGHT = [
    ("paired-bootstrap", boot(lambda m: np.percentile(m.cpu(), [2.5, 97.5]))),
    *(
        ("paired-bootstrap", boot(lambda m, k=k: np.quantile(m.cpu(), [0.025, 0.975], method=k)))
        for k in (
            "inverted_cdf",
            "averaged_inverted_cdf",
            "closest_observation",
            "interpolated_inverted_cdf",
            "hazen",
            "weibull",
            "median_unbiased",
            "normal_unbiased",
            "lower",
            "higher",
            "midpoint",
            "nearest",
        )
    ),
    ("paired-bootstrap", boot(lambda m: [sorted(m)[int(p * len(m))] for p in (0.025, 0.975)])),
    (
        "paired-bootstrap",
        boot(lambda m: [sorted(m)[round(p * (len(m) - 1))] for p in (0.025, 0.975)]),
    ),
    (
        "paired-bootstrap",
        boot(lambda m: [m.kthvalue(max(1, int(p * len(m)))).values for p in (0.025, 0.975)]),
    ),
    (
        "bootstrap-means",
        lambda fooled, networks, images: [
            float(np.mean(fooled.cpu().numpy()[np.ix_(r, c)]))
            for r, c in zip(networks.tolist(), images.tolist(), strict=True)
        ],
    ),
    ("reaches", per_image(lambda a, b: float((a * b).sum()) / float((b * b).sum()) >= 1)),
    (
        "reaches",
        lambda r, s: (
            torch.einsum(
                "n...,n...->n", r, s / s.flatten(1).norm(dim=1).reshape(-1, *[1] * (s.ndim - 1))
            )
            >= s.flatten(1).norm(dim=1)
        ),
    ),
    (
        "reaches",
        lambda r, s: (
            F.cosine_similarity(r.flatten(1), s.flatten(1))
            >= s.flatten(1).norm(dim=1) / r.flatten(1).norm(dim=1)
        ),
    ),
    ("reaches", lambda r, s: ((r - s) * s).double().flatten(1).sum(1) >= 0),
    ("gradient-cosine", graph_cosine),
    ("amplify-in-box", newton),
    ("two-halves", shuffled_halves),
    ("two-halves", chosen_halves),
    (
        "equal-size",
        per_image(lambda x, a, d: x + d / torch.linalg.vector_norm(d) * torch.dist(a, x)),
    ),
    (
        "equal-size",
        lambda x, a, d: (
            attacks.amplify(x + d, x, 1.0) * 0
            + x
            + d
            * (attacks.distortion(a, x) / attacks.distortion(d, 0 * d)).reshape(
                -1, *[1] * (x.ndim - 1)
            )
        ),
    ),
    (
        "transfer-cell",
        lambda clean, adversarial, labels: [
            (adversarial != labels).sum() / len(labels),
            1 - (clean == labels).float().mean(),
            1 - (adversarial == labels)[clean == labels].float().mean(),
        ],
    ),
    (
        "strict-row",
        lambda clean, adversarial, labels, success, source: (
            s := [
                float(np.mean((said != labels).cpu().numpy()[keep]))
                for said in adversarial
                for keep in [
                    np.array(
                        [
                            bool(success[i] and (clean[:, i] == y).all())
                            for i, y in enumerate(labels)
                        ]
                    )
                ]
            ],
            int((success & (clean == labels).all(0)).sum()),
            (sum(s) - s[source]) / (len(s) - 1),
        ),
    ),
]


@pytest.mark.parametrize(("slug", "answer"), RIGHT)
def test_another_right_answer_passes(slug, answer):
    feedback = judge(find(slug), answer)
    assert feedback.status == "PASS", feedback


def unreached(changed, images, stddev):
    """By fixed point, stopped after ten rounds."""
    change, shape = changed - images, (-1, *[1] * (images.ndim - 1))
    k = torch.ones(len(images)).to(images)
    for _ in range(10):
        out = (images + k.reshape(shape) * change).clamp(0, 1)
        k = k * stddev / (out - images).flatten(1).square().mean(1).sqrt()
    return out


def ended_early(changed, images, stddev):
    """The factor in steps of a hundredth, up to ten."""
    out = images.clone()
    for i in range(len(images)):
        for k in torch.arange(0, 10, 0.01):
            out[i] = (images[i] + k * (changed[i] - images[i])).clamp(0, 1)
            if (out[i] - images[i]).square().mean().sqrt() >= stddev:
                break
    return out


def returned_at_once(changed, images, stddev):
    for x, y in zip(changed, images, strict=True):
        return newton(x[None], y[None], stddev)[0]


def accumulated(net_a, net_b, images, targets):
    x, sides = images.clone().requires_grad_(), []
    for net in (net_a, net_b):
        F.cross_entropy(net(x), targets).backward()
        sides.append(x.grad.flatten(1).clone())
    return F.cosine_similarity(*sides)


def accumulated_in_place(net_a, net_b, images, targets):
    x, sides = images.clone().requires_grad_(), []
    for net in (net_a, net_b):
        F.cross_entropy(net(x), targets).backward()
        sides.append(x.grad.flatten(1))
    return F.cosine_similarity(*sides)


def swallowed_axes(net_a, net_b, images, targets):
    """Sums over the axes of images, whatever the shape is."""
    sides = []
    for net in (net_a, net_b):
        x = images.clone().requires_grad_()
        sides.append(torch.autograd.grad(F.cross_entropy(net(x), targets), x)[0])
    a, b = sides
    over = (1, 2, 3)
    return (a * b).sum(over) / (a.square().sum(over) * b.square().sum(over)).sqrt()


def own_draws(a, b, draws):
    d = a.double() - b.double()
    drawn = torch.randint(len(d), draws.shape)
    return d.mean(), *torch.quantile(d[drawn].mean(1), torch.tensor([0.025, 0.975]).double())


def own_networks(fooled, networks, images):
    drawn = torch.randint(len(fooled), networks.shape)
    return fooled.double()[drawn[:, :, None], images[:, None]].mean((1, 2))


def rows_of_the_first(labels, seed, build):
    (rows, _), (others, _) = shuffled_halves(labels, seed, build)
    return (rows, build), (others, build)


def offset_halves(labels, seed, build):
    """A window that starts at a random row: no random half."""
    start = torch.randint(len(labels), (1,), generator=torch.Generator().manual_seed(seed))
    rows = (torch.arange(len(labels)) * 5 + start) % len(labels)  # 5 divides none of the lengths
    rows = torch.stack([rows[0::2][: len(labels) // 2], rows[1::2][: len(labels) // 2]])
    return (rows[0], build(0)), (rows[1], build(1))


WRONG = [
    (
        "reaches",
        lambda r, s: F.cosine_similarity(r.flatten(1), s.flatten(1)) > 0.5,
        "only the direction",
    ),
    (
        "reaches",
        lambda r, s: F.cosine_similarity(r.flatten(1), s.flatten(1)) >= 0.9,
        "only the direction",
    ),
    ("reaches", lambda r, s: F.cosine_similarity(r.flatten(1), s.flatten(1)), "This is the cosine"),
    (
        "reaches",
        lambda r, s: F.cosine_similarity(r.flatten(1), s.flatten(1)) >= s.flatten(1).norm(dim=1),
        "times the length of r",
    ),
    (
        "reaches",
        lambda r, s: (
            F.cosine_similarity(r.flatten(1), s.flatten(1)) * s.flatten(1).norm(dim=1)
            >= r.flatten(1).norm(dim=1)
        ),
        "project r on",
    ),
    (
        "reaches",
        lambda r, s: (r * s).flatten(1).sum(1) > s.flatten(1).square().sum(1),
        "exactly as far",
    ),
    (
        "reaches",
        lambda r, s: r.flatten(1).norm(dim=1) > 2 * s.flatten(1).norm(dim=1),
        "only its length",
    ),
    ("paired-bootstrap", own_draws, "does not follow"),
    (
        "paired-bootstrap",
        boot(lambda m: (m.mean() - 1.96 * m.std(), m.mean() + 1.96 * m.std())),
        None,
    ),
    ("paired-bootstrap", boot(lambda m: np.percentile(m.cpu(), [0.025, 0.975])), None),
    ("paired-bootstrap", boot(lambda m: np.percentile(m.cpu(), [5, 95])), "leave out a tenth"),
    ("bootstrap-means", own_networks, "do not follow"),
    ("gradient-cosine", accumulated, "has the first one in it"),
    ("gradient-cosine", accumulated_in_place, "compared with itself"),
    ("gradient-cosine", swallowed_axes, None),
    ("amplify-in-box", unreached, None),
    ("amplify-in-box", ended_early, None),
    ("amplify-in-box", returned_at_once, None),
    ("two-halves", rows_of_the_first, "is returned and not called"),
    ("two-halves", offset_halves, None),
    ("equal-size", lambda x, a, d: x + d * (a - x).norm() / d.norm(), "the same factor"),
    (
        "equal-size",
        lambda x, a, d: (
            x
            + d
            * ((a - x).flatten(1).norm(dim=1) / (d.flatten(1).norm(dim=1) + 1e-3)).reshape(
                -1, *[1] * (x.ndim - 1)
            )
        ),
        None,
    ),
    (
        "equal-size",
        lambda x, a, d: (
            x
            + d
            * (attacks.distortion(a, x) / d.flatten(1).norm(dim=1)).reshape(-1, *[1] * (x.ndim - 1))
        ),
        "too small by the root",
    ),
    (
        "transfer-cell",
        lambda clean, adversarial, labels: [
            100 * float(v) for v in find("transfer-cell").solution()(clean, adversarial, labels)
        ],
        "per cent",
    ),
    (
        "strict-row",
        lambda *args: (
            found := find("strict-row").solution()(*args),
            (found[0], found[1], found[0][1:].mean()),
        )[1],
        "row `source`",
    ),
]


@pytest.mark.parametrize(("slug", "answer", "says"), WRONG)
def test_a_usual_wrong_answer_does_not_pass(slug, answer, says):
    feedback = judge(find(slug), answer)
    assert feedback.status in ("FAIL", "EXCEPTION"), feedback
    if says:
        assert says in feedback.sentence, feedback
