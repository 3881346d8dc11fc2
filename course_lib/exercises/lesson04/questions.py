"""The predictions, quizzes and short answers of lesson 04."""

from course_lib.exercises import Option, Prediction, Quiz, ShortAnswer

PREDICTIONS = {
    "evaluations-for-one-c": Prediction(
        "784 variables, a network of two hidden layers: how many evaluations of the objective and "
        "its gradient until no entry of the projected gradient exceeds 1e-4?",
        unit="evaluations",
        digits=3,
        low=0,
    ),
    "held-pixels": Prediction(
        "At that minimum, which share of the 784 pixels is held at a bound by a gradient that "
        "pushes against it?",
        unit="%",
        digits=2,
    ),
    "table-ratio": Prediction(
        "The mean distortion for FC100-100-10 divided by that for FC10(1e-4): it is 0.94 in the "
        "paper. What is it here?",
        digits=3,
        low=0,
    ),
    "same-size-noise": Prediction(
        "Every image gets Gaussian noise of just the size of its own adversarial perturbation. "
        "Which share does FC200-200-10 get wrong, where the perturbations themselves fool it on "
        "100 %?",
        unit="%",
        digits=2,
    ),
}

QUIZZES = {
    "held-variable": Quiz(
        "A pixel is at 0, and the derivative of the objective with respect to it is +3. What does "
        "its entry of the projected gradient say?",
        [
            Option(
                "0: it is done, for now",
                True,
                "The step leads out of the box and is brought back to where it began. If the sign "
                "changes later, because other pixels have moved, it is free again.",
            ),
            Option(
                "3: it is far from being done",
                False,
                "Going down means making the pixel smaller, and it is at 0 already. A full step, "
                "projected, leaves it where it is.",
            ),
            Option(
                "-3: it has to go up",
                False,
                "Going up would raise the objective. A projected gradient is never longer than "
                "the gradient itself, and never has another sign.",
            ),
        ],
    ),
    "two-loop-memory": Quiz(
        "An image of 224 x 224 pixels in three colours has 150 528 variables. What do ten pairs "
        "need, and what would the inverse Hessian need, in double precision?",
        [
            Option(
                "2.4 MB and 1.2 MB",
                False,
                "The inverse Hessian has a row and a column for every variable: 150 528² numbers.",
            ),
            Option(
                "about the same: each pair holds the curvature of every pair of pixels",
                False,
                "A pair is two vectors: a step, and how the gradient changed along it. It knows "
                "the curvature along one line.",
            ),
            Option(
                "24 MB and 181 GB",
                True,
                "20 vectors of 150 528 numbers of 8 bytes, against 150 528² numbers. The two loops "
                "also take four inner products for each pair (s·y in both loops), 40 in all, where "
                "a product with the matrix takes 150 528.",
            ),
        ],
    ),
    "c-and-size": Quiz(
        "The objective is c·|r|² + loss. You solve it for c = 0.01 and for c = 1, and both "
        "solutions reach the target. Which r is smaller?",
        [
            Option(
                "that of c = 0.01",
                False,
                "A small c makes |r| cheap: the solution goes on past the boundary, as long as the "
                "loss still falls a little.",
            ),
            Option(
                "that of c = 1",
                True,
                "c is the price of |r|. As long as the target is reached the price can rise, and r "
                "becomes smaller.",
            ),
            Option(
                "they are equal: both reach the target",
                False,
                "Reaching the target is not asked for in the objective. It trades the loss, which "
                "keeps falling beyond the boundary, against |r|.",
            ),
        ],
    ),
    "noise-and-pixels": Quiz(
        "The image is blown up to 56 x 56 pixels, each pixel becoming four, and the network reads "
        "the mean of each four. The noise keeps its standard deviation per pixel. What happens to "
        "the error under noise?",
        [
            Option(
                "It grows: four times as many pixels carry noise",
                False,
                "The mean of four independent values has half their standard deviation.",
            ),
            Option(
                "It stays the same: the noise per pixel is the same",
                False,
                "The distortion of the nearest mistake stays the same, too, but the distance "
                "d = distortion · √pixels doubles, and the noise along the way to it does not.",
            ),
            Option(
                "It falls: Φ(-d/σ) with d twice as large",
                True,
                "So at equal rms, noise compares the worse the more pixels there are. On "
                "photographs one would expect a wider gap than on MNIST; it is not measured here.",
            ),
        ],
    ),
}

ANSWERS = {
    "table-reading": ShortAnswer(
        "Our column of Table 1 does not equal the paper's. Name two choices that the paper leaves "
        "open and that move the column, say how far each moves it according to the table of "
        "readings, and name one difference between two networks that stands whichever is chosen.",
        rubric=[
            "It names the rule for the targets as one choice, with its factor (the nearest class "
            "against a random one: about 0.6 on most networks, 0.44 on FC10(1e-4)).",
            "It names another: the loss (a few percent, more where the logits are small), which c "
            "(about a factor of two, on ten images), the norm (next to nothing), the training.",
            "It names a difference that holds in every row of the record, and has looked: FC10's "
            "distortion grows with λ; AE400-10 is the farthest of those with hidden layers; "
            "FC100-100-10 is farther than FC10(1e-4).",
            "It does not say that the paper's numbers are wrong, or that ours are.",
        ],
    ),
    "noise-control": ShortAnswer(
        "Somebody says: adversarial images are misclassified because networks cannot cope with "
        "anything they were not trained on. What do the figures on noise say to that?",
        rubric=[
            "Noise of the same size is just as absent from the training images, and nearly all of "
            "those images are still classified correctly.",
            "So it is not being new or being changed that matters, but the direction: nearly all "
            "directions are harmless, a few are not.",
            "It gives n, the size of the noise and the error (with the clean error beside it).",
            "It sees the limit: noise of stddev 1, about fifteen times larger, fools the network "
            "on a large part of the images.",
        ],
    ),
}
