"""Compare what a cell printed with what it printed before: text exactly, numbers to a tolerance.

Cells tagged "result" are compared so by the notebook tests: the unsolved lesson's with the solved
notebook's, and the solved notebook's with the stored ones, which another processor may have made.
Such a cell prints what another processor prints, too. How many of 40 draws of long noise change an
answer is no such number: draws lie next to a border. What the text says of it is asserted.
"""

import html
import re

from ..alternatives import picture_in

NUMBER = re.compile(r"(?<![\w.])[-+\u2212]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?")
RELATIVE = 1e-3  # of a decimal number ...
LAST_PLACE = 1  # ... or so many units of its last printed place, if that is more
COUNT = 1e-2  # of an integer from 100 on; smaller ones (sizes, labels) must be equal, but for
# those of per cent: they were measured and rounded, as decimal numbers are, 84 % as 84.0 %


def texts(outputs) -> list[str]:
    """The texts among a cell's outputs, one for stdout, one per displayed value."""
    streams, found = [], []
    for output in outputs:
        if output["output_type"] == "stream":
            if output["name"] == "stdout":
                streams.append(output["text"])
        elif "data" in output:
            data = output["data"]
            if picture_in(data):  # its size in words, or its alternative text: no result
                continue
            if "text/html" in data:
                found.append(
                    html.unescape(re.sub(r"<style.*?</style>|<[^>]*>", " ", data["text/html"]))
                )
            elif "text/markdown" in data or "text/plain" in data:
                found.append(data.get("text/markdown", data.get("text/plain")))
    return (["".join(streams)] if streams else []) + found


def tolerance(number: str, *, per_cent: bool = False) -> float:
    """By how much a number that was printed as ``number`` may differ."""
    value = abs(float(number.replace("\u2212", "-")))
    mantissa, _, exponent = number.lower().partition("e")
    if "." not in mantissa and not exponent and not per_cent:
        return COUNT * value if value >= 100 else 0.0
    places = len(mantissa.partition(".")[2])
    return max(RELATIVE * value, LAST_PLACE * 10.0 ** (int(exponent or 0) - places))


def difference(got: str, want: str) -> str | None:
    """None if two texts agree, else a sentence that names the first place where they do not."""
    words = [re.sub(r"\s+", " ", NUMBER.sub("#", text)).strip() for text in (got, want)]
    if words[0] != words[1]:
        return f"printed {got.strip()[:300]!r}, where {want.strip()[:300]!r} was expected."
    for a, match in zip(NUMBER.findall(got), NUMBER.finditer(want), strict=True):
        b, rest = match[0], want[match.end() :]
        x, y = (float(n.replace("\u2212", "-")) for n in (a, b))
        most = tolerance(b, per_cent=rest.lstrip().startswith("%"))
        if abs(x - y) > most * (1 + 1e-9):
            return f"printed {a}, where {b} was expected (within {most:g})."
    return None


def compare(got, want) -> str | None:
    """None if the texts in two lists of outputs agree, else a sentence."""
    got, want = texts(got), texts(want)
    if not want:
        return "the solved notebook has no text there: the tag 'result' compares nothing."
    if len(got) != len(want):
        return f"printed {len(got)} texts, where {len(want)} were expected."
    return next((d for a, b in zip(got, want, strict=True) if (d := difference(a, b))), None)
