"""The report of a run: report.json, and report.md, report.html and figures made from its data.

:func:`write` reads ``records/`` in a folder of results and writes the report beside it. All numbers
and verdicts are in report.json; nothing else is computed for the other files.
"""

import json
from pathlib import Path

from .. import __version__, paper, storage
from . import claims, figures, page, tables, verdicts
from .evidence import Evidence
from .report_text import markdown

NAME = "report"


def data_of(evidence: Evidence, mode: str, drawn: list[dict] | None = None) -> dict:
    """The report as data: what was found of each claim, the tables, and what made the records."""
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
            "said": found.said,
            "rule": rules.index(claim.rule) + 1,
            "records": list(claim.records),
        }
        for claim, found in findings
    ]
    made = tables.made(evidence)
    return {
        "paper": paper.CITATION,
        "version": __version__,
        "mode": mode,
        "counts": {v: sum(row["verdict"] == v for row in rows) for v in verdicts.VERDICTS},
        "ledger": rows,
        "rules": rules,
        "tables": made,
        "figures": drawn or [],
        "records": [about(name, found) for name, found in evidence.there().items()],
        "problems": list(evidence.problems),
    }


def about(name: str, found: dict) -> dict:
    """What made a record: its date if it holds one ("made"), and its machine."""
    return {"name": name, "made": found.get("made"), "machine": found.get("machine", {})}


def write(folder: Path, mode: str) -> list[Path]:
    """Write the report of the records in ``folder/records``; return the files, report.json first.

    mode: of the run, such as "quick"; it is told in the report. What the records lack is told as
    not measured, and a record that cannot be read is told too: nothing is raised for either.
    Raises FileNotFoundError if there is no folder of records, and OSError where nothing can be
    written.
    """
    folder = Path(folder)
    if not (folder / "records").is_dir():
        raise FileNotFoundError(
            f"There are no records in {folder}: make them with `course reproduce`."
        )
    evidence = Evidence(folder / "records")
    drawn, files = figures.write(evidence, folder / "figures")
    data = data_of(evidence, mode, drawn)
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
