"""A pool of adversarial examples, of which a random part is replaced all the time (section 4.2)."""

from collections.abc import Callable

import torch

from ..data import Dataset
from .places import Place

# (place, values (N, *shape), labels (N,)) -> examples (N, *shape), made for what stands above
Maker = Callable[[Place, torch.Tensor, torch.Tensor], torch.Tensor]


class Pool:
    """Adversarial examples at one place of a network that is being trained.

    values: (size, *shape) the examples, activations as they were when they were made: the layers
    below may have changed since, which is why a pool is replaced and not kept; labels: (size,)
    their true classes; rows: (size,) which images of the data set they come from; made: how many
    examples were made until now, those of the beginning included.
    """

    def __init__(
        self, place: Place, make: Maker, dataset: Dataset, size: int, generator: torch.Generator
    ):
        """Fill a pool of ``size`` with examples of as many images of ``dataset``, drawn without
        replacement. Raises ValueError for a size that is not between 1 and the number of images."""
        if not 1 <= size <= len(dataset):
            raise ValueError(
                f"A pool of {size} examples cannot be drawn from {len(dataset)} images: choose a "
                "size between 1 and their number."
            )
        self.place, self.make, self.dataset, self.generator = place, make, dataset, generator
        self.rows = torch.randperm(len(dataset), generator=generator)[:size]
        self.values, self.labels = self._examples(self.rows)
        self.made = size

    def __len__(self) -> int:
        return len(self.labels)

    def _examples(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        rows = rows.to(self.dataset.labels.device)
        labels = self.dataset.labels[rows]
        values = self.place.values(self.dataset.images[rows])
        return self.make(self.place, values, labels), labels

    def replace(self, count: int) -> torch.Tensor:
        """Put examples of ``count`` new images, made for the network of now, in the places of as
        many old ones, both drawn at random. Returns the (count,) slots that are new.
        Raises ValueError for a count that is negative or more than there is."""
        if not 0 <= count <= len(self):
            raise ValueError(f"Of a pool of {len(self)} examples, {count} cannot be replaced.")
        slots = torch.randperm(len(self), generator=self.generator)[:count]
        if not count:
            return slots
        rows = torch.randint(len(self.dataset), (count,), generator=self.generator)
        on_device = slots.to(self.labels.device)
        self.values[on_device], self.labels[on_device] = self._examples(rows)
        self.rows[slots] = rows
        self.made += count
        return slots

    def draw(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """``count`` examples and their labels, drawn at random with replacement."""
        slots = torch.randint(len(self), (count,), generator=self.generator)
        slots = slots.to(self.labels.device)
        return self.values[slots], self.labels[slots]
