"""report.md, and the words that the page shares with it, from the report's data."""

from . import showing, tables


def row_of(*cells: str) -> str:
    """A line of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def counted(counts: dict[str, int]) -> str:
    """How many claims have each verdict, as a phrase."""
    return ", ".join(f"{n} {verdict}" for verdict, n in counts.items() if n)


def by_source(rows: list[dict]) -> str:
    """How many claims have each verdict, by where the rows come from, as sentences."""
    said = []
    for source in dict.fromkeys(row["source"] for row in rows if row["source"]):
        words = [row["verdict"] for row in rows if row["source"] == source]
        counts = {word: words.count(word) for word in dict.fromkeys(words)}
        said.append(f"From {source}: {counted(counts)}.")
    return " ".join(said)


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
    """A table's cell: "paper → here [interval]" and the mark."""
    here = cell["here"]
    mine = showing.with_interval(here["value"], here["low"], here["high"], unit) if here else None
    mine = mine or showing.DASH
    if mark(cell):
        mine += f" {mark(cell)}"
    printed = cell["paper"]
    if printed is None:
        return mine
    theirs = f"{printed * showing.scale_of(unit):.6g}"
    return f"{theirs} → {mine}"


MARKS = (
    "its 95 % interval, where it has one: of errors over networks (all images are read), of "
    "distortions and shares over networks and images; = where the two agree by the rule for one "
    "number, * where they disagree, ? where that is open, no mark where nothing is compared."
)
CELLS = f"A cell: the paper's number → ours, with {MARKS}"


def mark(cell: dict) -> str:
    """ "=" (the two agree), "*" (they do not), "?" (open); "" without two numbers to compare."""
    if cell["here"] is None or cell["paper"] is None or not cell["compared"]:
        return ""
    return {True: "=", False: "*", None: "?"}[cell["agrees"]]


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


def origin(row: dict) -> str:
    """Where a row comes from, to be said after its rule."""
    return f", from {row['source']}" if row["source"] else ""


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
        f"Of {len(data['ledger'])} claims: {counted(data['counts'])}. {by_source(data['ledger'])}",
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
            f"by rule {row['rule']}{origin(row)}."
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
