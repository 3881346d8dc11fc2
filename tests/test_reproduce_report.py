"""The report of a run: data, Markdown and page from the same records, whole or with gaps."""

import base64
import html.parser
import json
import re
import shutil
import xml.etree.ElementTree as ElementTree

import pytest
import torch

from course_lib import storage
from course_lib.reproduce import claims, figures, page, pictures, report, report_text, showing
from course_lib.reproduce.evidence import KEPT, Evidence
from course_lib.reproduce.verdicts import VERDICTS

NOTED = "table5 (mode full, version 0.0.9)"
RECORDS = storage.ASSETS / "records"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The results of a run that has all records of the course, and pictures made up here."""
    where = tmp_path_factory.mktemp("results")
    shutil.copytree(RECORDS, where / "records")
    (where / "records" / "pictures.json").write_text(json.dumps(made_up()), encoding="utf-8")
    noted = {"table5": {"mode": "full", "version": "0.0.9"}}
    (where / "made.json").write_text(json.dumps(noted), encoding="utf-8")
    report.write(where, "default")
    return where


def made_up() -> dict:
    rows = {"images": [[3, 1, 2], [7, 8, 9]], "labels": [[0, 2, 1], [9, 5, 9]], "purity": [0.5, 1]}
    grey = pictures.encoded(torch.full((3, 1, 28, 28), 0.25))
    attacked = {"images": grey, "answers": [5, 6, 7], "distortion": [0.05, 0.06, 0.07]}
    share = {"mean": 0.5, "low": 0.45, "high": 0.55, "n": 1000, "seeds": 1}
    return {
        "made": "2026-01-31",
        "machine": {"processor": "an abacus"},
        "top": {"network": "FC9", "layer": "s", "unit": [4, 2], "units": rows, "directions": rows},
        "neighbours": {
            "labels": [1, 2, 3],
            "clean": grey,
            "networks": {"FC10(1e-4)": attacked},
            "noise": {"images": grey, "answers": {}},
        },
        "noise": {"stddev": 1.0, "accuracy": {"FC10(1e-4)": share}},
        "other_class": {"n": 10, "median": 0.2, "smallest": 0.1},
    }


@pytest.fixture(scope="module")
def data(folder):
    return report.read(folder)


@pytest.fixture(scope="module")
def text(folder):
    return (folder / "report.html").read_text(encoding="utf-8")


# ---------------------------------------------------------------- the data


def test_all_files_are_there(folder, data):
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    drawn = {f"figures/{f['name']}.{kind}" for f in data["figures"] for kind in ("png", "svg")}
    assert len(drawn) == 2 * len(figures.FIGURES)
    assert {"report.json", "report.md", "report.html"} | drawn <= names
    assert not [name for name in names if name.endswith(".part")]


def test_every_claim_is_in_all_three(folder, data, text):
    assert [row["key"] for row in data["ledger"]] == [claim.key for claim in claims.LEDGER]
    assert sum(data["counts"].values()) == len(data["ledger"])
    shown = [row for _, rows in report_text.sections(data) for row in rows]
    assert len(shown) == len(data["ledger"])
    markdown = (folder / "report.md").read_text(encoding="utf-8")
    for row in data["ledger"]:
        assert row["verdict"] in VERDICTS
        assert 1 <= row["rule"] <= len(data["rules"])
        assert row["claim"] in markdown
        assert page.text(row["claim"]) in text
        assert f"**{row['verdict']}**" in markdown
    for rule in data["rules"]:
        assert rule in markdown
        assert page.text(rule) in text


def test_every_row_says_where_it_comes_from(data):
    for row in data["ledger"]:
        assert bool(row["source"]) == (row["verdict"] != "not measured"), row["key"]
        assert (row["source"] == "a proof") == row["proof"]
    headline = report_text.by_source(data["ledger"])
    counted = sum(int(n) for n in re.findall(r"\d+", headline))
    assert counted == sum(row["verdict"] != "not measured" for row in data["ledger"])


def test_the_machine_and_the_mode_are_told(folder, data, text):
    markdown = (folder / "report.md").read_text(encoding="utf-8")
    for words in ("mode default", f"version {data['version']}", "pictures (2026-01-31)", NOTED):
        assert words in markdown
        assert words in text
    torch_version = json.loads((RECORDS / "table5.json").read_text("utf-8"))["machine"]["torch"]
    assert f"torch {torch_version}" in text
    assert "processor an abacus" in text


def test_the_same_records_give_the_same_bytes(folder, data, tmp_path, monkeypatch):
    some = [entry for entry in figures.FIGURES if entry[0] in ("figures-1-2", "beside-the-paper")]
    monkeypatch.setattr(figures, "FIGURES", some)
    evidence = Evidence(folder / "records", RECORDS)
    drawn, files = figures.write(evidence, tmp_path / "figures")
    assert len(files) == 4
    for path in files:
        assert path.read_bytes() == (folder / path.relative_to(tmp_path)).read_bytes(), path.name
    again = report.data_of(evidence, "default", data["figures"], report.noted(folder))
    assert json.loads(json.dumps(again)) == data
    assert [entry for entry in data["figures"] if entry in drawn] == drawn


# ---------------------------------------------------------------- the page


class Reader(html.parser.HTMLParser):
    """Every tag of the page, and whether each is closed where it should be."""

    VOID = ("meta", "img", "br")

    def __init__(self):
        super().__init__()
        self.tags, self.open, self.wrong = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


@pytest.fixture(scope="module")
def tags(text):
    reader = Reader()
    reader.feed(text)
    assert not reader.wrong
    assert not reader.open
    return reader.tags


def test_the_page_needs_no_other_file(text, tags):
    for tag, attributes in tags:
        assert tag not in ("script", "link", "iframe"), tag
        for name in ("src", "href"):
            if name in attributes:
                assert attributes[name].startswith(("data:image/", "#")), attributes[name][:60]
    style = re.search(r"<style>(.*?)</style>", text, re.S)[1]
    assert "url(" not in style
    assert "@import" not in style
    assert "prefers-color-scheme: dark" in style


def test_its_tables_can_be_read_aloud(tags):
    names = [tag for tag, _ in tags]
    assert names.count("caption") == names.count("table") >= 11
    for tag, attributes in tags:
        if tag == "th":
            assert attributes.get("scope") in ("col", "row")
        if tag == "img":
            assert len(attributes["alt"]) > 80
    assert ("html", {"lang": "en"}) in tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in tags:
        if attributes.get("href", "").startswith("#"):
            assert attributes["href"][1:] in ids


def test_its_pictures_are_the_figures(folder, tags, data):
    sources = [attributes["src"] for tag, attributes in tags if tag == "img"]
    assert len(sources) == len(data["figures"])
    for source, figure in zip(sources, data["figures"], strict=True):
        content = base64.b64decode(source.partition("base64,")[2])
        assert content == (folder / "figures" / f"{figure['name']}.{figure['inline']}").read_bytes()


def test_the_figures_are_well_formed_and_say_what_they_show(folder, data):
    said = {figure["name"]: figure for figure in data["figures"]}
    for name in said:
        assert (folder / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        root = ElementTree.parse(folder / "figures" / f"{name}.svg").getroot()
        assert root.tag.endswith("svg")
    assert "the units: 0 2 1; 9 5 9" in said["figures-1-2"]["alt"]
    assert "read as 5 6 7, their mean distortion is 0.060" in said["figure-7"]["alt"]
    assert "50.0 % (FC10(1e-4))" in said["figure-7"]["note"]
    networks = json.loads((RECORDS / "networks.json").read_text("utf-8"))["networks"]
    mean = networks["FC100-100-10"]["ours"]["summary"]["test"]["mean"]
    words = f"FC100-100-10: {100 * mean:.2f}, paper 1.64"
    assert words in said["beside-the-paper"]["alt"]
    assert "FC10(1e-2) 11.7 and " in said["transfer"]["alt"]


def test_encoded_images_come_back():
    images = torch.arange(2 * 784).view(2, 1, 28, 28) % 256 / 255
    assert torch.equal(pictures.decoded(pictures.encoded(images)), images)


# ---------------------------------------------------------------- gaps


def test_a_run_with_one_record_has_a_report(tmp_path):
    (tmp_path / "records").mkdir()
    shutil.copy(RECORDS / "networks.json", tmp_path / "records")
    report.write(tmp_path, "quick")
    data = report.read(tmp_path)
    assert [table["key"] for table in data["tables"]] == ["table1", "table3"]
    # those of photographs are drawn from the course's own record
    assert [figure["name"] for figure in data["figures"]] == [
        "figures-3-4",
        "figure-5",
        "figure-6",
        "beside-the-paper",
    ]
    rows = {row["key"]: row for row in data["ledger"]}
    assert rows["table 2, shares"]["verdict"] == "not measured"
    assert "Table 2:" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_what_no_run_makes_comes_from_the_course_and_that_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "FIGURES", ())
    (tmp_path / "records").mkdir()
    report.write(tmp_path, "quick")
    data = report.read(tmp_path)
    rows = {row["key"]: row for row in data["ledger"]}
    assert rows["dense"]["verdict"] == "not reproduced"
    assert rows["every image"]["verdict"] == "not measured"
    assert {entry["name"] for entry in data["records"]} <= set(KEPT)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "certificates (the course's own, not of this run)" in text
    (tmp_path / "records" / "certificates.json").write_text("{}", encoding="utf-8")
    report.write(tmp_path, "quick")
    rows = {row["key"]: row for row in report.read(tmp_path)["ledger"]}
    assert rows["dense"]["verdict"] == "not measured"


def test_a_damaged_record_is_told_on_every_page(tmp_path):
    (tmp_path / "records").mkdir()
    shutil.copy(RECORDS / "networks.json", tmp_path / "records")
    (tmp_path / "records" / "transfer.json").write_text('{"paper": {"table2": [{}', "utf-8")
    (tmp_path / "records" / "pictures.json").write_text('{"top": {"units": 3}}', "utf-8")
    report.write(tmp_path, "default")
    data = report.read(tmp_path)
    assert len(data["problems"]) == 2
    markdown = (tmp_path / "report.md").read_text(encoding="utf-8")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    for name in ("transfer.json", "pictures.json"):
        assert name in markdown
        assert name in text


def test_no_records_and_no_report_are_sentences(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no records in .*course reproduce"):
        report.write(tmp_path, "quick")
    with pytest.raises(FileNotFoundError, match=r"no report .*course reproduce"):
        report.read(tmp_path)
    (tmp_path / "report.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"damaged .*writes it anew"):
        report.read(tmp_path)


# ---------------------------------------------------------------- numbers as texts


@pytest.mark.parametrize(
    ("numbers", "unit", "shown"),
    [
        ((0.0155, 0.0148, 0.0162), "%", "1.55 [1.48, 1.62]"),
        ((0.231, 0.231, 0.231), "%", "23.1"),
        ((-1.053, -2.044, -0.0629), "points", "−1.05 [−2.04, −0.06]"),
        ((0.0537, None, None), "distortion", "0.0537"),
        ((465.3, None, None), "", "465"),
        ((0.00942, None, None), "", "0.00942"),
        ((0.0, 0.0, 0.01), "%", "0.00 [0.00, 1.00]"),
        ((-0.00001, None, None), "%", "0.00"),
        ((None, None, None), "%", "–"),
    ],
)
def test_numbers_as_texts(numbers, unit, shown):
    assert showing.with_interval(*numbers, unit) == shown


def test_a_finding_as_text():
    row = {"value": 36, "low": None, "high": None, "unit": "count", "of": 42, "level": 0.95}
    assert showing.finding(row) == "36 of 42 agree"
    row = {"value": 0.1, "low": 0.05, "high": 0.15, "unit": "", "of": None, "level": 0.9}
    assert showing.finding(row) == "0.100 [0.050, 0.150] (90 %)"
    assert showing.count("796 to 1000") == "796 to 1000"
    assert showing.count(None) == "–"


@pytest.mark.parametrize(
    ("agrees", "compared", "shown"),
    [
        (True, True, "50 → 50.0 ="),
        (False, True, "50 → 50.0 *"),
        (None, True, "50 → 50.0 ?"),
        (None, False, "50 → 50.0"),
    ],
)
def test_a_cell_is_marked_by_whether_it_agrees(agrees, compared, shown):
    here = {"value": 0.5, "low": None, "high": None, "n": 9, "seeds": 1}
    cell = {"paper": 0.5, "here": here, "agrees": agrees, "compared": compared}
    assert report_text.cell_text(cell, "%") == shown
