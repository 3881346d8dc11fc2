"""The predictions, quizzes and short answers of lesson 08."""

from course_lib.exercises import Option, Prediction, Quiz, ShortAnswer

PREDICTIONS = {
    "hidden-distance": Prediction(
        "The nearest mistake lies at a distance of about 13 % of an image's own length. How far is "
        "it, in per cent of the activations' length, at the output of the first hidden layer?",
        unit="%",
        digits=2,
        low=0,
    ),
}

QUIZZES = {
    "hidden-example": Quiz(
        "Activations of the first hidden layer were changed until the network makes a mistake. Is "
        "there an image that makes these activations?",
        [
            Option(
                "Yes, an adversarial image",
                False,
                "The images with pixels in [0, 1] reach a part of the activations only: 784 pixels "
                "can move 100 units in many ways, and not in all, once pixels have a range.",
            ),
            Option(
                "There need not be one",
                True,
                "The layers above are trained to stand changes of what they get, whether or not a "
                "picture could cause them. That is more than robustness to images asks for.",
            ),
            Option(
                "No, never",
                False,
                "For a small change there often is one, and any adversarial image makes an "
                "adversarial activation at every layer.",
            ),
        ],
    ),
    "old-examples": Quiz(
        "Why is a random part of a pool replaced all the time?",
        [
            Option(
                "Examples are made for the network of their day, and this one changes",
                True,
                "An old image may fool the network no longer; an old activation was made by layers "
                "that have meanwhile changed what their units stand for.",
            ),
            Option(
                "To save memory",
                False,
                "A pool of fixed size would do that without any replacement.",
            ),
            Option(
                "So that the network sees each example only once",
                False,
                "It sees most examples many times before their turn to go comes.",
            ),
        ],
    ),
    "zero-inside": Quiz(
        "Five networks of two methods, paired by seed: the 95 % interval for the difference of "
        "their test errors goes from -0.15 to 0.05 percentage points. What follows?",
        [
            Option(
                "The first method is better, since its mean is",
                False,
                "The mean is on its side, and the seeds alone could explain that.",
            ),
            Option(
                "The two methods are equally good",
                False,
                "A difference of 0.15 points would be as much in agreement with the figures as "
                "none: not to see a difference is not to see that there is none.",
            ),
            Option(
                "It is not decided",
                True,
                "More seeds would make the interval narrower. What can be said already: the first "
                "is not worse by more than 0.05 points (at this level of confidence).",
            ),
        ],
    ),
}

ANSWERS = {
    "why-higher": ShortAnswer(
        "The paper finds that the pools of the higher layers help most. What does the record here "
        "say of that, for sigmoids and for rectified units? Say which numbers you look at, and "
        "what else differs between two rows of the ablation.",
        rubric=[
            "It compares each row with the row without any pool, which alternates as well, and not "
            "with plain training.",
            "It looks at paired differences with their intervals, and says where 0 lies inside.",
            "It says that strength and learning rate were chosen for all pools together, and the "
            "strengths at the layers are shares of their activations' length.",
            "It does not go beyond this size of network, these two kinds of units, and MNIST.",
        ],
    ),
}
