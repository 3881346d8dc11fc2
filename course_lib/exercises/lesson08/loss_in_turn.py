"""`loss-in-turn`, lesson 08: the value, and through which layers its gradient flows."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from course_lib.exercises import Case, Exercise

from .shared import classes, doubles, little_network


def turn_cases(rng):
    def case(label, net, place, n, count, share):
        images = doubles(rng, n, net[0].in_features)
        width = net[place].in_features
        yield Case(
            label,
            net,
            place,
            images,
            classes(rng, n, count),
            doubles(rng, n + 2, width),
            classes(rng, n + 2, count),
            share,
        )

    yield from case("above the first sigmoids", little_network(rng, 4, 3, 2), 2, 2, 2, 0.5)
    deep = little_network(rng, 6, 5, 4, 3)
    yield from case("above the second sigmoids", deep, 4, 7, 3, 0.25)
    yield from case("at the input", little_network(rng, 6, 5, 4, 3), 0, 5, 3, 0.7)
    relu = little_network(rng, 7, 6, 5, 4, activation=nn.ReLU)
    yield from case("rectified units", relu, 2, 6, 4, 0.1)


def turn_of_numpy(net, place, images, labels, examples, example_labels, share):
    def loss(values, classes):
        for layer in net[place:]:
            values = layer(values)
        logs = values.log_softmax(1).detach().numpy()
        return -np.mean([logs[i, c] for i, c in enumerate(classes.tolist())])

    values = images
    for layer in net[:place]:
        values = layer(values)
    return (1 - share) * loss(values, labels) + share * loss(examples, example_labels)


EXERCISE = Exercise(
    title="One step of the alternation",
    difficulty=3,
    minutes=10,
    hints=[
        "`net[:place]` are the layers below, `net[place:]` those above; both can be called.",
        "The layers below are only needed to compute activations: `with torch.no_grad():` keeps "
        "the gradient away from them. Those above need theirs.",
    ],
    cases=turn_cases,
    oracle=turn_of_numpy,
    gradients=("net",),
    on_device=False,
    done="With place = 0 nothing lies below, and this is the usual loss with a pool of images.",
)


def _losses(net, place, images, labels, examples, example_labels):
    below, above = net[:place], net[place:]
    clean = F.cross_entropy(above(below(images).detach()), labels)
    return clean, F.cross_entropy(above(examples), example_labels)


@EXERCISE.variant
def turn_detached(net, place, images, labels, examples, example_labels, share):
    clean, fooled = _losses(net, place, images, labels, examples, example_labels)
    return clean + share * (fooled - clean)


@EXERCISE.variant
def turn_in_one_pass(net, place, images, labels, examples, example_labels, share):
    with torch.no_grad():
        values = torch.cat([net[:place](images), examples])
    every = F.cross_entropy(
        net[place:](values), torch.cat([labels, example_labels]), reduction="none"
    )
    n = len(images)
    return (1 - share) * every[:n].mean() + share * every[n:].mean()


@EXERCISE.mistake(
    "the layers below learn too",
    "The value is right, but the gradient flows through the layers below as well: in this step the "
    "layers above are trained and no others. Compute what they get without a gradient.",
)
def all_layers(net, place, images, labels, examples, example_labels, share):
    fooled = F.cross_entropy(net[place:](examples), example_labels)
    return (1 - share) * F.cross_entropy(net(images), labels) + share * fooled


@EXERCISE.mistake(
    "nothing learns",
    "The value is right, but it is a constant: no gradient reaches any layer. Only what lies below "
    "the place belongs into `torch.no_grad()`.",
)
@torch.no_grad()
def no_layers(net, place, images, labels, examples, example_labels, share):
    return turn_detached(net, place, images, labels, examples, example_labels, share)


@EXERCISE.mistake(
    "the share of the images",
    "The share is that of the adversarial examples, and here the images have it.",
)
def the_other_share(net, place, images, labels, examples, example_labels, share):
    return turn_detached(net, place, images, labels, examples, example_labels, 1 - share)


@EXERCISE.mistake(
    "all alike",
    "The two losses are averaged over all rows together, as if the share were that of the rows: "
    "the mean over the images and the mean over the examples are weighed by the share.",
)
def all_alike(net, place, images, labels, examples, example_labels, share):
    clean, fooled = _losses(net, place, images, labels, examples, example_labels)
    n, m = len(labels), len(example_labels)
    return (n * clean + m * fooled) / (n + m)


@EXERCISE.mistake(
    "the examples alone",
    "The loss of the examples is all there is: the paper mixes them into the training set, which "
    "stays.",
)
def examples_alone(net, place, images, labels, examples, example_labels, share):
    return _losses(net, place, images, labels, examples, example_labels)[1]


@EXERCISE.mistake(
    "the images alone",
    "The loss of the images is all there is: the examples are missing.",
)
def images_alone(net, place, images, labels, examples, example_labels, share):
    return _losses(net, place, images, labels, examples, example_labels)[0]


@EXERCISE.mistake(
    "added to the loss",
    "The loss of the examples is added to that of the images, which keeps its full weight: a share "
    "of the loss is asked for, so the images have 1 - share.",
)
def on_top(net, place, images, labels, examples, example_labels, share):
    clean, fooled = _losses(net, place, images, labels, examples, example_labels)
    return clean + share * fooled
