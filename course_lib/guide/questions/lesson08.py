"""Discussion and exam questions to lesson 08."""

from . import Question

DISCUSSION = [
    Question(
        "The paper reports a test error below 1.2 % with adversarial pools, against 1.6 % with "
        "weight decay. What do you have to know before you call the first method better?",
        "How many settings and epochs each got, on which images the settings were chosen, how "
        "many seeds there were and whether all of them count. A fair comparison gives all methods "
        "the same, chooses on validation images, and takes the difference seed by seed. Done so "
        "here, with sigmoids as in the paper, the two cannot be told apart.",
    ),
    Question(
        "A training moves the nearest mistake away and leaves the test error as it was. Was it "
        "worth it?",
        "Error and distance are two things. The paper hoped for a smaller error; what adversarial "
        "training became known for is distance. Which of them is wanted must be said before, and "
        "both are to be reported.",
    ),
]
EXAM = [
    Question(
        "Why must the examples of a pool be replaced all the time?",
        "They were made for the network as it was. It changes under them, and an old image may "
        "fool it no longer, and old activations were made by layers whose units have come to "
        "stand for something else.",
    ),
    Question(
        "An adversarial example is made at the output of the first hidden layer. Which weights "
        "does it train, and which not?",
        "Those of the layers above. The changed activations are an input of these alone: no "
        "gradient reaches the layers below.",
    ),
]
# for each objective of the lesson, in its order: the exercises that lead to it
SERVES = [
    ("renew-pool", "mixed-batch"),
    ("layer-step",),
    ("loss-in-turn",),
    ("fair-errors", "paired-interval"),
    (),
]
