"""report.html: one page that needs no other file, from the report's data."""

import base64
import html as escaping
import re
from pathlib import Path

from .. import webpage
from . import showing
from .report_text import MARKS, behind, by_source, counted, machines, mark, origin, sections

STYLE = """
:root { --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --back: #ffffff; --tint: #f6f8fa;
  --link: #0550ae; --good: #0a5c36; --part: #7a4b00; --bad: #a40e26; --open: #5b3aa6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9aa5b1; --line: #3a424c;
  --back: #0f141a; --tint: #171d25; --link: #79b8ff; --good: #5fd08e; --part: #f0b457;
  --bad: #ff9492; --open: #c3a6ff; } }
* { box-sizing: border-box; }
html { color-scheme: light dark; }
body { margin: 0 auto; padding: 1rem; max-width: 76rem; color: var(--ink); background: var(--back);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
a { color: var(--link); }
h1 { font-size: 1.7rem; line-height: 1.2; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
.soft, .interval, .paper { color: var(--soft); }
.counts { display: flex; flex-wrap: wrap; gap: .5rem; padding: 0; list-style: none; }
.counts li { padding: .2rem .7rem; border: 1px solid var(--line); border-radius: 1rem; }
.problems { padding: .5rem 1rem; border-left: .3rem solid var(--bad); background: var(--tint); }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
caption { padding: .3rem 0; text-align: left; font-weight: 600; }
caption span { display: block; font-weight: 400; color: var(--soft); }
th, td { padding: .35rem .5rem; text-align: right; vertical-align: top;
  border-bottom: 1px solid var(--line); }
th { text-align: left; }
thead th { vertical-align: bottom; }
tbody th { font-weight: 400; }
.text { text-align: left; }
.numbers thead th + th { text-align: right; }
.numbers tbody th { white-space: nowrap; }
.numbers span { display: block; white-space: nowrap; }
.numbers .here { font-weight: 600; }
.numbers .differs { text-decoration: underline dotted var(--bad) 2px; }
.numbers .interval, .numbers .paper { font-size: .8rem; }
.scroll { position: relative; margin: 1.5rem 0; overflow-x: auto; }
.scroll:focus-visible { outline: 2px solid var(--link); }
.ledger { margin-bottom: 2rem; }
.ledger th[scope=row] { width: 38%; }
.ledger thead th:nth-child(n + 4):nth-child(-n + 6) { text-align: right; }
.ledger td[data-label=paper] { min-width: 9rem; }
.ledger caption { font-size: 1.1rem; }
.ledger .few { white-space: nowrap; }
.verdict { font-weight: 600; white-space: nowrap; }
.reproduced { color: var(--good); } .in-direction-only { color: var(--part); }
.not-reproduced { color: var(--bad); } .undecided { color: var(--open); }
.not-measured { color: var(--soft); }
details { font-size: .9rem; color: var(--soft); }
summary { color: var(--link); cursor: pointer; }
details p { margin: .4rem 0; }
figure { margin: 2rem 0; }
figure img { display: block; max-width: min(100%, 58rem); height: auto; padding: .5rem;
  background: #ffffff; border: 1px solid var(--line); }
figure .scroll { margin: 0; }
figcaption { max-width: 50rem; margin-top: .4rem; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap; }
@media (max-width: 46rem) {
  .ledger, .ledger tbody, .ledger tr, .ledger th, .ledger td { display: block; width: auto; }
  .ledger thead { position: absolute; clip-path: inset(50%); height: 1px; overflow: hidden; }
  .ledger tr { display: flex; flex-direction: column; padding: .8rem 0;
    border-bottom: 1px solid var(--line); }
  .ledger td, .ledger td[data-label=paper] { order: 2; min-width: 0; }
  .ledger td.word { order: 1; }
  .ledger th[scope=row] { width: auto; font-weight: 600; }
  .ledger th, .ledger td { padding: .1rem 0; border: 0; text-align: left; }
  .ledger td::before { content: attr(data-label) ": "; color: var(--soft); font-weight: 400; }
  .ledger .none { display: none; }
  figure img { max-width: none; width: 46rem; }
}
"""


STACKED = f"A cell: the paper's number, below it ours, and {MARKS}"


def text(value) -> str:
    """``value`` as text of a page."""
    return escaping.escape(str(value), quote=True)


def slug(words: str) -> str:
    """An id or a class made of ``words``."""
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def verdict(word: str) -> str:
    """A verdict, in its colour; the word says it too."""
    return f'<span class="verdict {slug(word)}">{text(word)}</span>'


def ledger(title: str, rows: list[dict]) -> str:
    """A part of the ledger as a table, that a narrow page shows as blocks."""
    heads = ("claim", "section", "paper", "here", "images", "seeds", "lesson", "verdict")
    head = "".join(f'<th role="columnheader" scope="col">{text(name)}</th>' for name in heads)
    body = "".join(_ledger_row(row) for row in rows)
    return (
        f'<table class="ledger" role="table"><caption>{text(title)}</caption>'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">{body}</tbody></table>'
    )


def _ledger_row(row: dict) -> str:
    def cell(label: str, value: str, kind: str = "") -> str:
        kind += " none" if value in ("", showing.DASH) else ""
        return f'<td role="cell" data-label="{label}" class="{kind.strip()}">{value}</td>'

    how = (
        f"<details><summary>How it was measured</summary><p>{text(row['measure'])}</p>"
        f'<p>{text(row["said"])}</p><p>Decided by <a href="#rule-{row["rule"]}">rule '
        f"{row['rule']}</a>{text(origin(row))}.</p></details>"
    )
    cells = [
        cell("section", text(row["section"]), "text"),
        cell("paper", text(row["paper"]).replace(" %", "\u00a0%"), "text"),
        cell("here", text(showing.finding(row)).replace(", ", ",\u00a0"), "number"),
        cell("images", text(showing.count(row["n"]))),
        cell("seeds", text(showing.count(row["seeds"]))),
        cell("lesson", text(row["lesson"] or showing.DASH), "text few"),
        cell("verdict", verdict(row["verdict"]), "text word"),
    ]
    key = slug(row["key"])
    return (
        f'<tr role="row" id="claim-{key}"><th role="rowheader" scope="row">{text(row["claim"])}'
        f"{how}</th>{''.join(cells)}</tr>"
    )


def numbers(table: dict) -> str:
    """A table of the paper, its numbers above ours, in a box that scrolls by itself."""
    key = table["key"]
    head = "".join(f'<th scope="col">{text(column["head"])}</th>' for column in table["columns"])
    body = "".join(
        f'<tr><th scope="row">{text(row["name"])}</th>'
        + "".join(
            _number(cell, column["unit"])
            for cell, column in zip(row["cells"], table["columns"], strict=True)
        )
        + "</tr>"
        for row in table["rows"]
    )
    note = f"{table['note']} {behind(table)}".strip()
    return (
        f'<div class="scroll" role="region" aria-labelledby="{key}" tabindex="0">'
        f'<table class="numbers"><caption id="{key}">{text(table["title"])}'
        f'<span>{text(note)}</span></caption><thead><tr><th scope="col">row</th>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _number(cell: dict, unit: str) -> str:
    here, parts = cell["here"], []
    if cell["paper"] is not None:
        theirs = f"{cell['paper'] * showing.scale_of(unit):.6g}"
        parts.append(f'<span class="paper"><span class="hidden">paper </span>{theirs}</span>')
    if here is None:
        parts.append(f'<span class="here">{showing.DASH}</span>')
        return f"<td>{''.join(parts)}</td>"
    shown = showing.with_interval(here["value"], here["low"], here["high"], unit)
    number, _, interval = shown.partition(" ")
    off = cell["agrees"] is False
    kind = "here differs" if off else "here"
    sign = f" {mark(cell)}" if mark(cell) else ""
    parts.append(
        f'<span class="{kind}"><span class="hidden">here </span>{text(number)}{sign}</span>'
    )
    if interval:
        parts.append(f'<span class="interval">{text(interval)}</span>')
    return f"<td>{''.join(parts)}</td>"


def picture(figure: dict, folder: Path) -> str:
    """A figure with its alternative text, its file inside the page: pictures of digits as PNG, the
    rest as SVG."""
    kind = figure["inline"]
    media = {"png": "image/png", "svg": "image/svg+xml"}[kind]
    data = (folder / "figures" / f"{figure['name']}.{kind}").read_bytes()
    source = f"data:{media};base64,{base64.b64encode(data).decode()}"
    image = f'<img src="{source}" alt="{text(figure["alt"])}">'
    return (
        f'<figure id="figure-{slug(figure["name"])}">'
        f'<div class="scroll" role="region" aria-label="{text(figure["title"])}" tabindex="0">'
        f"{image}</div>"
        f"<figcaption><strong>{text(figure['title'])}</strong> {text(figure['note'])}</figcaption>"
        "</figure>"
    )


def html(data: dict, folder: Path) -> str:
    """The report as a page; ``folder`` has its figures/."""
    counts = "".join(
        f"<li>{verdict(word)} {count}</li>" for word, count in data["counts"].items() if count
    )
    problems = ""
    if data["problems"]:
        items = "".join(f"<li>{text(problem)}</li>" for problem in data["problems"])
        problems = f'<div class="problems"><p>What could not be read:</p><ul>{items}</ul></div>'
    parts = [
        "<h1>Intriguing properties of neural networks: the paper beside here</h1>",
        f'<p class="soft">{text(data["paper"])}. Made by <code>course reproduce</code>, mode '
        f"{text(data['mode'])}, version {text(data['version'])}.</p>",
        f'<p>Of {len(data["ledger"])} claims of the paper:</p><ul class="counts">{counts}</ul>'
        f"<p>{text(by_source(data['ledger']))}</p>",
        problems,
        _contents(data),
        '<h2 id="ledger">The ledger of claims</h2>',
        *(ledger(title, rows) for title, rows in sections(data)),
    ]
    if data["tables"]:
        parts.append(f'<h2 id="tables">The tables</h2><p>{text(STACKED)}</p>')
        parts += [numbers(table) for table in data["tables"]]
    if data["figures"]:
        parts.append('<h2 id="figures">The figures</h2>')
        parts += [picture(figure, Path(folder)) for figure in data["figures"]]
    rules = "".join(f'<li id="rule-{i}">{text(r)}</li>' for i, r in enumerate(data["rules"], 1))
    parts.append(f'<h2 id="rules">The rules</h2><ol>{rules}</ol>')
    made = "".join(f"<li>{text(line)}.</li>" for line in machines(data["records"]))
    parts.append(f'<h2 id="records">What made the records</h2><ul>{made or "<li>none</li>"}</ul>')
    title = f"The paper beside here: {counted(data['counts'])}"
    return webpage.whole(text(title), STYLE, "\n".join(part for part in parts if part))


def _contents(data: dict) -> str:
    there = [("ledger", "Ledger")]
    there += [("tables", "Tables")] if data["tables"] else []
    there += [("figures", "Figures")] if data["figures"] else []
    there += [("rules", "Rules"), ("records", "Records")]
    links = " · ".join(f'<a href="#{key}">{name}</a>' for key, name in there)
    return f'<nav aria-label="Contents"><p>{links}</p></nav>'
