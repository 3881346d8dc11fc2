"""The report of a run: report.json, and report.md, report.html and figures made from its data.

:func:`write` reads ``records/`` in a folder of results and writes the report beside it. All numbers
and verdicts are in report.json; nothing else is computed for the other files.
"""

import json
import math
from pathlib import Path

from .. import __version__, paper, storage
from . import claims, figures, page, tables, verdicts
from .claim import Claim
from .evidence import Evidence
from .report_text import markdown

NAME = "report"
RECORDS = storage.ASSETS / "records"  # of the course


def data_of(
    evidence: Evidence, mode: str, drawn: list[dict] | None = None, made: dict | None = None
) -> dict:
    """The report as data: what was found of each claim, the tables, and what made the records.

    drawn: what :func:`figures.write` says of the figures; made: by record, how it was made.
    """
    findings = [(claim, claims.found(claim, evidence)) for claim in claims.LEDGER]
    rules = list(dict.fromkeys(claim.rule for claim, _ in findings))
    rows = [
        {
            "key": claim.key,
            "belongs": claim.belongs,
            "section": claim.section,
            "claim": claim.text,
            "lesson": claim.lesson,
            "measure": claim.measure,
            "paper": claim.printed,
            "value": found.value,
            "low": found.low,
            "high": found.high,
            "level": found.level,
            "unit": found.unit,
            "of": found.of,
            "n": found.n,
            "seeds": found.seeds,
            "verdict": found.verdict,
            "proof": found.proof,
            "source": source(claim, found, evidence),
            "said": found.said,
            "rule": rules.index(claim.rule) + 1,
            "records": list(claim.records),
        }
        for claim, found in findings
    ]
    return {
        "paper": paper.CITATION,
        "version": __version__,
        "mode": mode,
        "counts": {v: sum(row["verdict"] == v for row in rows) for v in verdicts.VERDICTS},
        "ledger": rows,
        "rules": rules,
        "tables": tables.made(evidence),
        "figures": drawn or [],
        "records": [
            about(name, found, (made or {}).get(name)) | {"own": name not in evidence.borrowed}
            for name, found in evidence.there().items()
        ],
        "problems": list(evidence.problems),
    }


def source(claim: Claim, found: verdicts.Finding, evidence: Evidence) -> str:
    """Where a row comes from: "a proof", "this run", "the course's records" or both; "" for none.

    Of a claim's records those count that are there.
    """
    if found.verdict == verdicts.NOT_MEASURED:
        return ""
    if found.proof:
        return "a proof"
    there = [name for name in claim.records if evidence.get(name)]
    lent = [name for name in there if name in evidence.borrowed]
    if not lent:
        return "this run"
    return "the course's records" if len(lent) == len(there) else "this run and the course's"


def about(name: str, found: dict, made: dict | None = None) -> dict:
    """What made a record: machine, date, and the mode and version of the run where they are known.

    found: the record, whose "made" is the date if it has one; made: what the run notes of it.
    """
    made = made if isinstance(made, dict) else {}
    return {
        "name": name,
        "date": made.get("date") or found.get("made"),
        "mode": made.get("mode"),
        "version": made.get("version"),
        "machine": found.get("machine", {}),
    }


def noted(folder: Path) -> dict:
    """What the run notes of each record in ``made.json``; {} where there is none to be read."""
    try:
        found = json.loads((folder / "made.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write(folder: Path, mode: str) -> list[Path]:
    """Write the report of the records in ``folder/records``; return the files, report.json first.

    mode: of the run, such as "quick"; it is told in the report. Records that no run makes are the
    course's own, which is told, if the folder has none of that name. What the records lack is told
    as not measured, and so is a record that cannot be read: nothing is raised for either.
    Raises FileNotFoundError if there is no folder of records, and OSError where nothing can be
    written.
    """
    folder = Path(folder)
    if not (folder / "records").is_dir():
        raise FileNotFoundError(
            f"There are no records in {folder}: make them with `course reproduce`."
        )
    evidence = Evidence(folder / "records", RECORDS)
    drawn, files = figures.write(evidence, folder / "figures")
    data = data_of(evidence, mode, drawn, noted(folder))
    texts = {
        "json": json.dumps(data, indent=1, ensure_ascii=False) + "\n",
        "md": markdown(data),
        "html": page.html(data, folder),
    }
    for ending, text in texts.items():
        storage.write_text(folder / f"{NAME}.{ending}", text)
    return [*(folder / f"{NAME}.{ending}" for ending in texts), *files]


def read(folder: Path) -> dict:
    """The report's data in ``folder``. Raises FileNotFoundError, saying what makes one, if there is
    none, and ValueError if it is damaged."""
    path = Path(folder) / f"{NAME}.json"
    if not path.is_file():
        raise FileNotFoundError(f"There is no report {path}: make it with `course reproduce`.")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"The report {path} is damaged ({error}): `course reproduce` writes it anew."
        ) from None


def disagreements(folder: Path) -> list[str]:
    """A sentence for each place where the report in ``folder`` is not what its records say; the
    figures' pixels apart, which another machine draws otherwise.

    Raises as :func:`read`, and FileNotFoundError for a file of the report that is not there.
    """
    folder = Path(folder)
    data = read(folder)
    evidence = Evidence(folder / "records", RECORDS)
    now = data_of(evidence, data.get("mode", ""), data.get("figures", []), noted(folder))
    now = json.loads(json.dumps(now))
    found = [f"{NAME}.json: {where}" for where in _differences(data, now)]
    try:
        texts = {"md": markdown(data), "html": page.html(data, folder)}
    except (KeyError, TypeError) as error:
        return [*found, f"{NAME}.json is another version's ({error!r}): write the report anew."]
    for ending, text in texts.items():
        path = folder / f"{NAME}.{ending}"
        lines = path.read_text(encoding="utf-8").splitlines()
        wrong = [k for k, line in enumerate(text.splitlines()) if lines[k : k + 1] != [line]]
        if wrong or len(lines) != len(text.splitlines()):
            place = wrong[0] + 1 if wrong else len(lines)
            found.append(f"{path.name}: line {place} is not what {NAME}.json says.")
    return found


def _differences(said, now, place: str = "") -> list[str]:
    """Where two values read from JSON differ; numbers by more than rounding on another machine."""
    if isinstance(said, dict) and isinstance(now, dict):
        keys = list(dict.fromkeys([*said, *now]))
        pairs = [(said.get(key), now.get(key), f"{place}/{key}") for key in keys]
    elif isinstance(said, list) and isinstance(now, list) and len(said) == len(now):
        pairs = [
            (a, b, f"{place}/{_named(k, b)}")
            for k, (a, b) in enumerate(zip(said, now, strict=True))
        ]
    else:
        numbers = [v for v in (said, now) if isinstance(v, float)]
        near = len(numbers) == 2 and math.isclose(*numbers, rel_tol=1e-9, abs_tol=1e-12)
        return [] if said == now or near else [f"{place} is {said!r}, the records say {now!r}."]
    return [found for a, b, where in pairs for found in _differences(a, b, where)]


def _named(key, value) -> str:
    """A place in the report, by the name of a row where it has one."""
    row = value.get("key") or value.get("name") if isinstance(value, dict) else None
    return str(row or key)
