"""report.md, and the words that the page shares with it, from the report's data."""

from . import showing, tables


def row_of(*cells: str) -> str:
    """A line of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def counted(counts: dict[str, int]) -> str:
    """How many claims have each verdict, as a phrase."""
    return ", ".join(f"{n} {verdict}" for verdict, n in counts.items() if n)


def by_proof(rows: list[dict]) -> str:
    """How many of the claims a proof decides, as a sentence."""
    proven = sum(row["proof"] for row in rows)
    return f"{proven} of them rest on a proof that was checked here, not on a measurement."


def ledger_table(rows: list[dict]) -> str:
    """The ledger in short: claim, paper, here, images, networks, lesson, verdict."""
    lines = [
        row_of("claim", "§", "paper", "here", "images", "seeds", "lesson", "verdict"),
        "|:--|:--|:--|--:|--:|--:|:--|:--|",
    ]
    for row in rows:
        lines.append(
            row_of(
                row["claim"],
                row["section"],
                row["paper"],
                showing.finding(row),
                showing.count(row["n"]),
                showing.count(row["seeds"]),
                row["lesson"] or showing.DASH,
                f"**{row['verdict']}**",
            )
        )
    return "\n".join(lines)


def cell_text(cell: dict, unit: str) -> str:
    """A table's cell: "paper | here [interval]", an asterisk where the two disagree."""
    here = cell["here"]
    mine = showing.with_interval(here["value"], here["low"], here["high"], unit) if here else None
    mine = mine or showing.DASH
    if cell["agrees"] is False:
        mine += " *"
    printed = cell["paper"]
    if printed is None:
        return mine
    theirs = f"{printed * showing.scale_of(unit):.6g}"
    return f"{theirs} → {mine}"


CELLS = (
    "A cell: the paper's number → ours, with its 95 % interval over networks and images; an "
    "asterisk where the two disagree by the rule for numbers."
)


def table_text(table: dict) -> str:
    """A table in Markdown, with how many images and networks are behind it."""
    heads = ["", *(column["head"] for column in table["columns"])]
    lines = [f"### {table['title']}", "", f"{table['note']} {behind(table)}".strip(), ""]
    lines += [row_of(*heads), "|:--|" + "--:|" * len(table["columns"])]
    for row in table["rows"]:
        cells = [
            cell_text(cell, column["unit"])
            for cell, column in zip(row["cells"], table["columns"], strict=True)
        ]
        lines.append(row_of(row["name"], *cells))
    return "\n".join(lines)


def behind(table: dict) -> str:
    """The images and networks behind a table, as a sentence; "" where they play no part."""
    n, seeds = tables.same(table, "n"), tables.same(table, "seeds")
    if not n:
        return ""
    return f"Images behind a number: {n}; networks of a name: {seeds}."


def machines(records: list[dict]) -> list[str]:
    """A line for each machine, with the records that it made and when."""
    lines: dict[str, list[str]] = {}
    for entry in records:
        machine = entry["machine"]
        what = ", ".join(
            f"{key} {machine[key]}"
            for key in ("processor", "cores", "threads", "device", "python", "torch")
            if key in machine
        )
        known = [
            "" if entry["own"] else "the course's own, not of this run",
            entry["date"] or "",
            f"mode {entry['mode']}" if entry["mode"] else "",
            f"version {entry['version']}" if entry["version"] else "",
        ]
        known = ", ".join(text for text in known if text)
        word = f"{entry['name']} ({known})" if known else entry["name"]
        lines.setdefault(what or "a machine that is not told", []).append(word)
    return [f"{', '.join(names)}: {what}" for what, names in lines.items()]


SECTIONS = (
    ("Units", ("units",)),
    ("Adversarial images", ("existence", "noise")),
    ("Tables", ("Table 1", "Table 2", "Table 3", "Table 4", "Table 5")),
    ("Transfer", ("transfer",)),
    ("Training against them", ("training",)),
    ("Bounds", ("bounds",)),
)


def sections(data: dict) -> list[tuple[str, list[dict]]]:
    """The ledger's rows under the headings of the report."""
    return [
        (title, [row for row in data["ledger"] if row["belongs"] in belongs])
        for title, belongs in SECTIONS
    ]


def markdown(data: dict) -> str:
    """The report as Markdown."""
    parts = [
        "# Intriguing properties of neural networks: the paper beside here",
        f"{data['paper']}. Made by `course reproduce`, mode {data['mode']}, version "
        f"{data['version']}.",
        f"Of {len(data['ledger'])} claims: {counted(data['counts'])}. {by_proof(data['ledger'])}",
    ]
    if data["problems"]:
        parts.append("What could not be read:")
        parts.append("\n".join(f"- {problem}" for problem in data["problems"]))
    parts.append("## The ledger of claims")
    for title, rows in sections(data):
        parts += [f"### {title}", ledger_table(rows)]
    parts.append("## What was measured, and how that decides")
    for row in data["ledger"]:
        parts.append(
            f"- **{row['claim']}** {row['measure']} {row['said']} *{row['verdict'].capitalize()}*, "
            f"by rule {row['rule']}{', by proof, checked here' * row['proof']}."
        )
    parts.append("### The rules")
    parts.append("\n".join(f"{i}. {rule}" for i, rule in enumerate(data["rules"], 1)))
    if data["tables"]:
        parts += ["## The tables", CELLS]
        parts += [table_text(table) for table in data["tables"]]
    if data["figures"]:
        parts.append("## The figures")
        for figure in data["figures"]:
            parts.append(f"![{figure['alt']}](figures/{figure['name']}.svg)")
            parts.append(f"*{figure['title']}* {figure['note']}".strip())
    parts.append("## What made the records")
    parts.append("\n".join(f"- {line}." for line in machines(data["records"])) or "No records.")
    return "\n\n".join(parts) + "\n"
