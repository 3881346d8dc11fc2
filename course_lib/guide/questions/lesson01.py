"""Discussion and exam questions to lesson 01."""

from . import Question

DISCUSSION = [
    Question(
        "In the paper FC200-200-10 errs on 1.54 % of the test images and FC100-100-10 on 1.64 %. "
        "Is the larger network better?",
        "It cannot be told from that. The difference is ten of 10 000 images; another seed moves "
        "both numbers. Two networks are compared on the images where exactly one of them is "
        "wrong; two architectures, over several seeds. Five seeds do not tell these two apart "
        "here.",
    ),
    Question(
        "A colleague reports a weight decay of 0.01 and finds another error than you. What do you "
        "ask first?",
        "Which convention: λ · Σw² or λ/2 · Σw², divided by the number of weights or not, in the "
        "loss or as a shrinking of the weights at each step. With Adam the last two differ: the "
        "gradient of the term is divided by the gradients' sizes, too. λ says something only with "
        "its convention.",
    ),
]
EXAM = [
    Question(
        "Why is the cross-entropy computed with the logits' maximum subtracted, and why is the "
        "logarithm taken together with the sum? Say what goes wrong otherwise in float32.",
        "The softmax does not change when a number is added to all logits. Without the shift "
        "exp(logit) overflows for large logits, and inf / inf is no number. Where softmax and "
        "logarithm are taken apart, a small probability is rounded to 0 and its logarithm is "
        "minus infinity: a loss that is right on paper is infinite.",
    ),
    Question(
        "The gradient with respect to a sigmoid's input is that with respect to its output h, "
        "times what? How large can this factor be, and what does that mean for a stack of such "
        "layers?",
        "Times h (1 - h), which is at most 1/4 (at h = 1/2). Each sigmoid layer therefore makes "
        "gradients at least four times smaller, unless its weights make up for it.",
    ),
]
# for each objective of the lesson, in its order: the exercises that lead to it
SERVES = [
    ("stable-cross-entropy", "weight-decay"),
    ("sigmoid-layer-backward", "training-step"),
    ("kl-sparsity",),
    ("paired-difference", "error-in-batches"),
]
