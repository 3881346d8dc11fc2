"""Discussion and exam questions to lesson 05."""

from . import Question

DISCUSSION = [
    Question(
        "A cell of a transfer table says 20 %. What is in these 20 %, and what would you put "
        "beside the cell?",
        "Images that the network gets wrong without any change, images that any change of that "
        "size would make it misread, and transfer. Take the images that both networks read "
        "correctly, say how many there are, and put noise of the same size beside it, with "
        "intervals.",
    ),
    Question(
        "Images of FC10(1e-2) fool FC10(1e-4) much more than the other way round, though the "
        "angle between the two networks' changes is the same both ways. How can that be?",
        "Transfer is a direction and a length. The lengths differ: FC10(1e-2)'s changes are "
        "nearly twice as long. The component of one along the other's change is as long as that "
        "one, or longer; the short changes of FC10(1e-4) do not reach far enough.",
    ),
]
EXAM = [
    Question(
        "A bootstrap over 300 images gives an interval for how much more network B errs than "
        "network C on the images made for A. Of what does it speak, and of what not?",
        "Of these three networks on images of that kind. It does not say what other networks of "
        "the same names would do, trained from other first weights: for that the networks must be "
        "drawn again, and their number counts.",
    ),
    Question(
        "You compare how well nearest-class and random-target examples transfer, and the first "
        "transfer less. Why is that not yet a statement about their direction? Which comparison "
        "is?",
        "The nearest-class changes are shorter, and shorter changes transfer less. Bring both to "
        "the same size and compare again: in the lesson the nearest-class ones then transfer "
        "better.",
    ),
]
# for each objective of the lesson, in its order: the exercises that lead to it
SERVES = [
    ("transfer-cell", "strict-row"),
    ("two-halves",),
    ("amplify-in-box", "equal-size"),
    ("paired-bootstrap", "bootstrap-means"),
    ("gradient-cosine", "reaches"),
]
