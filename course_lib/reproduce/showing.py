"""Numbers as the report, its tables and the README show them: from data, one way everywhere."""

import math

DASH = "–"


def scale_of(unit: str) -> float:
    """By what a number is multiplied before it is shown."""
    return 100.0 if unit == "%" else 1.0


def digits(value: float, unit: str) -> int:
    """Places after the point: hundredths of a per cent below ten, else tenths; a ten thousandth
    of the grey scale; three digits of a ratio."""
    size = abs(value) * scale_of(unit)
    if unit in ("%", "points"):
        return 2 if size < 10 else 1
    if unit == "distortion":
        return 4
    if not size:
        return 0
    return max(0, 2 - math.floor(math.log10(size)))


def plain(value: float | None, unit: str = "", places: int | None = None) -> str:
    """A number without its unit; a dash for none."""
    if value is None or not math.isfinite(value):
        return DASH
    places = digits(value, unit) if places is None else places
    text = f"{value * scale_of(unit):.{places}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("-")


def with_interval(value, low, high, unit: str = "") -> str:
    """A number with its interval in brackets, where it has one that is not a point."""
    if value is None:
        return DASH
    places = digits(value, unit)
    text = plain(value, unit, places)
    if low is None or high is None or low == high:
        return text
    return f"{text} [{plain(low, unit, places)}, {plain(high, unit, places)}]"


def finding(row: dict) -> str:
    """What was found, of a row of the ledger: number, interval, unit."""
    if row["value"] is None:
        return DASH
    if row["unit"] == "count":
        return f"{row['value']:g} of {row['of']} agree"
    text = with_interval(row["value"], row["low"], row["high"], row["unit"])
    word = {"%": " %", "points": " points", "distortion": " rms"}.get(row["unit"], "")
    level = "" if row["low"] is None or row["level"] == 0.95 else f" ({100 * row['level']:.0f} %)"
    return text + word + level


def count(value) -> str:
    """A number of images or networks; a dash for none."""
    if value is None:
        return DASH
    return value if isinstance(value, str) else f"{value:g}"


def size(value) -> str:
    """A whole number with thin groups of thousands, for running text."""
    return value if isinstance(value, str) else f"{value:,.0f}".replace(",", " ")
