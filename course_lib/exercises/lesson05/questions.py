"""The predictions, quizzes and short answers of lesson 05."""

from course_lib.exercises import Option, Prediction, Quiz, ShortAnswer

PREDICTIONS = {
    "corner-up": Prediction(
        "Images made for FC10(1e-2), shown to FC10(1e-4): which share does it get wrong?",
        unit="%",
        digits=3,
    ),
    "corner-down": Prediction(
        "And the other way round: images made for FC10(1e-4), shown to FC10(1e-2), which gets 8 % "
        "of the clean images wrong?",
        unit="%",
        digits=3,
    ),
    "other-half": Prediction(
        "Images made for FC100-100-10@P1, shown to FC100-100-10@P2, which has seen other training "
        "images and gets 2 % of the clean ones wrong: which share does it get wrong?",
        unit="%",
        digits=3,
    ),
    "target-hits": Prediction(
        "Of the images that fool another network, over all pairs: on which share does it say the "
        "very class that the images were made for? (One of nine wrong classes: 11 % by chance.)",
        unit="%",
        digits=2,
    ),
    "cosine-of-halves": Prediction(
        "The input gradients of FC100-100-10@P1 and FC100-100-10@P2 at the same image: what is "
        "their mean cosine? (Two random directions: 0, give or take 0.036.)",
        digits=2,
        low=-1,
        high=1,
    ),
}

QUIZZES = {
    "read-a-cell": Quiz(
        "The paper's Table 2 says 22.7 % for images made for FC10(1e-4) and read by FC10(1), and "
        "21.2 % is FC10(1)'s error on clean training images (Table 1). How many of the images that "
        "FC10(1) reads correctly did the change fool it on?",
        [
            Option(
                "22.7 %",
                False,
                "Nearly all of these were misread before anybody changed a pixel.",
            ),
            Option(
                "22.7 - 21.2 = 1.5 %",
                False,
                "That is the net change of the error over all images. Images that were wrong and "
                "became right hide as many that were right and became wrong; and the denominator "
                "is the images that were right.",
            ),
            Option(
                "At least about 2 %; how many exactly, the two numbers do not say",
                True,
                "(22.7 - 21.2) / (100 - 21.2), if no image became right; more, if some did. Which "
                "is why a table needs its clean row, or better, the images that were right.",
            ),
        ],
    ),
    "amplified-nearest": Quiz(
        "An example for the nearest class fools other networks less often than one for a random "
        "class. Now stretch each one for the nearest class until it is as large as the image's "
        "one for a random class. Which of the two fools other networks more often?",
        [
            Option(
                "The nearest class",
                True,
                "That is what the cell below measures. A reason may be that a class which is near "
                "for one network is often near for another, and that a change stretched well "
                "beyond what it takes has that much to spare when the other network's boundary "
                "lies a little farther or is turned a little.",
            ),
            Option(
                "The random class still: it was the better direction",
                False,
                "Look at what the cell below measures. The example for the random class is large "
                "because the way to that class is long, and that is a long way for other networks, "
                "too.",
            ),
            Option(
                "The two are equal: at one size, size no longer decides",
                False,
                "At one size it is the direction that decides, and how far the class lies on the "
                "other side. A near class for one network may well be near for another, too.",
            ),
        ],
    ),
    "random-cosine": Quiz(
        "Two independent random directions in 784 dimensions: how large is their cosine, "
        "typically?",
        [
            Option(
                "About 0, give or take 1/784",
                False,
                "The cosine is a sum of 784 products of size 1/784 each with random signs: such a "
                "sum grows like the root of their number.",
            ),
            Option(
                "About 0, give or take 1/28",
                True,
                "784 products of random sign, each of size about 1/784: the root of 784, times "
                "1/784. Beyond a few times 1/28 it is no chance.",
            ),
            Option(
                "About 0.5: it may be anything from -1 to 1",
                False,
                "In two dimensions it is spread like that. In 784 nearly all directions are nearly "
                "at right angles to any given one.",
            ),
        ],
    ),
}

ANSWERS = {
    "halves-reading": ShortAnswer(
        "Two networks are alike for many reasons: the task, the training images, the architecture, "
        "the first weights. From Table 4 and the experiment with small networks: which of the last "
        "three matters most for transfer, and which number says so?",
        rubric=[
            "The training images: with none in common the share that is fooled is about a third "
            "of what it is with the same images.",
            "The architecture matters less: on the same half, another architecture is fooled two "
            "to four times as often as the same architecture on the other half.",
            "The first weights matter little, or too little to say: pairs that share them are "
            "fooled about as often in the mean, and the dots of the two kinds overlap.",
            "It gives n, or the number of pairs, or says that the networks are the replicates.",
            "It sees what is left: with no image in common they still fool each other beyond "
            "noise of the same size, and the task is common to all (among the small networks the "
            "architecture, too).",
        ],
    ),
    "why-transfer": ShortAnswer(
        "Why do they transfer? Explain in three sentences the corner of Table 2 from which this "
        "lesson started, where FC10(1e-2)'s images fool FC10(1e-4) and not the other way round.",
        rubric=[
            "Direction: the changes of the two networks have a cosine far above what chance gives, "
            "and it is one number for both ways.",
            "Size: a change takes an image to the other network's target, roughly, if its "
            "component along that network's own change is as long as that one.",
            "So from far to near it works (long change, near boundary), and from near to far it "
            "does not.",
            "It does not claim more than was measured: these are networks for one task, trained "
            "on the same images.",
        ],
    ),
}
