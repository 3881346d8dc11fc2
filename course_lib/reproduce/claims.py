"""The ledger: every claim of the paper, what is measured of it, and the rule that decides.

The numbers of the paper are those of :mod:`course_lib.paper`; findings and rules are code, in
``findings``, ``stretching`` and ``verdicts``. A rule is told with each claim, in a sentence.
Section 4.2's claims are in ``tabled``.
"""

from .. import paper
from . import findings as find
from . import photographed, stretching
from . import verdicts as rules
from .claim import Claim, percent
from .evidence import Evidence
from .tabled import TABLES, TRAINING, TRANSFER
from .verdicts import Finding

SIZES = [row.distortion for row in paper.TABLE1.values()]
IN_ALL = "Reproduced, if it is so of every network measured; else not reproduced."

UNITS = (
    Claim(
        "units, labels",
        "units",
        "3",
        "A single unit of a network that was trained with labels means no more than a random "
        "direction of its layer (Figures 1 and 2).",
        "02",
        "The share of the most frequent class among the eight test images that excite a direction "
        "most: units minus random orthonormal bases, in hidden layers of networks trained so.",
        rules.EQUIVALENCE_RULE,
        "pictures alone",
        ("unit_semantics",),
        find.units_of(find.LABELLED),
    ),
    Claim(
        "units, autoencoder",
        "units",
        "3",
        "The same, of the units of a sparse autoencoder, trained without labels.",
        "02",
        "The same measure in the one layer of AE400-10.",
        rules.EQUIVALENCE_RULE,
        "pictures alone",
        ("unit_semantics",),
        find.units_of(("AE400-10",)),
    ),
    Claim(
        "units, directions",
        "units",
        "3",
        "The images that excite a random direction most have something in common (Figure 2).",
        "02",
        "The share of the most frequent class in rows of eight, minus that of eight images drawn "
        "blindly, in each layer of trained networks.",
        rules.DIRECTION_RULE,
        "pictures alone",
        ("unit_semantics",),
        find.random_directions,
    ),
    Claim(
        "units, photographs",
        "units",
        "3",
        "The same of AlexNet's units on photographs (Figures 3 and 4).",
        "09",
        "The same measure in the last two layers of EfficientNet-Lite networks, with crops of "
        "thirteen photographs; a crop's class is the photograph that it is of.",
        rules.EQUIVALENCE_RULE,
        "pictures alone",
        ("photographs",),
        photographed.single_units,
    ),
)

ATTACK = (
    Claim(
        "every image",
        "existence",
        "4.1",
        "From every image tried, for every network tried, a search finds an image that it gets "
        "wrong (how near that is, another row says).",
        "03, 04",
        "The share of images of which every search, over networks, ways to choose the wrong class, "
        "losses and norms, ends in a mistake; where some fail, at least so many.",
        rules.SEARCH_RULE,
        "100 %",
        ("attacks",),
        find.every_image,
    ),
    Claim(
        "imperceptibly near",
        "existence",
        "4.1",
        "It lies so near that the change cannot be seen.",
        "03, 04",
        "The size of the changes; the number is that of the network with the largest.",
        "Undecided: what can be seen is said by viewers, and none were asked, in the paper or "
        "here. Sizes are shown.",
        f"{min(SIZES):g} to {max(SIZES):g} in the mean",
        ("attacks", "pictures"),
        find.nearness,
    ),
    Claim(
        "penalty is exact",
        "existence",
        "4.1",
        "For a convex loss the penalty method finds the smallest change that reaches the class.",
        "03",
        "How much larger its changes are than the smallest ones, for the convex networks FC10.",
        "Not reproduced, if the changes are larger for one network or more (in the mean over "
        "images, by its 95 % interval where the exact minima are known); else undecided.",
        "exact",
        ("formulas", "attacks"),
        find.penalty,
    ),
    Claim(
        "figure 5",
        "existence",
        "4.1",
        "Photographs can be turned into an ostrich for AlexNet (Figure 5).",
        "09",
        "The same of EfficientNet-Lite0: of how many of thirteen photographs a search finds an "
        "image near by that it takes for an ostrich.",
        rules.SEARCH_RULE,
        "64 photographs",
        ("photographs",),
        photographed.ostriches,
    ),
    Claim(
        "figure 5, distances",
        "existence",
        "4.1",
        "How large the changes of Figure 5 are.",
        "09",
        "The mean distortion of thirteen photographs, for EfficientNet-Lite0.",
        photographed.OTHER_NETWORK,
        f"{paper.OSTRICH_DISTORTION:g}",
        ("photographs",),
        photographed.ostrich_sizes,
    ),
    Claim(
        "figure 6",
        "existence",
        "4.1",
        "A unit of QuocNet that detects cars can be switched off in the same way (Figure 6).",
        "09",
        "The same of the sparse autoencoder's most selective unit, on test images that it detects, "
        "and of three units of EfficientNet-Lite0, each on the crop that excites it most.",
        rules.SEARCH_RULE,
        "pictures alone",
        ("photographs",),
        photographed.detectors,
    ),
    Claim(
        "figure 7, noise",
        "noise",
        "4.1",
        "Of images under Gaussian noise of stddev 1, which a viewer hardly reads, half are still "
        "classified correctly (Figure 7).",
        "00, 04",
        "The accuracy of the figure's two networks on such images, noise not clipped.",
        rules.EVERY_RULE + rules.IMAGES_RULE,
        percent(paper.FIGURE7_NOISE_ACCURACY),
        ("pictures",),
        find.figure7_noise,
    ),
    Claim(
        "figure 7, distances",
        "existence",
        "4.1",
        "How large the changes are that Figure 7 shows for FC10(1e-4) and FC200-200-10.",
        "04",
        "The mean distortion of seeded random training images, as for Table 1.",
        rules.NUMBERS_RULE + rules.IMAGES_RULE,
        ", ".join(f"{size:g}" for size in paper.FIGURE7.values()),
        ("attacks",),
        find.figure7_sizes,
    ),
)

BOUNDS = (
    Claim(
        "bounds, product",
        "bounds",
        "4.3",
        "A network stretches no change by more than the product of its layers' norms.",
        "06, 07",
        "The product of the layers' bounds over what a search found the network to stretch; the "
        "smallest of all networks.",
        IN_ALL,
        "a proof",
        ("certificates",),
        stretching.product,
    ),
    Claim(
        "bounds, convolution",
        "bounds",
        "4.3",
        "The norm of a convolution with a stride is the supremum over frequencies of the norms of "
        "small matrices.",
        "06",
        "The formula, with the prefactor that is printed and the plain Fourier transform, over the "
        "largest singular value of the explicit matrix.",
        "Reproduced, if the two are equal to one in a million; in direction only, if they are so "
        "up to the prefactor; else not reproduced.",
        "a formula",
        ("formulas",),
        stretching.convolution,
    ),
    Claim(
        "bounds, pooling",
        "bounds",
        "4.3",
        "Max pooling stretches nothing.",
        "06",
        "Proven bounds of the norm of pools without overlap and with AlexNet's.",
        "Reproduced, if all are at most 1; not reproduced, if one is surely above; else undecided.",
        "at most 1",
        ("formulas",),
        stretching.pooling,
    ),
    Claim(
        "bounds, contrast",
        "bounds",
        "4.3",
        "Contrast normalisation stretches by at most ε^(-γ), for γ from 0.5 to 1.",
        "06",
        "The norm of its derivative over ε^(-γ), on a grid of ε, γ and points.",
        "Reproduced, if it is nowhere above 1; else not reproduced.",
        "at most 1",
        ("formulas",),
        stretching.contrast,
    ),
    Claim(
        "bounds, first layer",
        "bounds",
        "4.3",
        "A first convolutional layer can already stretch small changes.",
        "06",
        "A proven lower bound of the first layer's norm in our convolutional network on MNIST; not "
        "in AlexNet.",
        "Reproduced, if it is above 1 in every network; not reproduced, if an upper bound is below "
        "1 in every one; else undecided.",
        f"{paper.TABLE5['Conv. 1'][2]:g} at most, for AlexNet",
        ("certificates",),
        stretching.first_layer,
    ),
    Claim(
        "bounds, small",
        "bounds",
        "4.3",
        "Small bounds exclude adversarial images.",
        "07",
        "The radius that a bound promises to be free of mistakes, over the distance of the attack; "
        "the largest over networks, images and kinds of bound.",
        "Reproduced, if it is nowhere above 1 by more than a thousandth; not reproduced, if it is; "
        "undecided, if a count is missing. A proof decides; the records check it.",
        "a proof",
        ("certificates", "robust"),
        stretching.small_bounds,
    ),
    Claim(
        "bounds, large",
        "bounds",
        "4.3",
        "Large bounds do not imply adversarial images.",
        "07",
        "The median radius that better bounds prove to be free of mistakes, over that which the "
        "product promises; the largest over networks.",
        "Undecided: the better bounds are above the product by construction, and networks that "
        "have mistakes near every image cannot show that a large bound does without.",
        "no number",
        ("certificates",),
        stretching.large_bounds,
    ),
    Claim(
        "bounds, penalty",
        "bounds",
        "4.3",
        "A penalty on the layers' bounds may improve generalisation (a suggestion, not tried).",
        "07, 08",
        "The test error without a penalty minus that with one, paired by seed.",
        rules.DIRECTION_RULE
        + " Undecided, too, while the settings were not chosen for the test error.",
        "no number",
        ("pools", "robust"),
        stretching.penalised,
    ),
    Claim(
        "discontinuous",
        "bounds",
        "abstract",
        "What a network maps images to is fairly discontinuous.",
        "07",
        "A proven constant that no change is stretched by more than (L2, pixels to logits); the "
        "largest of all networks.",
        "Undecided: with such a constant the output is continuous, and whether the word means the "
        "output or the class is a reading.",
        "a word",
        ("certificates",),
        stretching.discontinuous,
    ),
)

LEDGER: tuple[Claim, ...] = (*UNITS, *ATTACK, *TABLES, *TRANSFER, *TRAINING, *BOUNDS)
BY_KEY = {claim.key: claim for claim in LEDGER}


def found(claim: Claim, evidence: Evidence) -> Finding:
    """What the records say of a claim; a part of them that cannot be read is told, and counts as
    not measured."""
    try:
        return claim.find(evidence)
    except (KeyError, TypeError, AttributeError, ValueError, IndexError, ZeroDivisionError) as e:
        return rules.not_measured(evidence.problem(" or ".join(claim.records), e))
