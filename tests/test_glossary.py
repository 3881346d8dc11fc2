"""The glossary has every term in both languages, once, and the lessons use it."""

import html.parser
import json
import re

import pytest

from course_lib import glossary, storage

ROOT = storage.checkout()
ARABIC = re.compile(r"[\u0620-\u064a]")
TERMS = glossary.terms()
# the list at the head of the paper's abstract in two languages
OF_THE_ABSTRACT = {
    "neural network": "شبكة عصبية",
    "deep learning": "تعلم عميق",
    "training": "التدريب",
    "adversarial": "خصامية",
    "representation": "تمثيل",
}


def bare(words: str) -> str:
    """Arabic without vowel signs, article and ending: as two writers of a word may differ."""
    words = re.sub(r"[\u064b-\u0652\u0640]", "", words)
    return re.sub(r"\bال|(ية|ي)$", "", words)


def test_each_term_is_there_once_in_either_language():
    assert len(TERMS) > 40
    assert len({term.en.casefold() for term in TERMS}) == len(TERMS)
    assert len({bare(term.ar) for term in TERMS}) == len(TERMS)
    assert len({term.tells for term in TERMS}) == len({term.means for term in TERMS}) == len(TERMS)


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.en)
def test_a_term_is_said_in_both_scripts(term):
    for words in (term.ar, term.tells):
        assert ARABIC.search(words), words
    for words in (term.en, term.back, term.means):
        assert not ARABIC.search(words), words
        assert re.search("[A-Za-z]", words), words
    # letters of a name or a formula may be Latin; most of an Arabic sentence is not
    letters = [c for c in term.tells if c.isalpha()]
    assert sum(bool(ARABIC.match(c)) for c in letters) > 0.8 * len(letters)
    assert re.findall(r"\d+", term.means) == re.findall(r"\d+", term.tells)
    assert term.means.endswith(".")
    assert term.tells.endswith(".")


@pytest.mark.skipif(ROOT is None, reason="an installed course has no sources")
@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.en)
def test_a_term_occurs_in_the_lesson_that_explains_it(term):
    (path,) = (ROOT / "solutions").glob(f"{term.lesson}_*.ipynb")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    prose = " ".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    words = re.sub(r"\s+", " ", prose.replace("*", "")).casefold()
    assert re.search(rf"\b{re.escape(term.as_.casefold())}", words), path.name
    assert term.en.casefold().startswith(term.as_.casefold())


def test_the_abstracts_terms_are_all_there_and_said_alike():
    ours = {term.en: term.ar for term in TERMS if term.abstract}
    assert set(ours) == set(OF_THE_ABSTRACT)
    assert {k: bare(v) for k, v in ours.items()} == {k: bare(v) for k, v in OF_THE_ABSTRACT.items()}


@pytest.mark.skipif(ROOT is None, reason="an installed course has no sources")
def test_lesson_00_opens_in_both_languages_with_the_same_numbers():
    notebook = json.loads((ROOT / "lessons" / "00_start_here.ipynb").read_text(encoding="utf-8"))
    cells = {c["id"]: "".join(c["source"]) for c in notebook["cells"]}
    arabic, english = cells["title-arabic"], cells["title"]
    # a <div> without blank lines: JupyterLab sets paragraphs of their own to the left
    assert re.fullmatch(r'<div dir="rtl" lang="ar">\n(.+\n)+</div>', arabic.rstrip())
    numbers = [re.findall(r"\d[\d.]*\d", text.partition("\n")[2]) for text in (english, arabic)]
    assert numbers[0] == numbers[1]
    outside = re.sub(r"<bdi>.*?</bdi>|<[^>]*>", "", arabic)
    assert not re.search("[A-Za-z]", outside), "Latin letters within Arabic stand in <bdi>"


class Tags(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.open, self.right = [], 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        found = dict(attributes)
        assert (found.get("lang") == "ar") == (found.get("dir") == "rtl")
        self.right += found.get("lang") == "ar"

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_glossary_as_html_is_well_formed_and_right_to_left_where_it_is_arabic():
    text = glossary.as_html(TERMS, {"04": "lessons/04.html"})
    found = Tags(text)
    assert not found.open
    assert found.right == 2 * len(TERMS)
    assert text.count('<a href="lessons/04.html">') == sum(t.lesson == "04" for t in TERMS)


def test_a_term_without_a_part_is_told(tmp_path, monkeypatch):
    path = tmp_path / "glossary.toml"
    path.write_text('[[term]]\nen = "box"\nback = "box"\nmeans = "A box."\nlesson = "03"\n')
    monkeypatch.setattr(glossary, "SOURCE", path)
    with pytest.raises(ValueError, match=r"glossary.toml: 'box' has no ar, no tells\."):
        glossary.terms()
