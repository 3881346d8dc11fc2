"""The predictions, quizzes and short answers of lesson 06."""

import math

from course_lib.exercises import Option, Prediction, Quiz, ShortAnswer

PREDICTIONS = {
    "random-stretch": Prediction(
        "The first layer of FC100-100-10: its operator norm, divided by its average stretch of a "
        "random direction. How many times?",
        digits=2,
        low=0,
    ),
    "reshaped-share": Prediction(
        "conv2 of CONV: the norm of its kernel reshaped to 32 x (16 · 3 · 3), as a share of the "
        "layer's operator norm?",
        unit="%",
        digits=2,
        high=math.inf,
    ),
    "prefactor": Prediction(
        "Δ = 4, the kernel a single 1: what is the norm of the printed matrix, with Δ⁻²?",
        digits=3,
        low=0,
    ),
    "overlapping-pool": Prediction(
        "Max pooling over windows of 3 x 3 with stride 2: how many times larger can the change of "
        "its output be than the change of its input?",
        digits=2,
        low=0,
    ),
    "fooled-by-pattern": Prediction(
        "Each image gets the pattern that conv1 stretches most, as large as its own adversarial "
        "perturbation. Which share does CONV misread?",
        unit="%",
        digits=2,
    ),
}

QUIZZES = {
    "from-below": Quiz(
        "After 20 steps, power iteration says 7.28 for a layer. What is known about its norm?",
        [
            Option(
                "It is at least 7.28",
                True,
                "The number is the stretch of one input, and the norm is the largest stretch of "
                "any. Nothing of what the iteration has seen says how far away that is.",
            ),
            Option(
                "It is at most 7.28",
                False,
                "An input was found that is stretched by 7.28. There may be others that are "
                "stretched more: the number is a bound from below.",
            ),
            Option(
                "It is 7.28 to the digits printed, once two steps give the same",
                False,
                "Where the start has hardly any share of the first singular vector, the iteration "
                "rests at the second for a long time before it moves on.",
            ),
        ],
    ),
    "larger-grid": Quiz(
        "A layer with zero padding reads an image of 28 x 28. Why is its norm at most that of the "
        "circular layer on 29 x 29 (padding 1)?",
        [
            Option(
                "Because a larger grid has more frequencies",
                False,
                "It has other frequencies. On a larger grid the circular norm can be smaller, as "
                "the crosses in the figure show.",
            ),
            Option(
                "Because the image, with zeros beside it, is an input of the circular layer",
                True,
                "One row of zeros separates the two ends, so the circular layer reads a zero "
                "wherever the padded one does. Its inputs include all padded images, and its "
                "outputs include all those of the padded layer.",
            ),
            Option(
                "Because padding adds something to the image",
                False,
                "Zeros add nothing to its length. What counts is what the wrapped kernel reads at "
                "the edge.",
            ),
        ],
    ),
    "sigmoid-slope": Quiz(
        "A layer of norm 8 is followed by the sigmoid. No more is known of it. What is the most "
        "that is certain about the two together?",
        [
            Option(
                "They stretch by at most 8",
                False,
                "That is true, but less than what is certain: the sigmoid's slope is nowhere above "
                "1/4.",
            ),
            Option(
                "They stretch by exactly 2",
                False,
                "Not at every input: only where the units that matter stand at the steepest point. "
                "And whether there is an input that brings them all there is not known.",
            ),
            Option(
                "They stretch by at most 2",
                True,
                "The slope s(1 - s) is at most 1/4, at 0. It is a bound: it is reached only where "
                "all units that the direction uses are near 0.",
            ),
        ],
    ),
    "groups": Quiz(
        "A convolution in two groups: the first half of the channels is read by one kernel of "
        "norm 3, the other half by one of norm 4. What is the norm of the layer?",
        [
            Option(
                "4, the larger",
                True,
                "The matrix has two blocks that share no row and no "
                "column. An input does best to put all of its length into the second.",
            ),
            Option(
                "5, the root of 9 + 16",
                False,
                "That would be an input of length 1 in each of "
                "the halves, and it has the length √2.",
            ),
            Option(
                "12, the product",
                False,
                "Norms multiply where one layer comes after the "
                "other; these two stand side by side.",
            ),
        ],
    ),
}

ANSWERS = {
    "table-5": ShortAnswer(
        "Somebody shows you the first row of Table 5: Conv. 1, 3 x 11 x 11 x 96, stride 4, upper "
        "bound 2.75. Name two things that you would have to know before you call 2.75 a bound for "
        "this layer, and say what each would change.",
        rubric=[
            "It asks for the prefactor: with the printed Δ⁻² the number is four times too small.",
            "It asks for the grid: a circular norm at the image's own size is no bound for zero "
            "padding; the larger grid costs little.",
            "Or it asks which frequencies were taken for aliases, or whether the number is that of "
            "a reshaped kernel or one from power iteration, which are bounds from below. Another "
            "doubt counts as well, if it says what would change.",
            "It does not say that 2.75 is wrong: the paper does not tell, and without the weights "
            "it cannot be computed again.",
        ],
    ),
}
