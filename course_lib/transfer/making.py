"""How a transfer table is made: examples for each source, every image shown to every network."""

import numbers
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from .. import attacks, identity, models, zoo
from .. import device as devices
from ..checked import SEED, TEXTS, WHOLE, Kind, all_are, instance, is_row, shown, takes
from ..data import Dataset
from ..modes import in_training
from .intervals import wilson
from .sets import AdversarialSet, adversarial_set, check_stddev, device_of
from .table import CLEAN, Row, TransferTable, amplified_label, equal_label, mean_pairs, noise_label

SEEDS = all_are(WHOLE, "a list of whole numbers")
LOSS = Kind("a loss's name, or a function", lambda loss: isinstance(loss, str) or callable(loss))


@takes(dataset=instance(Dataset) | None, seeds=SEEDS, noise_seed=SEED, loss=LOSS)
def transfer_table(
    sources,
    nets=None,
    dataset: Dataset | None = None,
    *,
    seeds: Sequence[int] = (0,),
    stddev: float | Sequence[float] | None = None,
    noise: Sequence[float] = (0.1, 0.3),
    targets="random",
    loss: str = "cross-entropy",
    noise_seed: int = 0,
    cache: bool = True,
    device=None,
    progress: bool = False,
    **settings,
) -> TransferTable:
    """The error of each of ``nets`` on the examples made for each of ``sources`` (section 4.2).

    sources, nets: names of the zoo's networks, or {label: network}, or {label: [networks]}, one for
    each seed; nets=None: the sources. A source may also be an :class:`AdversarialSet` (or a list of
    them), made elsewhere. dataset: the images; the paper uses training images in Table 2 and test
    images in Table 4. seeds: which networks of a name; every pair of a source and a target is
    measured. device: where the zoo's networks go.

    stddev: also a row per source with its changes amplified to this, or to each of several; not
    clipped, as the paper's noise. noise: stddevs of the rows of Gaussian noise; each amplified size
    gets one, too. Rows of noise as large as each minimal change, and a clean row, are always there.
    targets, loss, settings, cache, progress: of :func:`adversarial_set`.

    Raises ValueError, before any attack, for no sources, nets or images; networks that do not take
    the images, disagree on the classes, are in train mode or join the images of a batch; another
    number of networks than seeds; one label for two networks; stddevs that are not above 0.
    """
    if dataset is None or not len(dataset):
        raise ValueError("There are no images: give a data set, as load_mnist('test').sample(300).")
    device = None if device is None else devices.pick(device)
    amplified, noise = levels(() if stddev is None else stddev), levels(noise)
    for level in [*amplified, *noise]:
        check_stddev(level)
    made = _replicates(sources, seeds, device, "sources")
    asked = made if nets is None else _replicates(nets, seeds, device, "nets")
    _check_labels_agree(made, asked, dataset)
    if any(isinstance(part, AdversarialSet) for group in asked.values() for part in group):
        raise ValueError("A column must be a network: give nets beside the adversarial sets.")
    t = max(len(group) for group in [*made.values(), *asked.values()])
    for label, group in [*made.items(), *asked.items()]:
        if len(group) not in (1, t):
            raise ValueError(f"{label!r} has {len(group)} networks where others have {t}.")
    modules = {label: group for label, group in made.items() if isinstance(group[0], nn.Module)}
    check_networks(modules | asked, dataset)
    columns = Columns(asked, t)
    sets = {}
    for label, group in made.items():
        sets[label] = [
            part
            if isinstance(part, AdversarialSet)
            else adversarial_set(
                part,
                dataset,
                targets=targets,
                loss=loss,
                cache=cache,
                progress=progress,
                **settings,
            )
            for part in group
        ]
        _check_same_images(label, sets[label], dataset)
    rows = _rows_of(sets, dataset, amplified, noise, noise_seed, columns)
    return TransferTable(
        tuple(asked),
        columns.ids,
        {row.label: row for row in rows},
        dataset.labels.cpu().numpy(),
        dataset.name,
    )


def levels(given) -> list:
    """One stddev or several, as a list; TypeError for what is neither. Whether each is one,
    check_stddev says."""
    if is_row(given):
        return list(given)
    if not isinstance(given, numbers.Real | str):
        raise TypeError(f"The argument `stddev` must be a number or several, not {shown(given)}.")
    return [given]


def curve(sources, nets, dataset: Dataset, stddevs: Sequence[float], **how) -> TransferTable:
    """Transfer against the size of the change: a table with an amplified row for each stddev.

    Every source's changes are brought to each of ``stddevs`` (also to less than their own size),
    with noise of that stddev beside them. :func:`along` reads a pair's curve off it.
    """
    if not levels(stddevs):
        raise ValueError("A curve needs at least one stddev.")
    return transfer_table(sources, nets, dataset, stddev=levels(stddevs), noise=(), **how)


@takes(table=instance(TransferTable))
def along(table: TransferTable, source: str | None, column: str, convention: str = "strict"):
    """(stddevs, shares): a pair's curve in ``table``, rising in size; source None: the noise's."""
    kind = "noise" if source is None else "amplified"
    rows = [row for row in table.rows.values() if (row.kind, row.source) == (kind, source)]
    if not rows:
        raise KeyError(f"The table has no rows of several sizes made for {source!r}.")
    rows.sort(key=lambda row: row.stddev)
    shares = [mean_pairs(table.cell(row.label, column, convention)) for row in rows]
    return np.array([row.stddev for row in rows]), np.array(shares)


@takes(table=instance(TransferTable), printed=instance(dict), columns=TEXTS)
def against_paper(table: TransferTable, printed: dict, columns: Sequence[str]) -> list[dict]:
    """Our share of each cell that the paper prints, beside the paper's.

    printed: paper.TABLE2 or TABLE4; columns: their networks. Under the paper's convention. Each
    entry has "row", "column", "here" (an Estimate), "paper", "low" and "high", Wilson's interval of
    the paper's share if it rests on 256 images (a guess), and "overlap", of the
    intervals.
    """
    found = []
    if any(len(shares) != len(columns) for shares in printed.values()):
        raise ValueError(f"Every printed row must have {len(columns)} shares, one for each column.")
    for row, shares in printed.items():
        for column, share in zip(columns, shares, strict=True):
            if row not in table.rows or column not in table.columns:
                continue
            here = table.estimate(row, column, "paper")
            low, high = wilson(share, 256)
            overlap = here.low <= high and low <= here.high
            entry = {"row": row, "column": column, "here": here, "paper": share}
            found.append(entry | {"low": low, "high": high, "overlap": overlap})
    return found


# --- how a table is made -----------------------------------------------------------------------


def _replicates(given, seeds, device, what: str) -> dict[str, list]:
    """{label: networks, one per seed, or a single one}."""
    if isinstance(given, str):
        given = [given]
    if not (given is None or isinstance(given, dict) or is_row(given)):
        raise TypeError(
            f"The {what} must be names, or a dict of networks by their labels, not {shown(given)}."
        )
    if given is None or not len(given):
        raise ValueError(f"There are no {what}: give at least one network, by its name.")
    if not isinstance(given, dict):
        TEXTS.check(given, what)
        if len(set(given)) < len(given):
            raise ValueError(f"A network is named twice among the {what}.")
        return {
            name: [
                zoo.load(name, s, device) for s in sorted({zoo.replicate(name, s) for s in seeds})
            ]
            for name in given
        }
    groups = {k: list(v) if isinstance(v, list | tuple) else [v] for k, v in given.items()}
    for label, group in groups.items():
        if not group or not all(isinstance(part, nn.Module | AdversarialSet) for part in group):
            raise TypeError(f"{label!r} must be a network or a list of networks.")
    return groups


def _check_labels_agree(made: dict, asked: dict, dataset: Dataset) -> None:
    """A label that stands for a source and for a column must mean the same networks."""
    for label in made.keys() & asked.keys():
        if isinstance(made[label][0], AdversarialSet):
            continue
        ours, theirs = made[label], asked[label]
        same = len(ours) == len(theirs) and all(
            a is b or _same(a, b, dataset) for a, b in zip(ours, theirs, strict=True)
        )
        if not same:
            raise ValueError(f"Two different networks are called {label!r}: give them two names.")


def _same(a: nn.Module, b: nn.Module, dataset: Dataset) -> bool:
    """Whether two modules compute the same, as far as can be told; if it cannot, they do not."""
    try:
        ours, theirs = (identity.digest(net, dataset.images.shape[1:]) for net in (a, b))
    except TypeError:
        return False
    return ours == theirs


def check_networks(nets: dict[str, list], dataset: Dataset) -> None:
    """Raise ValueError, naming the network, unless all take the images, one for itself, and share
    their classes."""
    classes = {}
    for label, group in nets.items():
        for net in group:
            if training := in_training(net):
                raise ValueError(f"{label!r} is in train mode. {training}.")
            images = dataset.images[: attacks.checking.FEW].to(device_of(net, dataset.images))
            try:
                with torch.no_grad():
                    logits = net(images)
            except RuntimeError as error:
                raise ValueError(
                    f"{label!r} does not take images of shape {tuple(images.shape[1:])}; all "
                    f"networks of a table must take the same ones ({error})."
                ) from None
            attacks.checking.check_output(logits, len(images))
            try:
                attacks.checking.check_alone(attacks.asking.Asked(net, images), images, logits)
            except ValueError as error:
                raise ValueError(f"{label!r} cannot be measured. {error}") from None
            classes.setdefault(logits.shape[1], label)
    if len(classes) > 1:
        (a, first), (b, second) = list(classes.items())[:2]
        raise ValueError(f"{first!r} has {a} classes and {second!r} {b}: they cannot be compared.")


def _check_same_images(label: str, sets: list[AdversarialSet], dataset: Dataset) -> None:
    for found in sets:
        if len(found) != len(dataset) or not torch.equal(
            found.dataset.images.cpu(), dataset.images.cpu()
        ):
            raise ValueError(f"The adversarial set of {label!r} was made from other images.")


# on a CPU a convolution of a few hundred images stays in its caches: twice as fast as thousands
BATCH = {"cpu": 250}


class Columns:
    """The columns' networks, {name: networks}, in so many replicates: every image is shown to each
    of them once. ids: (C, T) which network of its name a column has in a replicate."""

    def __init__(self, groups: dict[str, list], replicates: int):
        self.groups, self.replicates = list(groups.values()), replicates
        sizes = [len(group) for group in self.groups]
        self.ids = np.array([np.arange(replicates) % size for size in sizes])

    def answers(self, images: torch.Tensor) -> np.ndarray:
        """(T, C, N) int32: the class that each network gives each image."""
        found = np.empty((self.replicates, len(self.groups), len(images)), np.int32)
        for k, group in enumerate(self.groups):
            size = BATCH.get(device_of(group[0], images).type, 5000)
            seen = [models.predictions(net, images, size).cpu().numpy() for net in group]
            for t, which in enumerate(self.ids[k]):
                found[t, k] = seen[which]
        return found


def _rows_of(sets, dataset, amplified, noise, noise_seed, columns) -> list[Row]:
    """All rows, in the paper's order: examples, their controls, amplified ones, noise, clean."""
    parts = {
        label: source_rows(label, group, amplified, noise_seed, columns)
        for label, group in sets.items()
    }
    rows = [row for kind in zip(*parts.values(), strict=True) for row in kind]
    aims = [s.targets.cpu().numpy() for group in sets.values() for s in group]
    for level in (*noise_levels(noise, amplified), None):
        images = noisy(dataset, level, noise_seed)
        answers = columns.answers(images)
        size = attacks.distortion(images, dataset.images).cpu().numpy()
        rows.append(plain_row(level, size, answers, aims))
    return rows


def source_rows(label, group, amplified, noise_seed, columns) -> list[Row]:
    """The rows of a source, S sets: its examples, noise as large as these, amplified ones."""
    made = [("minimal", label, None, [s.adversarial for s in group])]
    equal = [s.equal_noise(noise_seed) for s in group]
    made.append(("equal noise", equal_label(label), None, equal))
    for level in amplified:
        images = [s.amplified(level) for s in group]
        made.append(("amplified", amplified_label(label, level), level, images))
    return [_row(name, kind, label, level, group, x, columns) for kind, name, level, x in made]


def noise_levels(noise, amplified) -> list[float]:
    """The stddevs of the rows of noise: those asked for, and that of each amplified row."""
    return sorted({*noise, *amplified})


def noisy(dataset: Dataset, level: float | None, seed: int) -> torch.Tensor:
    """The images of a row without a source: with noise of the stddev ``level``; clean for None."""
    return dataset.images if level is None else attacks.gaussian_noise(dataset.images, level, seed)


def _row(label, kind, source, stddev, group, images, columns) -> Row:
    """A row that belongs to a source: S sets and their images, S the replicates or 1."""
    used = [s.changed if kind == "amplified" else s.success for s in group]
    sizes = [attacks.distortion(x, s.dataset.images) for x, s in zip(images, group, strict=True)]
    nothing = [torch.full_like(s.overshoot, torch.nan) for s in group]
    beyond = [s.overshoot for s in group] if kind == "minimal" else nothing
    rights, targets = [s.right for s in group], [s.targets for s in group]
    answers = np.stack([columns.answers(x) for x in images])
    parts = (_stack(part) for part in (used, rights, targets, sizes, beyond))
    ids = np.arange(columns.replicates) % len(group)
    return Row(label, kind, source, stddev, ids, *(part[ids] for part in parts), answers[ids])


def plain_row(level: float | None, size, answers, aims: list) -> Row:
    """A row without a source: noise of the stddev ``level``, or the clean images for None.

    size: (N,) of the noise; answers: (T, C, N); aims: the targets (N,) of each set of the table's
    sources: those of the row, too, if they are all the same.
    """
    n, t = len(size), len(answers)
    yes = np.ones(n, bool)
    shared = all(np.array_equal(aims[0], other) for other in aims)
    targets = aims[0] if shared else np.full(n, -1)
    values = (yes, yes, targets, size, np.full(n, np.nan), answers)
    parts = (np.broadcast_to(value, (t, *value.shape)) for value in values)
    label, kind = (CLEAN, "clean") if level is None else (noise_label(level), "noise")
    return Row(label, kind, None, level, np.zeros(t, int), *parts)


def _stack(tensors: list[torch.Tensor]) -> np.ndarray:
    return np.stack([tensor.cpu().numpy() for tensor in tensors])
