"""The sliders: a figure that follows a control, and plain figures where nothing can be moved."""

import os

import ipywidgets
import matplotlib.pyplot as plt

from . import alternatives

STATIC = "COURSE_STATIC"


def is_static() -> bool:
    """Whether the notebook is made to be read, not run: sliders would be blank there."""
    return os.environ.get(STATIC, "") not in ("", "0")


def slider(values, label: str, start=None) -> ipywidgets.SelectionSlider:
    """A slider over the listed ``values`` (numbers or (text, value) pairs), at ``start``."""
    options = [v if isinstance(v, tuple) else (f"{v:g}", v) for v in values]
    return ipywidgets.SelectionSlider(
        options=options,
        value=options[0][1] if start is None else start,
        description=label,
        continuous_update=True,
        style={"description_width": "initial"},
        layout={"width": "28em"},
    )


def choice(values, label: str, start=None) -> ipywidgets.Dropdown:
    """A menu of ``values`` (texts or (text, value) pairs), at ``start``."""
    first = values[0][1] if isinstance(values[0], tuple) else values[0]
    return ipywidgets.Dropdown(
        options=values,
        value=first if start is None else start,
        description=label,
        style={"description_width": "initial"},
    )


def explore(draw, static: list[dict], **controls) -> None:
    """Show draw(**values) under its ``controls``, and draw again whenever one is moved.

    draw: makes one figure with pyplot; controls: a :func:`slider` or :func:`choice` for each of
    its arguments; static: the arguments of the figures that a page without a kernel shows instead.
    """

    texts = alternatives.of_this_cell()

    def show(**values) -> None:
        with alternatives.using(texts):
            draw(**values)
            plt.show()

    if is_static():
        for values in static:
            show(**values)
        return
    ipywidgets.interact(show, **controls)
