"""Discussion and exam questions to lesson 04."""

from . import Question

DISCUSSION = [
    Question(
        "Table 1 gives one number for each network, the *average minimum distortion*. What has to "
        "be told beside it before somebody else can check it?",
        "The rule for the targets (the nearest class gives clearly less than a random one), the "
        "loss, whether |r| is the norm or its square, which images and how many, whether those "
        "that were wrong at first count, the rate of success, and an interval. The paper leaves "
        "several of these open, and the lesson measures by how much each moves the number.",
    ),
    Question(
        "Somebody says: *networks fail on adversarial images because they never saw anything like "
        "them in training.* What does noise of the same size say to that?",
        "It was never seen in training either, and next to none of the images are misread under "
        "it. So being unlike the training images is not enough as a reason: it is the direction "
        "of the change that matters.",
    ),
]
EXAM = [
    Question(
        "The objective is c |r|² + loss. Which c gives the smallest perturbation that still "
        "succeeds, the smallest or the largest one, and why?",
        "The largest that succeeds. c weighs the size: the larger it is, the smaller is r, until "
        "r is too small to reach the target.",
    ),
    Question(
        "A pixel stands at its lower bound 0. In one case the gradient there is positive, in "
        "another negative. In which can the point be a minimum in the box, and what does the "
        "projected gradient x - P(x - g) say of each?",
        "With a positive gradient the descent would make the pixel smaller, which the box "
        "forbids: the entry of the projected gradient is 0, and the point can be a minimum. With "
        "a negative gradient the pixel can grow and the objective falls: the entry is not 0.",
    ),
]
# for each objective of the lesson, in its order: the exercises that lead to it
SERVES = [
    ("projected-step", "projected-gradient"),
    ("two-loop", "projected-search"),
    ("solve-for-c", "search-for-c"),
    (),
    ("error-under-noise",),
]
