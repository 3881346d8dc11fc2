"""`nearest-plane`, lesson 03: the runner-up in the logits is not the nearest class in one case.

Some images are mistakes already, where the distance is negative.
"""

import numpy as np
import torch

from course_lib.exercises import Case, Exercise


def plane_cases(rng):
    yield Case(
        "two classes, three pixels",
        torch.tensor([[1.0, 0.0, 2.0], [0.0, 2.0, 0.0]]),
        torch.tensor([0.5, 0.0]),
        torch.tensor([[0.5, 0.2, 0.8]]),
        torch.tensor([0]),
    )
    yield Case(
        "the runner-up is farther than another class",
        torch.tensor([[2.0, 0.0], [0.0, 0.2], [-3.0, -4.0]]),
        torch.tensor([0.0, 0.9, 0.2]),
        torch.tensor([[0.7, 0.3], [0.9, 0.1]]),
        torch.tensor([0, 0]),
    )
    yield Case(  # z = 2, 2, 1 and 1, 3, 0.5: all exact
        "an image that lies on a plane, and one beyond",
        torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.5, 0.5]]),
        torch.tensor([1.5, 1.0, 0.5]),
        torch.tensor([[0.5, 0.5], [0.0, 1.0]]),
        torch.tensor([0, 0]),
    )
    weight = 1e-6 * torch.randn(3, 6, generator=rng)
    yield Case(
        "tiny weights: the planes are far away",
        weight,
        torch.tensor([0.3, -0.2, 0.1]),
        torch.rand(4, 6, generator=rng),
        torch.tensor([0, 0, 0, 1]),
    )
    double = {"generator": rng, "dtype": torch.float64}
    yield Case(
        "double precision",
        torch.randn(4, 9, **double),
        torch.randn(4, **double),
        torch.rand(3, 9, **double),
        torch.tensor([2, 0, 3]),
    )
    weight = torch.randn(5, 12, generator=rng) * torch.tensor([1.0, 0.3, 2.0, 0.6, 4.0])[:, None]
    bias = torch.randn(5, generator=rng)
    x = torch.rand(8, 12, generator=rng)
    yield Case("eight images, none a mistake", weight, bias, x, (x @ weight.T + bias).argmax(1))
    labels = torch.tensor([0, 1, 2, 3, 4, 0, 1, 2])
    yield Case("eight images, some are mistakes", weight, bias, x, labels)


def plane_by_plane(weight, bias, x, labels):
    """Image after image, class after class."""
    w, b, x = (t.double().numpy() for t in (weight, bias, x))
    distances, classes = [], []
    for image, y in zip(x, labels.tolist(), strict=True):
        found = []
        for j in range(len(w)):
            if j != y:
                normal = w[y] - w[j]
                found.append(((normal @ image + b[y] - b[j]) / np.linalg.norm(normal), j))
        distance, j = min(found)
        distances.append(distance)
        classes.append(j)
    return np.array(distances), np.array(classes)


EXERCISE = Exercise(
    title="The nearest of nine planes",
    difficulty=2,
    minutes=10,
    hints=[
        "For a class j the distance is the lead z_y - z_j, divided by the norm of w_y - w_j. Fill "
        "a table (N, classes) of these, then look for each row's smallest entry.",
        "`weight[labels][:, None] - weight` is w_y - w_j for every image and class, of shape (N, "
        "classes, pixels); its norm runs along `dim=2`.",
        "The label's own column is 0/0: overwrite it with `float('inf')` before `.min(dim=1)`, "
        "which gives values and indices.",
    ],
    cases=plane_cases,
    oracle=plane_by_plane,
    parts=("distances", "classes"),
    done="Checked class by class, also for images that are mistakes already.",
)


@EXERCISE.variant
def plane_cdist(weight, bias, x, labels):
    z = x @ weight.T + bias
    table = (z.gather(1, labels[:, None]) - z) / torch.cdist(weight, weight)[labels]
    table = table.scatter(1, labels[:, None], float("inf"))
    return table.amin(1), table.argmin(1)


@EXERCISE.variant
def plane_points(weight, bias, x, labels):
    """Through the step itself: how far along the normal, with its sign."""
    results = []
    for image, y in zip(x.double(), labels.tolist(), strict=True):
        best = None
        for j in range(len(weight)):
            if j == y:
                continue
            n = weight[j].double() - weight[y].double()
            t = -(n @ image + float(bias[j]) - float(bias[y])) / (n @ n)
            signed = float(t * n.norm())
            best = min(best, (signed, j)) if best else (signed, j)
        results.append(best)
    distances, classes = zip(*results, strict=True)
    return list(distances), list(classes)


EXERCISE.mistake(
    "smallest margin",
    "These are leads in the logits, not distances: divide by the norm of w_y - w_j before "
    "you look for the smallest. The second-best class need not be the nearest.",
    (" / (weight[labels][:, None] - weight).norm(dim=2)", ""),
)


@EXERCISE.mistake(
    "the runner-up's plane",
    "This is the distance to the plane of the class with the second-largest logit. Another "
    "class that is farther behind may have a steeper difference, and be nearer: compare "
    "the distances, not the logits.",
)
def plane_runner_up(weight, bias, x, labels):
    rows = torch.arange(len(x), device=x.device)
    logits = x @ weight.T + bias
    lead = logits.gather(1, labels[:, None]) - logits
    lead[rows, labels] = float("inf")
    j = lead.argmin(dim=1)
    return lead[rows, j] / (weight[labels] - weight[j]).norm(dim=1), j


EXERCISE.mistake(
    "norm of w_j",
    "You divide by the norm of w_j: the lead z_y - z_j changes along w_y - w_j, so it is "
    "that difference whose norm counts.",
    ("(weight[labels][:, None] - weight).norm(dim=2)", "weight.norm(dim=1)"),
)

EXERCISE.mistake(
    "norms apart",
    "You divide by the difference of two norms, ||w_y|| - ||w_j||: it is the norm of the "
    "difference, ||w_y - w_j||, that counts.",
    (
        "(weight[labels][:, None] - weight).norm(dim=2)",
        "(weight.norm(dim=1)[labels][:, None] - weight.norm(dim=1)).abs()",
    ),
)

EXERCISE.mistake(
    "squared norm",
    "You divide by the squared norm of w_y - w_j. That is the factor μ in front of w_y - "
    "w_j in the step r; the step's length is μ times one norm, so one power remains.",
    (".norm(dim=2)", ".square().sum(dim=2)"),
)

EXERCISE.mistake(
    "1-norm",
    "You divide by the 1-norm, which gives the distance in the max norm (the smallest ε of "
    "a sign step): the L2 distance has the L2 norm.",
    (".norm(dim=2)", ".abs().sum(dim=2)"),
)

EXERCISE.mistake(
    "rms",
    "These are distortions: the L2 distance is asked for, which is larger by the root of "
    "the number of pixels.",
    (".norm(dim=2)", ".norm(dim=2) / x.shape[1] ** 0.5"),
)

EXERCISE.mistake(
    "28 for every image size",
    "The distances are divided by 28: the L2 distance is asked for, a distortion comes later.",
    (".norm(dim=2)", ".norm(dim=2).mul(28)"),
)

EXERCISE.mistake(
    "smallest absolute value",
    "The plane is chosen by the smallest absolute value: an image beyond two planes belongs to the "
    "one that it is farthest beyond, where the signed distance is smallest.",
    (
        "nearest.values, nearest.indices",
        "distances[rows, distances.abs().argmin(dim=1)], distances.abs().argmin(dim=1)",
    ),
)

EXERCISE.mistake(
    "negative ones cut off",
    "Negative distances have become 0: an image that lies beyond a plane already keeps its sign.",
    ("nearest.values, ", "nearest.values.clamp(min=0), "),
)

EXERCISE.mistake(
    "the class of the smallest lead",
    "The distances are right, but the class is that of the smallest lead in the logits: take the "
    "one at which the smallest distance stands, `.min(dim=1).indices` of the distances.",
    ("nearest.indices", "lead.scatter(1, labels[:, None], torch.inf).argmin(dim=1)"),
)

EXERCISE.mistake(
    "zeros left out",
    "Every distance of 0 is left out, not only the label's own: an image that lies on a plane is "
    "at distance 0 from it, and that is its smallest.",
    (".norm(dim=2)", ".norm(dim=2).clamp(min=1e-12)"),
    ('distances[rows, labels] = float("inf")', 'distances[distances == 0] = float("inf")'),
)

EXERCISE.mistake(
    "the first label for all",
    "All images are measured from the class of the first one: each has its own label.",
    ("logits = x", "labels = labels[:1].expand(len(x))\n    logits = x"),
)

EXERCISE.mistake(
    "absolute value",
    "The sign is lost: an image that lies beyond a plane already has a negative distance, "
    "and is no farther from being a mistake, it is one.",
    ("lead / ", "lead.abs() / "),
)

EXERCISE.mistake(
    "sign",
    "The sign is turned: z_y - z_j is positive while the label is ahead.",
    ("lead / ", "-lead / "),
)

EXERCISE.mistake(
    "the label itself",
    "The nearest class is the label itself here, at distance 0: leave its column out, for "
    "example by an infinity.",
    (".norm(dim=2)", ".norm(dim=2).clamp(min=1e-12)"),
    ('distances[rows, labels] = float("inf")', ""),
)

EXERCISE.mistake(
    "0/0",
    "There are NaNs: in the label's own column both the lead and the norm are 0. Leave "
    "that column out, for example by an infinity.",
    ('distances[rows, labels] = float("inf")', ""),
)

EXERCISE.mistake(
    "the network's answer for the label",
    "You measure from the class that wins, not from the label: for an image that is a "
    "mistake these differ, and its distance is to come out negative.",
    ("lead = ", "labels = logits.argmax(dim=1)\n    lead = "),
)

EXERCISE.mistake(
    "no biases",
    "The biases are missing from the logits: a plane need not go through the black image.",
    (" + bias", ""),
)

EXERCISE.mistake(
    "distances only",
    "These are the distances; the classes are asked for as well: return both, distances first.",
    ("nearest.values, nearest.indices", "nearest.values"),
)

EXERCISE.mistake(
    "classes first",
    "The two results are in the other order: first the distances, then the classes.",
    ("nearest.values, nearest.indices", "nearest.indices, nearest.values"),
)
