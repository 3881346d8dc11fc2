"""The predictions, quizzes and short answers of lesson 07."""

from course_lib.exercises import Option, Prediction, Quiz, ShortAnswer

PREDICTIONS = {
    "jacobian-below-product": Prediction(
        "FC100-100-10 has the product bound 46 on how much it stretches. How much does it stretch "
        "at the worst of 300 test images, to first order?",
        digits=2,
        low=0,
    ),
    "certified-over-attack": Prediction(
        "The certified radius divided by the distance of the attack, the median over images of "
        "FC100-100-10 (1 would be a perfect certificate):",
        digits=2,
        low=0,
    ),
    "radii-after-inflating": Prediction(
        "After your function inflated has made the product a million times as large: by what "
        "factor do the distances change that the attack finds?",
        digits=3,
        low=0,
    ),
    "penalised-accuracy": Prediction(
        "Trained without a penalty, few images are certified at the L2 radius 0.3. Trained with "
        "it: which share of the test images is?",
        unit="%",
        digits=2,
    ),
}

QUIZZES = {
    "logits-times-ten": Quiz(
        "All logits of a network are multiplied by 10. What happens?",
        [
            Option(
                "L and the margins grow tenfold, certificates and attacks stay as they are",
                True,
                "The certificate is a quotient of two numbers that both grow tenfold. The classes "
                "do not change anywhere, so the distances to the nearest mistake cannot change.",
            ),
            Option(
                "L grows tenfold, so the network becomes less robust",
                False,
                "Which class has the largest logit does not change at a single image. L alone says "
                "nothing about robustness.",
            ),
            Option(
                "The margins grow tenfold, so the network becomes more robust",
                False,
                "The margin grows, and so does the speed at which a change of the image uses it "
                "up.",
            ),
        ],
    ),
    "jacobian-found": Quiz(
        "The largest norm of a Jacobian that a search has found for FC100-100-10 is 23.5. What "
        "does that say about L, the smallest bound that is right everywhere?",
        [
            Option(
                "L is at most 23.5",
                False,
                "The search may have missed the place where the network stretches most. As an "
                "upper bound the number proves nothing.",
            ),
            Option(
                "L is 23.5, up to rounding",
                False,
                "It would be if the search were known to find the maximum. It is not: in general "
                "that is NP-hard, for two layers with rectified units already.",
            ),
            Option(
                "L is at least 23.5",
                True,
                "At that image there is a direction that is stretched this much, so no smaller "
                "bound is right. Upper bounds come from the weights, lower bounds from examples.",
            ),
        ],
    ),
    "between-the-bounds": Quiz(
        "An image has the certified radius 0.2, and the attack has found a mistake at distance "
        "1.1. Is there a mistake at a distance below 0.6?",
        [
            Option(
                "No: the attack would have found it",
                False,
                "An attack that does not find anything proves nothing: it may have ended at a "
                "mistake that is not the nearest.",
            ),
            Option(
                "These two numbers do not tell",
                True,
                "None below 0.2, one at 1.1, and in between nothing is known. A better certificate "
                "or a better attack would narrow it down.",
            ),
            Option(
                "Yes: the certificate reaches no further than 0.2",
                False,
                "A certificate that ends at 0.2 does not say that a mistake begins there. The "
                "bound may be larger than what the network does.",
            ),
        ],
    ),
    "huge-product": Quiz(
        "Suppose the product bound of a deep network is 10^41, and no more is known of it. What "
        "follows for its adversarial examples?",
        [
            Option(
                "Nothing",
                True,
                "From a small bound over the margin it follows that there are none nearby. From a "
                "large one nothing follows. Whether it has any, an attack may show.",
            ),
            Option(
                "It must have some, very near",
                False,
                "The inflated network has a huge product, and none nearer than before. A large "
                "upper bound is a missing proof, not a proof of the contrary.",
            ),
            Option(
                "It is not Lipschitz",
                False,
                "It is: 10^41 is a finite constant. Just not one that helps.",
            ),
        ],
    ),
}

ANSWERS = {
    "discontinuous-and-lipschitz": ShortAnswer(
        'The abstract says that these networks "learn input-output mappings that are fairly '
        'discontinuous". Section 4.3 proves that they are Lipschitz, hence continuous. How can '
        "both be meant? Say what each word is about, and put a number to it for one network of "
        "this lesson.",
        rubric=[
            "Lipschitz is about the logits (or the softmax): a change r moves them by at most "
            "L · ‖r‖. That is proved, for every image.",
            "The class is the argmax: it takes ten values, so it is constant or jumps. It jumps on "
            "every boundary, in any classifier, also a perfect one.",
            'So of the logits "discontinuous" cannot be meant literally, or it is too strong. '
            "What it can mean is that the jump lies very near to most images, much nearer than the "
            "nearest image of another class.",
            "A number: for example the certified radius, the attack's distance, and for comparison "
            "how far images of two classes lie apart.",
            "What matters is L over the margin and not L alone: a large finite L allows such a "
            "jump nearby and does not force it.",
        ],
    ),
}
