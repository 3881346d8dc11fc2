"""Discussion and exam questions to lesson 02."""

from . import Question

DISCUSSION = [
    Question(
        "The paper shows rows of images that excite a unit, and rows that excite a random "
        "direction, and finds both meaningful. What could such a figure never show?",
        "That they are equally meaningful. A viewer finds something common in most rows, and rows "
        "can be chosen. It takes a number for *meaningful*, a blind test or a measure, what the "
        "number is by chance, and a margin below which a difference does not matter. Rows of "
        "eight have a purity of 0.30 by chance, and of 0.5 to 0.6 in networks without any "
        "training.",
    ),
    Question(
        "A layer is rotated, and the next layer's weights rotated back: the network computes the "
        "same. Does that prove that units mean nothing?",
        "It proves that they need not mean anything for the network to compute what it computes, "
        "as long as the rotation stays on one side of the non-linearity. Before the sigmoid the "
        "same rotation destroys the network, so the basis is privileged. Whether its units mean "
        "more is measured: in the sparse autoencoder they do.",
    ),
]
EXAM = [
    Question(
        "One network has 100 units; their mean purity is compared with that of random directions "
        "by a test with n = 100, and the result is significant. What may be concluded about such "
        "networks?",
        "Nothing about such networks. The units of one network are no independent draws: they "
        "were trained together. The test can speak of this network alone. For a statement about "
        "networks of the kind several must be trained, and their number is n.",
    ),
    Question(
        "A test finds no significant difference between units and random directions. Is the claim "
        "that there is none confirmed? What would be needed?",
        "No: it may be that there were too few networks to see one. *No difference* is a claim "
        "and needs an equivalence test: a margin that was fixed beforehand (here half an image in "
        "eight), and an interval for the difference that lies within it.",
    ),
]
# for each objective of the lesson, in its order: the exercises that lead to it
SERVES = [
    ("strongest-images", "changes-the-ranking"),
    ("haar-bases",),
    ("purity", "chance-purity"),
    ("randomisation-p", "equivalence-verdict"),
    ("rotated-network",),
]
