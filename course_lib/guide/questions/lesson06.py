"""Discussion and exam questions to lesson 06."""

from . import Question

DISCUSSION = [
    Question(
        "The paper concludes from a large norm of the first layer that instability *can* appear "
        "there. What would show that it *does*?",
        "A large norm permits it and does not prove it. One would look at how much the layer "
        "stretches adversarial changes beside noise, or whether its most stretched pattern fools "
        "the network. In our CONV the first layer stretches adversarial changes only a few per "
        "cent more than noise, and its pattern makes the network misread hardly any image.",
    ),
    Question(
        "Many papers take the norm of the kernel, reshaped to a matrix, for the norm of the "
        "convolution. Is that a harmless shortcut?",
        "It is another number, and no bound from above: the layer can stretch more than it says, "
        "because a pixel is in many windows. For a promise it cannot be used as it is; as a "
        "penalty in training it may still do some good.",
    ),
]
EXAM = [
    Question(
        "Power iteration and powers of the Gram matrix both approach the largest singular value. "
        "From which side does each come, and which of them can be used for a promise?",
        "Power iteration comes from below: it is the stretch of a vector that was found, and "
        "there may be a worse one. Norms of powers of the Gram matrix, with the right root, come "
        "from above, and can be used for a promise.",
    ),
    Question(
        "The paper says that max pooling is a contraction. For which pooling is that true, and "
        "what is the constant for windows of 3 x 3 with stride 2?",
        "For windows that do not overlap. With stride 2 one pixel can be in four windows of 3 x "
        "3, and be the maximum of all of them: a change of 1 comes out four times, with the norm "
        "sqrt(4) = 2. AlexNet's pools are of this kind.",
    ),
]
# for each objective of the lesson, in its order: the exercises that lead to it
SERVES = [
    ("power-iteration", "norm-from-above"),
    ("convolution-matrix",),
    ("symbol-norm", "strided-norm"),
    (),
    ("pooling-constant",),
    (),
]
