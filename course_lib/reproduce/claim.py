"""A row of the ledger of claims."""

import dataclasses
from collections.abc import Callable

from .evidence import Evidence
from .verdicts import Finding


@dataclasses.dataclass(frozen=True)
class Claim:
    """A row of the ledger.

    key: unique; belongs: the key of one of :data:`paper.CLAIMS`, or the table ("Table 1"); section:
    of the paper; text: the claim in our words; lesson: where the course examines it; measure: what
    is measured; rule: how that decides; printed: what the paper prints, as text; records: those
    that are read; find: from the records to the finding.
    """

    key: str
    belongs: str
    section: str
    text: str
    lesson: str
    measure: str
    rule: str
    printed: str
    records: tuple[str, ...]
    find: Callable[[Evidence], Finding]


def percent(share: float) -> str:
    """As a text: per cent, as many digits as the paper prints."""
    return f"{100 * share:.6g} %"
