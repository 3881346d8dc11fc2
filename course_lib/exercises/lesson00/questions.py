"""The predictions, quizzes and short answers of lesson 00."""

from course_lib.exercises import Option, Prediction, Quiz, ShortAnswer

PREDICTIONS = {
    "best-test-error": Prediction(
        "What share of the test images does the best of these networks get wrong?", unit="%"
    ),
}

QUIZZES = {
    "circular-difference": Quiz(
        "The last line printed -3, 1, 1, 1. Why is its first number -3?",
        [
            Option(
                "The transform rounds.",
                False,
                "It is exact up to the last digits: the numbers really are -3, 1, 1, 1.",
            ),
            Option(
                "The kernel has a negative entry.",
                False,
                "That makes differences; but a difference with zeros outside the signal would "
                "begin with 1 - 0 = 1.",
            ),
            Option(
                "The signal goes round: before its first value comes its last.",
                True,
                "The kernel (1, -1, 0, 0) takes each value minus the one before it, and "
                "circularly 1 - 4 = -3. With zeros outside it would have been 1 - 0.",
            ),
        ],
    ),
}

ANSWERS = {
    "noise-reading": ShortAnswer(
        "Which digits does the network give up first under noise, and what does it see instead?",
        rubric=[
            "It names classes that go first and classes that answers gather in, from several "
            "positions of the slider, and compares them with the counts of the next cell (1000 "
            "images, σ = 1 alone).",
            "It offers a reason that could be tested, for example that noise breaks the closed "
            "loops which tell an 8 from a 3, and says how.",
            "It says how little twenty images of one network show.",
        ],
    ),
}
