"""The predictions, quizzes and short answers of lesson 02."""

from course_lib.exercises import Option, Prediction, Quiz, ShortAnswer

PREDICTIONS = {
    "chance-of-purity": Prediction(
        "Eight images are drawn blindly from ten classes of equal size. What is the mean purity of "
        "such a row?",
        digits=2,
        low=0,
        high=1,
    ),
    "units-minus-directions": Prediction(
        "Mean purity of the units of the second layer of FC100-100-10, minus that of random "
        "directions of the same layer:",
        digits=2,
        low=-1,
        high=1,
    ),
    "early-rotation": Prediction(
        "Test error of FC100-100-10 with the rotation before the first sigmoid, undone behind it:",
        unit="%",
        digits=2,
    ),
}

QUIZZES = {
    "directions-as-n": Quiz(
        "10 000 random directions of one network have a mean purity of 0.861 ± 0.003 (95 % "
        "interval over directions), its 100 units one of 0.80. What is wrong with reading that "
        "interval as 'so random directions are better, in networks like this'?",
        [
            Option(
                "It says how well one network's mean is known, and the claim is about networks",
                True,
                "The directions all come from one network. How far the next network's difference "
                "lies from this one's, no number of directions can tell: networks are the "
                "replicates.",
            ),
            Option(
                "10 000 directions are too few",
                False,
                "More of them shorten the interval at will. It is about the wrong thing.",
            ),
            Option(
                "Purity is not normally distributed",
                False,
                "With 10 000 directions the mean is, to good accuracy. That is not what matters.",
            ),
        ],
    ),
    "not-significant": Quiz(
        "Ten networks: units minus directions is 0.01, p = 0.4. What may be said?",
        [
            Option(
                "Units and directions are equally meaningful",
                False,
                "Not from p alone. Were the interval -0.2 to 0.2, p would be large, too.",
            ),
            Option(
                "Units are better, but only slightly",
                False,
                "The data do not say on which side of 0 the difference lies.",
            ),
            Option(
                "Nothing yet: it depends on the interval and on what difference would matter",
                True,
                "If the 90 % interval lies inside the margin that was fixed before, they are "
                "equivalent to within that margin; if not, it is undecided.",
            ),
        ],
    ),
    "why-worse": Quiz(
        "In section 5's second layer random directions have purer rows than units, but random "
        "directions of the whitened layer have far less pure ones. What follows?",
        [
            Option(
                "Random directions are better than units, full stop",
                False,
                "Random in which sense? The two kinds of random direction disagree more with each "
                "other than either does with the units.",
            ),
            Option(
                "Random directions profit from the few directions in which the layer varies most",
                True,
                "A Haar direction of the layer catches most of its variance along the leading "
                "principal directions, which separate the classes. Whitening takes that away.",
            ),
            Option(
                "Whitening destroys the information about the labels",
                False,
                "It is invertible on the directions that vary: a linear classifier could undo it.",
            ),
        ],
    ),
}

ANSWERS = {
    "figure-reading": ShortAnswer(
        "Compare the two halves of the figure. Which conclusion does it support, and what could "
        "have gone wrong in drawing it?",
        rubric=[
            "It says what is seen: rows on both sides have a common look (strokes, slants, often "
            "one digit). Whoever finds the rows of random directions purer has counted rightly: "
            "more of them show a single digit, in these eight rows.",
            "It names the selection: four rows of each, out of a hundred; somebody who chose them "
            "by eye could have made either half look better.",
            "It names what the eye does: a row of eight digits always looks as if it had a theme, "
            "and there is no row of blindly drawn images to compare with.",
            "It concludes neither 'equally meaningful' from seeing no difference nor 'random ones "
            "are better' from seeing one.",
        ],
    ),
}
