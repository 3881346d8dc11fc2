"""The predictions, quizzes and short answers of lesson 09."""

from course_lib.exercises import Option, Prediction, Quiz, ShortAnswer

PREDICTIONS = {
    "noise-fools": Prediction(
        "Each of eight photographs gets five draws of noise that is exactly as long as the change "
        "that makes an ostrich of it. How many of the 40 change what the network says?",
        unit="of 40",
        digits=2,
        low=0,
        high=40,
    ),
    "kept-price": Prediction(
        "An ostrich is now to survive a JPEG file of quality 75 and being resized to 196 pixels "
        "and back. How many times as large must the change be, in the mean?",
        unit="times",
        digits=2,
        low=1,
    ),
}

QUIZZES = {
    "which-scale": Quiz(
        "The paper's Figure 5 has an average distortion of 0.006508 and does not say how pixels "
        "are scaled. What can be said?",
        [
            Option(
                "If white is 255, the change is far below what a file can hold",
                True,
                "0.0065 of 255 would be a hundredth of half a byte: no picture file would keep "
                "it. With white = 1, which the box [0, 1] of section 4.1 suggests, it is 1.7 of "
                "255. We take that scale, and say so.",
            ),
            Option(
                "The scale has no influence on a distortion",
                False,
                "It is a root of a mean square: with pixels 255 times as large it is 255 times as "
                "large.",
            ),
            Option(
                "It is 0.65 % of the image's own norm",
                False,
                "The formula divides by the number of pixels, and not by the image.",
            ),
        ],
    ),
    "two-networks": Quiz(
        "Lite0's ostrich is {nearer} than the paper's average for AlexNet. Which explanation can "
        "be ruled out by what is measured in this lesson?".replace("{nearer}", "nearer"),
        [
            Option(
                "That Lite0 is another network, trained otherwise",
                False,
                "It is; only AlexNet itself could tell how much that explains.",
            ),
            Option(
                "That any change of this size makes some ostrich",
                True,
                "Noise of the same length does not: the direction matters, not the length alone.",
            ),
            Option(
                "That today's searches end nearer than L-BFGS with its penalty did",
                False,
                "That may well be a part of it, and it is not separated from the rest here.",
            ),
        ],
    ),
}

ANSWERS = {
    "thirteen-photographs": ShortAnswer(
        "The paper says of Figures 3 and 4 that random directions of AlexNet's layer are as "
        "meaningful as units. You have the purity of the strongest crops, for units and for random "
        "bases, with labels of two kinds. What does it show, and what can it not show?",
        rubric=[
            "It compares units with random bases of the same layer, and both with chance.",
            "It says that crops of thirteen photographs are no sample of ImageNet: crops of one "
            "photograph overlap, and the label 'which photograph' is not a meaning.",
            "It says that one network is one replicate: no interval over networks can be had.",
            "It does not turn 'the p-value is small' into 'units mean something'.",
        ],
    ),
}
