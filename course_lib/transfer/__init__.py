"""Who is fooled by whose adversarial examples (section 4.2 of the paper, Tables 2, 3 and 4).

``sets``        :func:`adversarial_set`, the examples made for one network, kept once made
``table``       a :class:`TransferTable`: all of them shown to all networks, with the controls
``shares``      how a table is printed
``making``      :func:`transfer_table`, which makes one, :func:`curve`, the paper's beside it
``intervals``   how sure a share is, over images and over networks
``gradients``   why: the cosine of input gradients, and who is fooled predicted from it
``statements``  what the paper says in words, and the rules that decide whether it holds here
"""

from .gradients import Prediction, cosines, gradient_cosines, input_gradients, who_is_fooled
from .intervals import Cell, Estimate, hierarchical_bootstrap, wilson
from .making import against_paper, along, curve, transfer_table
from .sets import AdversarialSet, adversarial_set, scaled_noise
from .shares import Shares
from .statements import STATEMENTS, own_examples, verdicts
from .table import Row, TransferTable, paired

__all__ = [
    "STATEMENTS",
    "AdversarialSet",
    "Cell",
    "Estimate",
    "Prediction",
    "Row",
    "Shares",
    "TransferTable",
    "adversarial_set",
    "against_paper",
    "along",
    "cosines",
    "curve",
    "gradient_cosines",
    "hierarchical_bootstrap",
    "input_gradients",
    "own_examples",
    "paired",
    "scaled_noise",
    "transfer_table",
    "verdicts",
    "who_is_fooled",
    "wilson",
]
