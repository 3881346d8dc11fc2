"""`aim-step`, lesson 09: a step of a given length towards a class, image by image, in the box."""

import torch
import torch.nn.functional as F
from torch import nn

from course_lib.exercises import Case, Exercise

from ..lesson08.shared import classes, doubles, little_network


def step_cases(rng):
    def case(label, n, count, length, height=2, width=3, blind=False):
        net = nn.Sequential(nn.Flatten(), *little_network(rng, 3 * height * width, 6, count))
        if blind:  # all gradients are 0
            nn.init.zeros_(net[1].weight)
        images = (2 * doubles(rng, n, 3, height, width) - 0.5).clamp(0, 1)
        return Case(label, net.eval(), images, classes(rng, n, count), length)

    yield case("one small picture", 1, 2, 0.3, 1, 1)
    yield case("five pictures", 5, 4, 0.8)
    yield case("a short step", 7, 3, 0.01)
    yield case("a long one", 4, 5, 3.0, 3, 2)
    yield case("a network that looks at nothing", 3, 3, 0.2, blind=True)


def step_one_by_one(net, images, classes, length):
    rows = []
    for image, wanted in zip(images, classes.tolist(), strict=True):
        gradient = torch.func.grad(lambda x, c=wanted: net(x[None]).log_softmax(1)[0, c])(image)
        size = float(gradient.square().sum().sqrt())
        moved = image + length * gradient / size if size else image
        rows.append(moved.clamp(0, 1).detach())
    return torch.stack(rows)


EXERCISE = Exercise(
    title="A step towards a class",
    difficulty=2,
    minutes=10,
    hints=[
        "Lesson 08's step went up the loss of the right class. Which loss is to become smaller "
        "here, and which way does its gradient go?",
        "`F.cross_entropy(net(x), classes, reduction='sum')`, then `torch.autograd.grad(loss, x)`.",
        "Every photograph gets a step of its own length: `F.normalize(gradient.flatten(1))` has "
        "rows of length 1; `.view_as(images)` gives them their shape back.",
    ],
    cases=step_cases,
    oracle=step_one_by_one,
    on_device=False,
    done="The same step with another class leads elsewhere: any of the thousand can be aimed at.",
)


def _unit(net, images, classes):
    x = images.detach().requires_grad_()
    loss = F.cross_entropy(net(x), classes, reduction="sum")
    gradient = torch.autograd.grad(loss, x)[0]
    return F.normalize(gradient.flatten(1)).view_as(images)


@EXERCISE.variant
def by_backward(net, images, classes, length):
    x = images.clone().requires_grad_()
    F.cross_entropy(net(x), classes).backward()
    sizes = x.grad.flatten(1).norm(dim=1).clamp_min(1e-300)
    return (images - length * x.grad / sizes[:, None, None, None]).clamp(0, 1)


@EXERCISE.variant
def by_vmap(net, images, classes, length):
    def likelihood(image, wanted):
        return -F.cross_entropy(net(image[None]), wanted[None])

    gradient = torch.func.vmap(torch.func.grad(likelihood))(images, classes)
    moved = images + length * F.normalize(gradient.flatten(1)).view_as(images)
    return moved.clamp(0, 1).detach()


HISTORY = (
    "The step is right, but it carries autograd's history: after forty steps the memory holds the "
    "computation of each. Return a tensor without it, by `.detach()`."
)


@EXERCISE.probe(only_right=True)
def has_history(answer):
    """A probe: what comes back asks for no gradient."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(3, 2)).eval()
    found = answer(net, torch.full((2, 3, 1, 1), 0.5), torch.tensor([0, 1]), 0.1)
    return HISTORY if getattr(found, "requires_grad", False) else None


@EXERCISE.mistake("history", HISTORY)
def with_history(net, images, classes, length):
    x = images.clone().requires_grad_()
    gradient = torch.autograd.grad(F.cross_entropy(net(x), classes), x)[0]
    return (x - length * F.normalize(gradient.flatten(1)).view_as(images)).clamp(0, 1)


@EXERCISE.mistake(
    "away from it",
    "The step goes up the loss of the class, which makes it less likely: the loss is to fall.",
)
def away(net, images, classes, length):
    return (images + length * _unit(net, images, classes)).clamp(0, 1)


@EXERCISE.mistake(
    "away from its own answer",
    "The step leads away from what the network says now, to whatever is near: go towards the class "
    "that is asked for.",
)
def untargeted(net, images, classes, length):
    own = net(images).argmax(1)
    return (images + length * _unit(net, images, own)).clamp(0, 1)


@EXERCISE.mistake(
    "one norm for all",
    "All images share one norm, so that most steps are too short: divide each image's gradient by "
    "its own.",
)
def one_norm(net, images, classes, length):
    x = images.detach().requires_grad_()
    loss = F.cross_entropy(net(x), classes, reduction="sum")
    gradient = torch.autograd.grad(loss, x)[0]
    return (images - length * gradient / gradient.norm()).clamp(0, 1)


@EXERCISE.mistake(
    "each colour for itself",
    "Each colour of an image has a step of this length: the length is that of the whole change.",
)
def per_channel(net, images, classes, length):
    gradient = _unit(net, images, classes)
    return (images - length * F.normalize(gradient.flatten(2), dim=2).view_as(images)).clamp(0, 1)


@EXERCISE.mistake(
    "the bare gradient",
    "The gradient is not brought to length 1: the step is as long as the loss is steep.",
)
def bare(net, images, classes, length):
    x = images.detach().requires_grad_()
    loss = F.cross_entropy(net(x), classes, reduction="sum")
    return (images - length * torch.autograd.grad(loss, x)[0]).clamp(0, 1)


@EXERCISE.mistake(
    "the sign",
    "This is a step of the same size in every number, along the gradient's sign. Its length is to "
    "be L2.",
)
def signs(net, images, classes, length):
    return (images - length * _unit(net, images, classes).sign()).clamp(0, 1)


@EXERCISE.mistake(
    "out of the box",
    "Some pixels leave [0, 1]: no picture has them. Clip what comes out.",
)
def outside(net, images, classes, length):
    return images - length * _unit(net, images, classes)


@EXERCISE.mistake("the change alone", "This is the change: the image with the change is asked for.")
def change_alone(net, images, classes, length):
    return (images - length * _unit(net, images, classes)).clamp(0, 1) - images
