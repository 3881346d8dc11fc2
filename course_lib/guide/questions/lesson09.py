"""Discussion and exam questions to lesson 09."""

from . import Question

DISCUSSION = [
    Question(
        "A picture is turned into an ostrich by a change that is smaller than what rounding to "
        "bytes does. Does saving pictures as files therefore protect a network?",
        "Files destroy the nearest such pictures, and stop nobody who aims through them: the "
        "change is then made for the mean over files, or the gradient goes straight through the "
        "rounding. A defence has to be tried against somebody who knows of it.",
    ),
    Question(
        "On thirteen photographs units and random directions are both far purer than chance. Which "
        "verdict on the paper's claim about units does that allow?",
        "None. It is one network and thirteen photographs, and both kinds being above chance does "
        "not say that they are equal. Networks are the replicates, and a claim of equality needs a "
        "margin.",
    ),
]
EXAM = [
    Question(
        "One paper reports a distortion with white as 1, another with white as 255. The second "
        "number is 0.51. What is it on the first scale?",
        "0.51 / 255 = 0.002: a distortion has a scale, and means nothing without it.",
    ),
    Question(
        "A network has a batch norm behind every convolution. Why does a table of the "
        "convolutions' norms say nothing about what its layers stretch, and what has to be "
        "done first?",
        "In use the batch norm multiplies each channel by its weight over its deviation. A "
        "convolution with small weights may be scaled up again, and one with large weights down. "
        "The two have to be folded into one convolution, and the norm taken of that.",
    ),
]
# for each objective of the lesson, in its order: the exercises that lead to it
SERVES = [
    ("photo-distortion",),
    ("aim-step",),
    ("as-bytes",),
    ("photo-crops", "unit-detector"),
    ("fold-the-norm",),
]
