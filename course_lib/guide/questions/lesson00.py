"""Discussion and exam questions to lesson 00."""

from . import Question

DISCUSSION = [
    Question(
        "The paper says that a changed image *looks the same*. How would you turn that into "
        "something that can be measured, and what would your measure miss?",
        "The course's measure is the distortion: the root mean square change of a pixel. It can "
        "be computed and compared, and it treats all pixels alike: it does not know where an eye "
        "looks, or whether a change is noise or a stroke. Asking people is the other way; it "
        "costs more, and depends on whom one asks and how.",
    ),
    Question(
        "Why does the lesson look at random noise before there is any attack?",
        "Noise is the control. That a changed image is misread means little by itself; that noise "
        "of the same size does far less is what makes it surprising. Noise of stddev 0.1, which "
        "one sees plainly, costs the network of the lesson next to nothing.",
    ),
]
EXAM = [
    Question(
        "An image has 784 pixels; a change adds 0.1 to 100 of them and leaves the others. What is "
        "its distortion?",
        "The root of the mean square: sqrt(100 · 0.1² / 784) = sqrt(1 / 784) = 1 / 28, about "
        "0.036.",
    ),
    Question(
        "Name two of the paper's claims and, for each, an observation that would speak against it.",
        "For example: *single units mean no more than random directions*; against it speaks a "
        "measure of meaning by which units are better than random directions of the same layer, "
        "in networks trained anew. *Every image has a near neighbour that is misread*; against it "
        "speaks an image for which a proof shows that there is none within a distance that one "
        "would see.",
    ),
]
# for each objective of the lesson, in its order: the exercises that lead to it
SERVES = [
    ("pixel-rms",),
]
