"""Discussion and exam questions to lesson 07."""

from . import Question

DISCUSSION = [
    Question(
        "Two networks have the Lipschitz bounds 10 and 1000. Is the first one more robust?",
        "That cannot be told. The unit of the logits means nothing: multiplying them by a number "
        "multiplies the bound and leaves every answer and every distance. L means something over "
        "a margin only. And a bound is an upper one: the second network may stretch far less than "
        "1000.",
    ),
    Question(
        "The abstract calls the networks *fairly discontinuous*, section 4.3 proves that they are "
        "Lipschitz. Do the two contradict each other?",
        "No. The logits are Lipschitz, hence continuous. What jumps is the answer, the class, "
        "wherever two logits are equal, and the attack shows that this happens near to most "
        "images. As a statement about the logits *discontinuous* is a figure of speech.",
    ),
]
EXAM = [
    Question(
        "The logits lead by z_y - z_j = 2 over each other class; the layers below the last one "
        "stretch by at most 5, and the rows of the last layer differ by w_y - w_j of norm 0.8. "
        "Which radius is certified?",
        "The difference z_y - z_j changes by at most 0.8 · 5 = 4 per unit of length, so that 2 / "
        "4 = 0.5 is certified: the smallest of such radii over all classes j, which here are "
        "equal.",
    ),
    Question(
        "An attack finds no adversarial example within a radius, and the certificate promises "
        "only a tenth of it. What is known about the images in between?",
        "Nothing for sure. Certified accuracy is a lower bound of the truth, accuracy under "
        "attack an upper one. A better bound or a better attack may move either; a failed attack "
        "proves nothing.",
    ),
]
# for each objective of the lesson, in its order: the exercises that lead to it
SERVES = [
    ("log-bound", "two-layer-bound", "local-stretch"),
    (),
    ("certificate", "lead-bound"),
    ("robust-accuracy",),
    ("log-penalty",),
    ("inflated",),
]
