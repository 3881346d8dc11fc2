"""The little TeX of the lessons' texts as MathML, which every browser shows by itself."""

import re
from html import escape

TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\d+(?:\.\d+)?|\s+|.", re.S)
LETTERS = {
    **{"alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "Delta": "Δ", "varepsilon": "ε"},
    **{"lambda": "λ", "mu": "μ", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ", "phi": "ϕ"},
    **{"varphi": "φ", "psi": "ψ", "Phi": "Φ", "eta": "η", "theta": "θ", "omega": "ω"},
}
SIGNS = {
    **{"le": "≤", "ge": "≥", "cdot": "·", "in": "∈", "pm": "±", "approx": "≈", "circ": "∘"},
    **{"langle": "⟨", "rangle": "⟩", "lVert": "‖", "rVert": "‖", "leftarrow": "←"},
    **{"partial": "∂", "sum": "∑", "dots": "…", "cdots": "⋯", "top": "⊤", "times": "×"},
    **{"{": "{", "}": "}"},
}
NAMED = ("text", "mathrm")  # what is in the braces is a word
ACCENTS = {"hat": "^", "bar": "¯", "tilde": "~"}
SIZES = ("left", "right", "big", "Big", "bigl", "bigr", "Bigl", "Bigr")  # shown by themselves
WORDS = ("log", "cos", "sin", "min", "max", "exp")
SPACES = (",", ";", " ", "quad", "qquad")


def mathml(tex: str, block: bool = False) -> str:
    """``tex`` as a <math> element. Raises ValueError for a command that is not known."""
    tokens = [token for token in TOKEN.findall(tex) if not token.isspace()]
    body = _row(tokens, tex)
    if tokens:
        raise ValueError(f"The formula {tex!r} has a }} without its {{.")
    shown = ' display="block"' if block else ""
    return f"<math{shown}>{body}</math>"


def _row(tokens: list[str], tex: str) -> str:
    """The elements up to the end, or up to a closing brace, which is left."""
    found: list[str] = []
    while tokens and tokens[0] != "}":
        found.append(_scripted(tokens, tex))
    return "".join(found)


def _scripted(tokens: list[str], tex: str) -> str:
    """An atom with its primes, and what stands below and above it."""
    base = _atom(tokens, tex)
    low, high, primes = "", "", ""
    while tokens and tokens[0] in ("_", "^", "'"):
        mark = tokens.pop(0)
        if mark == "'":
            primes += "<mo>′</mo>"
        elif mark == "_":
            low = _atom(tokens, tex)
        else:
            high = _atom(tokens, tex)
    high = f"<mrow>{primes}{high}</mrow>" if primes else high
    if low and high:
        return f"<msubsup>{base}{low}{high}</msubsup>"
    if low:
        return f"<msub>{base}{low}</msub>"
    return f"<msup>{base}{high}</msup>" if high else base


def _atom(tokens: list[str], tex: str) -> str:
    if not tokens:
        raise ValueError(f"The formula {tex!r} ends where something is to come.")
    token = tokens.pop(0)
    if token == "{":
        inside = _row(tokens, tex)
        if not tokens:
            raise ValueError(f"The formula {tex!r} has a {{ without its }}.")
        tokens.pop(0)
        return f"<mrow>{inside}</mrow>"
    if token[0].isdigit():
        return f"<mn>{token}</mn>"
    if token[0] != "\\":
        kind = "mi" if token.isalpha() else "mo"
        return f"<{kind}>{'−' if token == '-' else escape(token)}</{kind}>"
    name = token[1:]
    if name in LETTERS:
        return f"<mi>{LETTERS[name]}</mi>"
    if name in SIGNS:
        return f"<mo>{SIGNS[name]}</mo>"
    if name in WORDS:
        return f"<mi>{name}</mi>"
    if name in SPACES:
        return '<mspace width="0.3em"></mspace>'
    if name in SIZES:
        return ""
    if name in NAMED:
        inside = _raw(tokens, tex)
        return f"<mtext>{escape(inside)}</mtext>"
    if name in ACCENTS:
        return f"<mover>{_atom(tokens, tex)}<mo>{ACCENTS[name]}</mo></mover>"
    if name in ("frac", "tfrac"):
        return f"<mfrac>{_atom(tokens, tex)}{_atom(tokens, tex)}</mfrac>"
    if name == "sqrt":
        return f"<msqrt>{_atom(tokens, tex)}</msqrt>"
    raise ValueError(
        f"The formula {tex!r} has {token}, which the guide does not know: add it to "
        "course_lib/guide/mathml.py."
    )


def _raw(tokens: list[str], tex: str) -> str:
    """What stands in braces, as it is."""
    if not tokens or tokens.pop(0) != "{" or "}" not in tokens:
        raise ValueError(f"The formula {tex!r} has a word that does not stand in braces.")
    end = tokens.index("}")
    inside = tokens[:end]
    del tokens[: end + 1]
    return "".join(inside)
