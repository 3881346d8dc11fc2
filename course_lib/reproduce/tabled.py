"""The claims of section 4.2: Tables 1 to 4, transfer, and training; and Table 5 beside them."""

import math

from .. import paper
from ..transfer.statements import STATEMENTS
from . import findings as find
from . import stretching, trained
from . import verdicts as rules
from .claim import Claim, percent

NORMS = [bound for _, _, bound in paper.TABLE5.values()]


def _stated(key: str, belongs: str, finder=None, more: str = "") -> Claim:
    """The row of a statement about transfer, whose words and measure stand with its rule."""
    statement = STATEMENTS[key]
    return Claim(
        f"transfer, {key}",
        belongs,
        "4.2",
        statement.text,
        "05",
        statement.rule + " Images that every network has right when clean.",
        rules.DIRECTION_RULE + more,
        {"table2": "Table 2", "table4": "Table 4"}[statement.made_from[0]]
        if len(statement.made_from) == 1
        else "Tables 2 and 4",
        ("transfer",),
        finder or find.stated(key),
    )


TABLES = (
    Claim(
        "table 1, errors",
        "Table 1",
        "4.2",
        "Training and test errors of six networks.",
        "01",
        "The error on all 60 000 training and 10 000 test images, over networks of each name.",
        rules.NUMBERS_RULE,
        "Table 1",
        ("networks",),
        find.table_errors(paper.TABLE1, ("train", "test")),
    ),
    Claim(
        "table 1, distortions",
        "Table 1",
        "4.2",
        "The average smallest change that leaves each network no right answer.",
        "03, 04",
        "The mean distortion of seeded random training images that the network has right, to a "
        "recorded random class.",
        rules.NUMBERS_RULE,
        "Table 1",
        ("attacks",),
        find.table_distortions(paper.TABLE1),
    ),
    Claim(
        "table 1, errors by decay",
        "Table 1",
        "4.2",
        "More weight decay costs a linear network accuracy.",
        "01",
        "The test error of FC10 at each λ minus that at the λ before.",
        rules.DIRECTION_RULE,
        ", ".join(percent(paper.TABLE1[name].test) for name in find.CONVEX),
        ("networks",),
        find.error_rise,
    ),
    Claim(
        "table 1, distances by decay",
        "Table 1",
        "4.2",
        "More weight decay puts a linear network's mistakes farther away.",
        "03",
        "The mean distortion of FC10 at each λ minus that at the λ before.",
        rules.DIRECTION_RULE,
        ", ".join(f"{paper.TABLE1[name].distortion:g}" for name in find.CONVEX),
        ("attacks",),
        find.distortion_rise,
    ),
    Claim(
        "table 2, shares",
        "Table 2",
        "4.2",
        "How often each network errs on training images distorted for another, or with noise.",
        "05",
        "The share of such images that the column's network gets wrong, as the paper counts.",
        rules.NUMBERS_RULE,
        "Table 2",
        ("transfer",),
        find.table_cells("table2"),
    ),
    Claim(
        "table 3, errors",
        "Table 3",
        "4.2",
        "Errors of three networks that were trained on disjoint halves.",
        "05",
        "The error on each half and on the test set.",
        rules.NUMBERS_RULE,
        "Table 3",
        ("networks",),
        find.table_errors(paper.TABLE3, ("P1", "P2", "test")),
    ),
    Claim(
        "table 3, distortions",
        "Table 3",
        "4.2",
        "The average smallest change for them, on test images.",
        "04, 05",
        "The mean distortion of seeded random test images that the network has right, to a "
        "recorded random class.",
        rules.NUMBERS_RULE,
        "Table 3",
        ("attacks",),
        find.table_distortions(paper.TABLE3),
    ),
    Claim(
        "table 3, half the images",
        "Table 3",
        "4.2",
        "A network that sees half of the images errs more.",
        "00, 01",
        "The test error of FC100-100-10 trained on a half minus that trained on all.",
        rules.DIRECTION_RULE,
        f"{percent(paper.TABLE3['FC100-100-10@P1'].test)} and "
        f"{percent(paper.TABLE3['FC100-100-10@P2'].test)}, against "
        f"{percent(paper.TABLE1['FC100-100-10'].test)}",
        ("networks",),
        find.halves_cost,
    ),
    Claim(
        "table 4, shares",
        "Table 4",
        "4.2",
        "How often networks of the halves err on test images distorted for another, amplified, or "
        "with noise.",
        "05",
        "The share of such images that the column's network gets wrong, as the paper counts.",
        rules.NUMBERS_RULE,
        "Table 4",
        ("transfer",),
        find.table_cells("table4"),
    ),
    Claim(
        "table 5",
        "Table 5",
        "4.3",
        "Upper bounds of the layers of AlexNet.",
        "06",
        "A proven upper bound of a layer of each size, and a lower one beside it.",
        "Only for trained weights of layers of the same sizes: reproduced, if each of the eight "
        "printed bounds lies, within rounding, between a lower and an upper one proven here; else "
        "not reproduced.",
        f"{min(NORMS):g} to {max(NORMS):g} a layer, their product {math.prod(NORMS):.0f}",
        ("table5", "photographs"),
        stretching.table5,
    ),
)

FAR_MORE = (
    " In direction only, if that fails but the error on the examples is above that on the noise in "
    "every pair, by its 95 % interval."
)
TRANSFER = (
    _stated("other hyperparameters", "transfer"),
    _stated("other initial weights", "transfer"),
    _stated("other training images", "transfer"),
    _stated("weaker across training images", "transfer"),
    _stated("amplified", "transfer"),
    _stated("autoencoder least", "transfer"),
    _stated("autoencoder not immune", "transfer"),
    _stated("equal noise", "noise", find.equal_noise, FAR_MORE),
    _stated("larger noise", "noise"),
    _stated("amplified, noise", "noise"),
    Claim(
        "low probability",
        "noise",
        "1, 5",
        "Adversarial images are of low probability: chance hardly ever meets one (a speculation).",
        "05",
        "The share of images that Gaussian noise, as large as the adversarial change of the same "
        "image, turns into a mistake of the network that the change was made for; the largest of "
        "all networks.",
        f"Reproduced, if the 95 % interval of the largest share lies below {100 * find.RARE:g} %, "
        "not reproduced, if above; else, or with a single network of a name, undecided. It is the "
        "chance in one cloud of noise, not under the distribution of images, which nobody has.",
        "no number",
        ("transfer",),
        find.low_probability,
    ),
    Claim(
        "dense",
        "existence",
        "1, 5",
        'And yet they are dense, "like the rational numbers": one as near as one likes to every '
        "image (a speculation).",
        "07",
        "The smallest radius within which bounds prove that there is no mistake, over networks and "
        "images that are read correctly.",
        "Not reproduced, if that radius is above 0; else undecided.",
        "no number",
        ("certificates", "attacks"),
        stretching.dense,
    ),
)

TRAINING = (
    Claim(
        "training, pools",
        "training",
        "4.2",
        "Training on pools of adversarial images that are replaced all the time brings the test "
        "error of a 100-100-10 network below 1.2 %.",
        "08",
        "The test error over networks, settings chosen on validation images.",
        "Reproduced, if the 95 % interval over networks lies below 1.2 %; not reproduced, if it "
        "lies above; else, or with a single network, undecided.",
        f"below {percent(paper.ADVERSARIAL_TRAINING['adversarial pools'])}",
        ("pools",),
        trained.pools_help,
    ),
    Claim(
        "training, better",
        "training",
        "4.2",
        "So trained, the network errs less than with weight decay and less than with dropout.",
        "08",
        "The test errors with weight decay and with dropout, each minus that with the pools; the "
        "number is the smaller difference.",
        rules.DIRECTION_RULE,
        ", ".join(f"{way} {percent(e)}" for way, e in paper.ADVERSARIAL_TRAINING.items()),
        ("pools",),
        trained.pool_by_pool(
            ("weight decay", "adversarial pools"), ("dropout", "adversarial pools")
        ),
    ),
    Claim(
        "training, decay",
        "training",
        "4.2",
        "Weight decay alone: test error of the same network.",
        "08",
        "The test error over networks, settings chosen on validation images.",
        rules.NUMBER_RULE,
        percent(paper.ADVERSARIAL_TRAINING["weight decay"]),
        ("pools",),
        trained.trained_with("weight decay"),
    ),
    Claim(
        "training, dropout",
        "training",
        "4.2",
        "Dropout: test error of the same network.",
        "08",
        "The test error over networks, settings chosen on validation images.",
        rules.NUMBER_RULE,
        f"about {percent(paper.ADVERSARIAL_TRAINING['dropout'])}",
        ("pools",),
        trained.trained_with("dropout"),
    ),
    Claim(
        "training, every layer",
        "training",
        "4.2",
        "The gain needs adversarial examples of every layer's output, not of the input alone.",
        "08",
        "The test error with the input's pool alone minus that with a pool for each layer.",
        rules.DIRECTION_RULE,
        "no number",
        ("pools",),
        trained.pool_by_pool(("input pool", "adversarial pools")),
    ),
    Claim(
        "training, input alone",
        "training",
        "4.2",
        "The input's pool alone gains nothing over weight decay.",
        "08",
        "The test error with weight decay minus that with the input's pool alone.",
        "Not reproduced, if the 95 % interval of the difference over networks lies above 0; "
        "reproduced, if it lies below 0; else undecided: a gain that is not seen may still be.",
        "no number",
        ("pools",),
        trained.no_gain("input pool", "weight decay"),
    ),
    Claim(
        "training, higher layers",
        "training",
        "4.2",
        "Those of the higher layers help most.",
        "08",
        "The test errors with the input's pool alone and with the lower hidden layer's alone, each "
        "minus that with the upper hidden layer's alone; the number is the smaller difference.",
        rules.DIRECTION_RULE,
        "no number",
        ("pools",),
        trained.pool_by_pool(("input pool", "upper pool"), ("lower pool", "upper pool")),
    ),
)
