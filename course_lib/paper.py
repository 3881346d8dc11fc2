"""Every number that the paper prints, as data, with the place where it stands.

Szegedy, Zaremba, Sutskever, Bruna, Erhan, Goodfellow, Fergus: *Intriguing properties of neural
networks*, arXiv 1312.6199 (2013). Error rates are shares in [0, 1]; a distortion is the root mean
square change of a pixel, sqrt(Σ (x'_i - x_i)² / n), averaged over images, pixels in [0, 1].
"""

import dataclasses

CITATION = "Szegedy et al., Intriguing properties of neural networks, arXiv 1312.6199 (2013)"


@dataclasses.dataclass(frozen=True)
class Row:
    """A network's row in Table 1 or 3.

    errors: error rate by the images it is measured on: "train" and "test" (Table 1), "P1", "P2"
    and "test" (Table 3); distortion: the average minimum distortion that leaves 0 % accuracy.
    """

    errors: dict[str, float]
    distortion: float

    @property
    def test(self) -> float:
        """The error rate on the test set."""
        return self.errors["test"]


def _table1(train: float, test: float, distortion: float) -> Row:
    return Row({"train": train, "test": test}, distortion)


def _table3(p1: float, p2: float, test: float, distortion: float) -> Row:
    return Row({"P1": p1, "P2": p2, "test": test}, distortion)


# Table 1, section 4.2: the distortion is that of training images
TABLE1 = {
    "FC10(1e-4)": _table1(0.067, 0.074, 0.062),
    "FC10(1e-2)": _table1(0.10, 0.094, 0.1),
    "FC10(1)": _table1(0.212, 0.20, 0.14),
    "FC100-100-10": _table1(0.0, 0.0164, 0.058),
    "FC200-200-10": _table1(0.0, 0.0154, 0.065),
    "AE400-10": _table1(0.0057, 0.019, 0.086),
}

# Table 3, section 4.2: disjoint training sets; the distortion is that of test images
TABLE3 = {
    "FC100-100-10@P1": _table3(0.0, 0.024, 0.02, 0.062),
    "FC123-456-10@P1": _table3(0.0, 0.025, 0.021, 0.059),
    "FC100-100-10@P2": _table3(0.023, 0.0, 0.021, 0.058),
}

# The λ of the quadratic weight decay λ · Σ w² / k, layer by layer (Tables 1 and 3)
DECAY = {
    "FC10(1e-4)": 1e-4,
    "FC10(1e-2)": 1e-2,
    "FC10(1)": 1.0,
    "FC100-100-10": 1e-5,
    "FC200-200-10": 1e-5,
    "AE400-10": 1e-6,
    "FC100-100-10@P1": 1e-5,
    "FC123-456-10@P1": 1e-6,
    "FC100-100-10@P2": 1e-5,
}

# Table 2, section 4.2: error of the column's network on training images distorted for the row's
TABLE2_COLUMNS = tuple(TABLE1)
TABLE2 = {
    "FC10(1e-4)": (1.0, 0.117, 0.227, 0.02, 0.039, 0.027),
    "FC10(1e-2)": (0.871, 1.0, 0.352, 0.359, 0.273, 0.098),
    "FC10(1)": (0.719, 0.762, 1.0, 0.481, 0.47, 0.344),
    "FC100-100-10": (0.289, 0.137, 0.211, 1.0, 0.066, 0.02),
    "FC200-200-10": (0.382, 0.14, 0.238, 0.203, 1.0, 0.027),
    "AE400-10": (0.234, 0.16, 0.248, 0.094, 0.066, 1.0),
    "Gaussian noise, stddev 0.1": (0.05, 0.101, 0.183, 0.0, 0.0, 0.008),
    "Gaussian noise, stddev 0.3": (0.156, 0.113, 0.227, 0.05, 0.043, 0.031),
}

# Table 4, section 4.2: the same for test images and networks trained on disjoint halves
TABLE4_COLUMNS = tuple(TABLE3)
TABLE4 = {
    "FC100-100-10@P1": (1.0, 0.262, 0.059),
    "FC123-456-10@P1": (0.0625, 1.0, 0.051),
    "FC100-100-10@P2": (0.082, 0.082, 1.0),
    "Gaussian noise, stddev 0.06": (0.022, 0.026, 0.024),
    "FC100-100-10@P1, amplified to 0.1": (1.0, 0.98, 0.43),
    "FC123-456-10@P1, amplified to 0.1": (0.96, 1.0, 0.22),
    "FC100-100-10@P2, amplified to 0.1": (0.27, 0.5, 1.0),
    "Gaussian noise, stddev 0.1": (0.026, 0.028, 0.027),
}

# Table 5, section 4.3: (size, stride, upper bound) of AlexNet's rectified layers
TABLE5 = {
    "Conv. 1": ("3 x 11 x 11 x 96", 4, 2.75),
    "Conv. 2": ("96 x 5 x 5 x 256", 1, 10.0),
    "Conv. 3": ("256 x 3 x 3 x 384", 1, 7.0),
    "Conv. 4": ("384 x 3 x 3 x 384", 1, 7.5),
    "Conv. 5": ("384 x 3 x 3 x 256", 1, 11.0),
    "FC. 1": ("9216 x 4096", None, 3.12),
    "FC. 2": ("4096 x 4096", None, 4.0),
    "FC. 3": ("4096 x 1000", None, 4.0),
}

# How many images Tables 2 and 4 rest on is not printed; their entries are multiples of 1/256
SAMPLE = 256

# Figure 5: the average distortion over 64 images turned into "ostrich", AlexNet
OSTRICH_DISTORTION = 0.006508
# Figure 7: distortions of the images shown, and the accuracy under Gaussian noise of stddev 1
FIGURE7 = {"FC10(1e-4)": 0.06, "FC200-200-10": 0.063}
FIGURE7_NOISE_ACCURACY = 0.51
# Section 4.2: test errors of a 100-100-10 network, by what it was trained against
ADVERSARIAL_TRAINING = {"adversarial pools": 0.012, "weight decay": 0.016, "dropout": 0.013}


@dataclasses.dataclass(frozen=True)
class Claim:
    """A statement of the text that is not a table: in our words, and the section it stands in.

    key: what the ledger's rows that belong to it name (:mod:`course_lib.reproduce.claims`).
    """

    key: str
    text: str
    section: str
    lesson: str


CLAIMS = (
    Claim(
        "units",
        "A single unit carries no more meaning than a random direction of its layer: the meaning "
        "is in the space.",
        "3",
        "02",
    ),
    Claim(
        "existence",
        "Every network has, for every image tried, a misclassified image that looks the same.",
        "4.1",
        "03, 04",
    ),
    Claim(
        "transfer",
        "Such images also fool networks of another architecture, of other settings, and, less so, "
        "networks trained on other images.",
        "4.2",
        "05",
    ),
    Claim("noise", "Random noise of the same size or larger does far less.", "4.2", "04, 05"),
    Claim(
        "bounds",
        "The layers can stretch small changes; bounds on how much can be computed, and small ones "
        "would exclude adversarial images.",
        "4.3",
        "06, 07",
    ),
    Claim(
        "training",
        "Training on adversarial images of each layer improves the test error.",
        "4.2",
        "08",
    ),
)
