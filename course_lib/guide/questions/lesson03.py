"""Discussion and exam questions to lesson 03."""

from . import Question

DISCUSSION = [
    Question(
        "The paper says that for a convex loss its penalty method finds the smallest change. "
        "FC10's loss is convex. Why does the method stop farther away than the nearest mistake?",
        "It finds the smallest change for a *level of the loss*. With the cross-entropy of ten "
        "classes that level is not the boundary between two classes: the target may already lead "
        "while the loss is still high. The smaller the logits are, the larger the gap: a few per "
        "cent for the two smaller λ, far more for λ = 1.",
    ),
    Question(
        "FC10(1) has more than twice the distortion of FC10(1e-4) in Table 1. Is it twice as "
        "robust?",
        "In part. With more decay the filters are smooth, and the exact distances grow with λ. "
        "But the penalty with the cross-entropy also stops farther beyond the boundary when "
        "logits are small, and FC10(1) errs more, so that other images count. The exact minimum, "
        "on the same images, tells these apart.",
    ),
]
EXAM = [
    Question(
        "A linear network gives the logits z_y = 3 and z_j = 1; the difference of the two rows of "
        "weights has the norm 4. How far is the plane on which both are equal, without the box? "
        "What changes if all logits are multiplied by ten?",
        "(3 - 1) / 4 = 0.5. Multiplying the logits multiplies the lead and the norm by ten: the "
        "distance stays.",
    ),
    Question(
        "Why is the step to the nearest plane, clipped to [0, 1] afterwards, not the nearest "
        "mistake in the box, and what is?",
        "Clipping takes away a part of the change, and with it a part of the way to the plane: "
        "the class does not change any more. For FC10(1e-2) it reached the plane on no image. The "
        "nearest point is clip(x + μ w) with the μ for which it lies on the plane: pixels that "
        "are held at a bound are made up for by the others.",
    ),
]
# for each objective of the lesson, in its order: the exercises that lead to it
SERVES = [
    ("distortion", "amplify"),
    ("nearest-plane", "nearest-in-box"),
    ("penalty-objective",),
    (),
    ("attack-summary",),
]
