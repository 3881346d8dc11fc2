"""Records: figures with the machine that made them, written a part at a time; and that of the
networks, five seeds of each, their errors with an interval.

``course train --record`` remakes the latter; each seed that is done is kept, so that an interrupted
run goes on where it stopped. Seed 0 of each network is the one that comes with the course: the
first, not the best.
"""

import argparse
import dataclasses
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
from . import models, paper, storage, zoo
from .data import load_mnist
from .kept import Kept

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


def literal(name: str) -> zoo.Recipe:
    """The recipe of ``name`` with the paper's own decay, λ · Σ w² / k, at the λ that it prints."""
    return dataclasses.replace(zoo.recipe(name), decay=paper.DECAY[name], convention="paper")


def read() -> dict:
    """The committed record. Raises FileNotFoundError, saying what makes one, if there is none."""
    if not PATH.is_file():
        raise FileNotFoundError(f"There is no record {PATH}: make it with `course train --record`.")
    return json.loads(PATH.read_text(encoding="utf-8"))


def literal_scores(name: str, seed: int, progress: bool = True) -> dict[str, float]:
    """Scores of a network trained with the paper's own decay; nothing is stored.

    The autoencoder below AE400-10 has no part in that decay: the stored one is used again.
    """
    if zoo.recipe(name).method != "autoencoder":
        return zoo.scores(name, zoo.train(name, seed, chosen=literal(name), progress=progress))
    net = zoo.load(name, seed, progress=progress)
    zoo.fit_last(net, load_mnist(models.network(name).trained_on), literal(name), progress)
    return zoo.scores(name, net)


def seeds_of(chosen: zoo.Recipe, variant: str) -> tuple[int, ...]:
    """Which seeds are trained: five; three with the literal decay; one where the optimum is
    unique, so that the seed plays no part."""
    if chosen.method == "convex":
        return SEEDS[:1]
    return SEEDS if variant == "ours" else SEEDS[:3]


def summarise(by_seed: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Mean and half-width of the interval of each error; half-width 0 for a unique optimum."""
    runs = list(by_seed.values())
    if len(runs) == 1:
        return {part: {"mean": error, "half_width": 0.0} for part, error in runs[0].items()}
    return {part: interval([run[part] for run in runs]) for part in runs[0]}


def measure(name: str, variant: str, kept: Kept, progress: bool) -> dict:
    """The record's entry of one network: "ours", or "literal" with the paper's own decay.

    kept: what this run and interrupted ones have finished.
    """
    chosen = zoo.recipe(name) if variant == "ours" else literal(name)
    by_seed = {}
    for seed in seeds_of(chosen, variant):
        if variant == "ours":
            folder = zoo.SHIPPED if seed == 0 else zoo.kept()
            how = {"uses": [chosen], "folder": folder, "progress": progress}
            scores = kept.get(train_and_save, name, seed, **how)["scores"]
        else:
            below = [zoo.load(name, seed)] if chosen.method == "autoencoder" else []
            how = {"uses": [chosen, *below], "progress": progress}
            scores = kept.get(literal_scores, name, seed, **how)
        by_seed[str(seed)] = scores
        print(f"{name} ({variant}), seed {seed}: test {scores['test']:.2%}", flush=True)
    return {
        "recipe": dataclasses.asdict(chosen),
        "fingerprint": zoo.recipe_fingerprint(name, chosen),
        "seeds": by_seed,
        "summary": summarise(by_seed),
    }


def make(names: list[str], progress: bool = True) -> None:
    """Train ``names`` with our recipe, then with the paper's decay, and write the record.

    Scores of finished seeds are kept while the rest is made, so that an interrupted run goes on
    where it stopped; then they are forgotten.
    """
    kept = Kept("networks")
    variants = [("ours", name) for name in names]
    variants += [("literal", name) for name in names if name in paper.DECAY]
    for variant, name in variants:
        entry = measure(name, variant, kept, progress)
        before = stored(PATH).get("networks", {}).get(name, {})
        networks = {name: before | {variant: entry}}
        merged(PATH, "networks", networks, {"machine": machine()}, models.NETWORKS)
    kept.forget()
