"""What a check is given that is no function: nothing at all, or some other thing."""

import torch

from .feedback import Feedback
from .trial import Trial


class Missing:
    """Stands for a function that a check is asked about, and that no cell has defined."""

    def __init__(self, name: str):
        self.name = name


def not_there(trial: Trial) -> Feedback | None:
    if not isinstance(trial.answer, Missing):
        return None
    return trial.feedback(
        "NOT RUN",
        f"There is no `{trial.answer.name}`: the cell that is to define it was not run, or did not "
        "come so far (a syntax error, or an error above the definition).",
    )


def what_it_is(thing) -> str:
    """A thing that is no function, in words."""
    if thing is None:
        return "None"
    if isinstance(thing, torch.Tensor):
        return f"a tensor of shape {tuple(thing.shape)}"
    if isinstance(thing, str):
        return "a text"
    name = type(thing).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
