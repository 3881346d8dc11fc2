"""The predictions, quizzes and short answers of lesson 01."""

from course_lib.exercises import Option, Prediction, Quiz, ShortAnswer

PREDICTIONS = {
    "fc10-error": Prediction(
        "Which test error will the softmax on the pixels have, with a decay of λ = 1e-2?",
        unit="%",
        digits=2,
    ),
    "discordant-images": Prediction(
        "On how many of the 10 000 test images is exactly one of FC100-100-10 and FC200-200-10 "
        "wrong?",
        unit="images",
        digits=3,
        low=0,
        high=10_000,
    ),
}

QUIZZES = {
    "softmax-shift": Quiz(
        "A network's logits for an image all grow by 5. What happens to its softmax?",
        [
            Option(
                "Nothing",
                True,
                "The factor e⁵ cancels. So a softmax over 10 classes has one direction of "
                "logits that it does not see, and subtracting the maximum is free.",
            ),
            Option(
                "The probabilities grow by a factor of e⁵",
                False,
                "The factor stands in the numerator and in every term of the sum below it: it "
                "cancels, and the probabilities still add up to 1.",
            ),
            Option(
                "It becomes more certain",
                False,
                "That is what multiplying all logits by a factor above 1 does. Adding changes no "
                "difference between two logits, and only differences matter.",
            ),
        ],
    ),
    "decay-k": Quiz(
        "FC10(1) has λ = 1 in the paper's convention, λ · Σ w² / k. Which λ gives the same network "
        "with the term λ/2 · Σ w²?",
        [
            Option(
                "0.05",
                False,
                "That is 1/10 halved. Set the two factors equal: 1/10 = λ/2, and solve for λ.",
            ),
            Option(
                "2/784",
                False,
                "784 is the number of inputs: k counts the layer's units, which are 10 here.",
            ),
            Option(
                "0.2",
                True,
                "k is 10, the number of units: 1/10 = 0.2/2. So the same number λ means five "
                "times less decay in the paper's convention, for this network.",
            ),
            Option(
                "5",
                False,
                "The other way round: 1/10 is smaller than 1/2, so the half needs a smaller λ.",
            ),
        ],
    ),
    "intervals-overlap": Quiz(
        "Two networks' test errors, on the same images, have 95 % intervals that overlap. What "
        "follows for the difference of the two?",
        [
            Option(
                "That they do not differ",
                False,
                "Absence of evidence at best, and not even that: the interval of the difference "
                "may lie well away from 0 while the two overlap.",
            ),
            Option(
                "Nothing yet: look at the images on which exactly one is wrong",
                True,
                "The two errors are correlated, since hard images are hard for both. Their "
                "difference has its own interval, and on the same images it is mostly shorter.",
            ),
            Option(
                "That they differ by less than the intervals' length",
                False,
                "An interval says where each error may lie; the difference depends on how the "
                "two errors go together.",
            ),
        ],
    ),
}

ANSWERS = {
    "filters-reading": ShortAnswer(
        "What do the filters of each row look like? What may you conclude from the first two rows, "
        "and why not the same from the second and the third?",
        rubric=[
            "It names what is seen: without the term, blotches of both signs all over the image; "
            "with it, many filters that follow a curve or a whole digit; in AE400-10, short "
            "strokes and spots, with most of the image left alone.",
            "It says that the first two rows differ in the term alone (the same images, first "
            "weights and epochs), so the difference in looks is the term's doing, for this seed.",
            "It says that the third row differs in more: 400 units instead of 100, 60 000 images "
            "instead of 3 000, and the settings of its training.",
            "It keeps apart what filters look like and what they are good for: no error rate is "
            "shown here, and ten filters of each are not all of them.",
        ],
    ),
    "autoencoder-control": ShortAnswer(
        "AE400-10 never sees a label in its first layer. Does the sparse training help its test "
        "error at all? Design the control: which networks do you compare, what is the same in all, "
        "what is measured, on what, and which result would change your mind?",
        rubric=[
            "The main control: the same 400 sigmoid units with weights that were not trained "
            "(random, frozen), the same softmax fit on top, with its decay chosen in the same way.",
            "A second one separates 'sparse' from 'autoencoder': the same training with the "
            "strength of the sparsity term at 0.",
            "Scale is part of it: random weights need the same spread of pre-activations, or the "
            "sigmoids saturate, and the comparison is with a bad start, not with no training.",
            "Settings are chosen on validation images only, the test set is looked at once; "
            "several seeds (the networks are the replicates), and a paired interval for two "
            "networks on the same images.",
            "It says beforehand which result would count: for example 'if the random layer is "
            "within 0.3 percentage points, the sparse training is not what gives the 1.9 %'.",
        ],
    ),
}
