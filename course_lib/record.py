"""Records: figures with the machine that made them, written a part at a time; and that of the
networks' errors, which ``course train --record`` remakes (:mod:`course_lib.reproduce.networks`).
"""

import argparse
import json
import os
import platform
import statistics
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import scipy.stats
import torch

from . import device as devices
from . import storage, zoo

PATH = storage.ASSETS / "records" / "networks.json"
SEEDS = (0, 1, 2, 3, 4)


def machine() -> dict:
    """What computed a record: the processor's kind, how many cores, the versions."""
    return {
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "device": str(devices.pick()),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def interval(values: list[float], level: float = 0.95) -> dict[str, float]:
    """Mean of ``values`` and the half-width of Student's t interval for it at ``level``.

    The values are of networks from different seeds: they are the replicates, images are not.
    Raises ValueError for fewer than two values.
    """
    if len(values) < 2:
        raise ValueError("An interval over networks needs at least two of them.")
    n = len(values)
    t = scipy.stats.t.ppf((1 + level) / 2, n - 1)
    return {
        "mean": statistics.fmean(values),
        "half_width": float(t * statistics.stdev(values) / n**0.5),
    }


# --- a record's file -----------------------------------------------------------------------------


class DamagedRecord(RuntimeError):
    """A record that cannot be read; the message is a sentence that says what to do."""


def stored(path: Path) -> dict:
    """The record in ``path``, or {} if there is none. Raises DamagedRecord if it is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError(f"it holds a {type(found).__name__} where a record has sections")
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise DamagedRecord(
            f"The record {path} is damaged ({error}): restore it (`git checkout -- FILE`), or move "
            "it away to begin a new one. It was not changed."
        ) from None
    return found


def merged(
    path: Path,
    section: str | None,
    entries: dict,
    head: dict | None = None,
    order: Iterable[str] | None = None,
) -> dict:
    """Put ``entries`` into a section of the record in ``path``, write it, and return it whole.

    The rest stays as it is and where it is; what is new comes last. section: None for the record's
    own top level. head: values of the top level that are replaced, the machine for one. order: the
    names in a section, in their order; an entry of another name is of the past, and goes. The file
    is read just before it is written: another run may have put in its part meanwhile.
    Raises DamagedRecord, and leaves the file as it is, if it cannot be read.
    """
    whole = stored(path)
    whole |= head or {}
    inside = whole if section is None else whole.setdefault(section, {})
    if not isinstance(inside, dict):
        raise DamagedRecord(f"The record {path} is damaged ({section!r} is no section of it).")
    inside |= entries
    if order is not None:
        whole[section] = {name: inside[name] for name in order if name in inside}
    storage.write_text(path, json.dumps(whole, indent=1) + "\n")
    return whole


# --- the command that makes one ------------------------------------------------------------------


def positive(text: str) -> int:
    """A whole number above 0, for the command line."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def parser(
    about: str,
    path: Path,
    names: Iterable[str] = (),
    seeds: int | None = None,
    n: int | None = None,
) -> argparse.ArgumentParser:
    """The command line of a maker of records: --fresh and --output, and what is given here.

    about: the program's docstring; names: of which some may be asked for, by default all; seeds, n:
    the default of --seeds, networks of each name, and of --n, images for each network.
    """
    made = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = tuple(names)

    def readable(text: str) -> Path:  # said before hours of measuring, not after them
        try:
            stored(Path(text))
        except DamagedRecord as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        return Path(text)

    def known(name: str) -> str:
        if name not in names:
            raise argparse.ArgumentTypeError(
                f"there is no {name!r} here: use some of {', '.join(names)}"
            )
        return name

    if names:
        made.add_argument("names", nargs="*", type=known, help="some of them; default: all")
    if seeds:
        made.add_argument("--seeds", type=positive, default=seeds, help="networks of each")
    if n:
        made.add_argument("--n", type=positive, default=n, help="images for each network")
    made.add_argument("--fresh", action="store_true", help="forget what is kept; measure anew")
    made.add_argument("--output", type=readable, default=str(path), help="where the record goes")
    return made


def run(main: Callable[[], None]) -> None:
    """Run a program that keeps what it has finished: Ctrl-C and a damaged record are answered in a
    sentence."""
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Stopped; what is finished is kept, and the same command without --fresh goes on.")
    except DamagedRecord as error:
        sys.exit(str(error))


# --- the networks' record ------------------------------------------------------------------------


def train_and_save(name: str, seed: int, folder: Path, progress: bool = True) -> dict:
    """Train a network afresh, store it in ``folder``, and return its card.

    Raises PermissionError, before any work, if nothing can be written there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(
            f"The networks cannot be written to {folder}: see whom it belongs to."
        )
    net = zoo.train(name, seed, progress=progress)
    return zoo.save(net, folder / zoo.file_name(name, seed), name, seed)


def read() -> dict:
    """The committed record. Raises FileNotFoundError, saying what makes one, if there is none."""
    if not PATH.is_file():
        raise FileNotFoundError(f"There is no record {PATH}: make it with `course train --record`.")
    return json.loads(PATH.read_text(encoding="utf-8"))
