"""The predictions, quizzes and short answers of lesson 03."""

import math

from course_lib.exercises import Option, Prediction, Quiz, ShortAnswer

PREDICTIONS = {
    "clipped-success": Prediction(
        "On what share of the images does the step to the nearest plane, clipped to [0, 1] "
        "afterwards, still change the class?",
        unit="%",
        digits=2,
    ),
    "random-over-nearest": Prediction(
        "How many times as far as the nearest class is a random one, on average, for FC10(1e-2)?",
        digits=2,
        low=0,
    ),
    "penalty-excess": Prediction(
        "By how many per cent does the paper's attack end above the exact minimum for FC10(1)?",
        unit="%",
        digits=2,
        high=math.inf,
    ),
    "noise-at-0.1": Prediction(
        "Which share of the images that FC10(1e-2) reads correctly does it get wrong under "
        "Gaussian noise of stddev 0.1, twice the mean distance of the nearest mistake?",
        unit="%",
        digits=2,
    ),
}

QUIZZES = {
    "logit-scale": Quiz(
        "All weights and biases of FC10 are multiplied by 10. What happens to the distance from an "
        "image to its nearest mistake?",
        [
            Option(
                "It becomes ten times smaller: the network is more sensitive",
                False,
                "The logits do change ten times as fast, but the lead that has to be made up is "
                "ten times as large, too.",
            ),
            Option(
                "It becomes ten times larger: the network is more certain",
                False,
                "The lead is ten times as large, but it also changes ten times as fast along the "
                "normal.",
            ),
            Option(
                "Nothing",
                True,
                "Lead and norm both grow by 10, and the planes stay where they are. Certainty, in "
                "the sense of a large probability, is no protection, and small weights by "
                "themselves are none either.",
            ),
        ],
    ),
    "one-plane": Quiz(
        "At the point found for the nearest plane, z_j = z_y. Could a third class k be ahead of "
        "both there?",
        [
            Option(
                "No, or the plane of k would have been crossed on the way",
                True,
                "The way is straight and stays in the box, and y was ahead of k at its start. So "
                "the smallest over the classes of the one-plane problems is the true minimum, "
                "though for a single class j its one-plane problem may be too easy.",
            ),
            Option(
                "Yes, then the network reads k, and j was the wrong class",
                False,
                "If k were ahead there, then somewhere on the way from x, where y was ahead, k and "
                "y must have tied. That point is nearer, and in the box, so the plane of k would "
                "have been the nearest.",
            ),
            Option(
                "No, because softmax probabilities add up to 1",
                False,
                "They do, but three classes can share them in any order: the reason is in the "
                "geometry.",
            ),
        ],
    ),
    "two-classes": Quiz(
        "For which linear network does the penalty with the cross-entropy find the exact minimum?",
        [
            Option(
                "For one that was trained to the optimum",
                False,
                "How the weights were found plays no part: given the weights, the loss's levels "
                "and the boundary are what they are.",
            ),
            Option(
                "For one with two classes",
                True,
                "Then the loss depends on the one difference z_t - z_y alone, so every level of "
                "it is a plane parallel to the boundary, and one of them is the boundary. The "
                "statement about convex losses is right in that case.",
            ),
            Option(
                "For every one, if c is searched finely enough",
                False,
                "Every point of the path is the smallest r for its level of the loss. The exact "
                "point is not on the path at all, however fine the steps are.",
            ),
        ],
    ),
    "printed-formula": Quiz(
        "Taken as printed, x + 0.1 (x' - x) / ||x' - x||_2 changes a 28 x 28 image by which "
        "distortion?",
        [
            Option(
                "0.1",
                False,
                "0.1 is the L2 norm of that change: the distortion divides it by the root of 784.",
            ),
            Option(
                "0.1 x 28 = 2.8",
                False,
                "The other way round: the rms is smaller than the L2 norm. A distortion of 2.8 "
                "would take pixels far out of [0, 1].",
            ),
            Option(
                "0.1 / 28, about 0.0036",
                True,
                "That is far below the 0.06 of the examples that were to be amplified. So the text "
                "(stddev 0.1) is right, and the norm in the formula has to be read as an rms.",
            ),
        ],
    ),
}

ANSWERS = {
    "why-larger": ShortAnswer(
        "FC10(1) has more than twice the distortion of FC10(1e-4) in Table 1. Name three "
        "different reasons for it, say which of them is about the network, and how you would tell "
        "them apart.",
        rubric=[
            "Smooth filters: with more decay the lead per unit of ||w_y - w_j|| is larger. That is "
            "about the network, and the exact minima show it.",
            "The loss: with small logits the cross-entropy stops short of the minimum. That is "
            "about the attack: it goes away with sharper logits or an exact solver.",
            "The images: a network that misreads a quarter of the images is measured on those that "
            "it still reads, which are the easier ones (or, if mistakes were counted as 0, it "
            "would be pulled down instead). Comparing on the images that all three read tells.",
            "It says what would separate them: exact minima, the same images for all, the same "
            "rule for the targets. (Training images and seeds cannot be the reason: the first are "
            "the same for both, and each has one optimum.)",
        ],
    ),
}
