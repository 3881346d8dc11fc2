"""What lesson 09 needs: the packages of the extra ``photographs``, and its record."""

from .. import record, storage
from . import packaged
from .networks import LITE
from .pictures import PHOTOGRAPHS

NAME = "efficientnet-lite0"
RECORD = storage.ASSETS / "records" / "photographs.json"


def missing(name: str = NAME) -> str | None:
    """None, or a sentence: what is not here for photographs, and the command that installs it."""
    folders = {LITE[name].package: LITE[name].module}
    folders |= {one.package: one.folder.partition("/")[0] for one in PHOTOGRAPHS.values()}
    lacking = [package for package, top in folders.items() if packaged.folder(top) is None]
    if not lacking:
        return None
    return (
        f"This lesson's network and photographs come with packages of which some are not "
        f"installed here: `python -m pip install {' '.join(lacking)}`."
    )


def ready(name: str = NAME) -> str:
    """A sentence: what is here for photographs, or what is not and the command that installs it."""
    return missing(name) or f"The network {name} and {len(PHOTOGRAPHS)} photographs are here."


def read_record() -> dict:
    """The course's record of photographs: what `python benchmarks/photographs.py` measures.

    Raises FileNotFoundError, saying what makes one, if there is none; DamagedRecord if it cannot be
    read.
    """
    found = record.stored(RECORD)
    if not found:
        raise FileNotFoundError(
            f"There is no record {RECORD}: make it with `python benchmarks/photographs.py`."
        )
    return found
