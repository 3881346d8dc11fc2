"""The site: built of two lessons, asked of no other host, read on a phone, with axe-core, aloud."""

import html
import importlib.metadata
import json
import re
import shutil

import pytest

from course_lib import alternatives, cli, exercises, storage, workcopy
from course_lib.guide.lesson import chosen, read
from course_lib.guide.writing import GuideError
from course_lib.site import api, pages, texts, writing

ROOT = storage.checkout()
pytestmark = pytest.mark.skipif(ROOT is None, reason="an installed course")


def there(*names) -> bool:
    try:
        return all(importlib.metadata.version(name) for name in names)
    except importlib.metadata.PackageNotFoundError:
        return False


needs_sphinx = pytest.mark.skipif(
    not there(*writing.PACKAGES), reason="the extra `site` is not installed"
)
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
needs_axe = pytest.mark.skipif(
    not (there("axe-playwright-python", "playwright") and CHROMIUM),
    reason="axe-playwright-python, playwright or Chromium is not here",
)
PAGES = (
    "index.html",
    "glossary.html",
    "report.html",
    "lessons/00_start_here.html",
    "lessons/08_training_against_it.html",
    "api/course_lib.lbfgsb.html",
    "guide/08_training_against_it.html",
    "search.html",
)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The site of two lessons and two parts of the library, and what Sphinx warned of."""
    folder = tmp_path_factory.mktemp("site")
    lessons = [read(name) for name in chosen(["00", "08"])]
    every = api.modules
    with pytest.MonkeyPatch.context() as patch:
        few = {k: v for k, v in every().items() if k in ("course_lib.lbfgsb", "course_lib.paper")}
        patch.setattr(pages.api, "modules", lambda: few)
        sources = pages.files(lessons, guide=True)
    warnings = writing.build(sources, folder / "source", folder / "html")
    return folder / "html", warnings


@needs_sphinx
def test_sphinx_has_nothing_to_complain_of(built):
    # links between docs/ and lessons that this small site has not got
    left_out = re.compile(r"lessons/\d\d_.*(xref_missing|not found)|xref_missing")
    assert [line for line in built[1] if not left_out.search(line)] == []


@needs_sphinx
def test_no_page_asks_another_host(built):
    folder, _ = built
    for path in folder.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        asked = re.findall(
            r"""<(?:script|img|link|iframe)\b[^>]*?(?:src|href)=["']([^"']+)""", text
        )
        assert asked, path
        assert not [a for a in asked if re.match(r"[a-z]*:?//", a)], path
    for path in folder.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//", path.read_text(encoding="utf-8")), path
    assert list((folder / "_static" / "mathjax").rglob("*.woff"))


@needs_sphinx
def test_every_figure_of_a_lesson_is_shown_with_words(built):
    folder, _ = built
    for name in ("00_start_here", "08_training_against_it"):
        notebook = json.loads((ROOT / "solutions" / f"{name}.ipynb").read_text(encoding="utf-8"))
        outputs = [o for c in notebook["cells"] for o in c.get("outputs", [])]
        drawn = [p for o in outputs if (p := alternatives.picture_in(o.get("data", {})))]
        text = (folder / "lessons" / f"{name}.html").read_text(encoding="utf-8")
        shown = re.findall(r'<img src="\.\./(figures/[^"]+)"[^>]* alt="([^"]+)"', text)
        assert len(shown) == len(drawn) > 0
        for (file, words), picture in zip(shown, drawn, strict=True):
            assert (folder / file).read_bytes() == picture.data
            assert html.unescape(words) == picture.text  # the author's own
        prose = re.sub(r"<pre.*?</pre>|<code.*?</code>", "", text, flags=re.S)
        assert "| --:" not in prose
        assert "jupyter-widgets" not in text


@needs_sphinx
def test_tables_are_tables_and_both_languages_are_there(built):
    folder, _ = built
    lesson = (folder / "lessons" / "00_start_here.html").read_text(encoding="utf-8")
    assert lesson.count("<table") >= 2  # the claims, the progress
    for name in ("index.html", "lessons/00_start_here.html", "glossary.html"):
        assert 'lang="ar"' in (folder / name).read_text(encoding="utf-8")
    index = (folder / "searchindex.js").read_text(encoding="utf-8")
    assert "distort" in index


@needs_sphinx
@needs_axe
@pytest.mark.browser
def test_pages_on_a_phone_and_a_desk_in_light_and_dark(built):
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    folder, _ = built
    asked, errors, found = [], [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for scheme, width in (("light", 390), ("dark", 1400)):
            context = browser.new_context(
                viewport={"width": width, "height": 900}, color_scheme=scheme
            )
            page = context.new_page()
            page.on("request", lambda request: asked.append(request.url))
            page.on("pageerror", lambda error: errors.append(str(error)))
            for name in PAGES:
                page.goto((folder / name).as_uri())
                page.evaluate("window.MathJax && MathJax.startup && MathJax.startup.promise")
                page.wait_for_function("document.querySelector('[aria-label=\"The site\"]')")
                page.wait_for_timeout(50)
                wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
                assert wide <= 0, (name, width)
                for fault in Axe().run(page).response["violations"]:
                    found.append((name, scheme, fault["id"], fault["nodes"][0]["html"][:200]))
        # a formula is set, the search finds a word, both from the disk
        page.goto((folder / PAGES[3]).as_uri())
        page.wait_for_selector("mjx-container mjx-c")
        page.goto((folder / "search.html").as_uri() + "?q=distortion")
        page.wait_for_selector("#search-results li a")
        browser.close()
    assert found == []
    assert errors == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


@needs_sphinx
def test_a_second_site_takes_the_place_of_the_first_and_of_nothing_else(tmp_path):
    made, folder = tmp_path / "made", tmp_path / "site"
    made.mkdir()
    (made / "index.html").write_text("one")
    (made / "old.html").write_text("one")
    writing._put(made, folder, writing.judged(folder))
    (made / "old.html").unlink()
    (made / "index.html").write_text("two")
    writing._put(made, folder, writing.judged(folder))
    assert {p.name for p in folder.iterdir()} == {"index.html", writing.RECORD}
    assert (folder / "index.html").read_text() == "two"
    (folder / "mine.txt").write_text("kept")
    with pytest.raises(pages.SiteError, match=r"mine\.txt is not the site's"):
        writing.judged(folder)


# Bad input: a sentence, at once ------------------------------------------------------------------


@pytest.fixture
def command(monkeypatch, capsys):
    """Run ``course site ...`` where nothing may be built; what it says on stderr."""

    def run(*arguments):
        monkeypatch.setattr(writing, "build", lambda *_: pytest.fail("Sphinx ran"))
        monkeypatch.setattr(writing, "PACKAGES", ("pytest",))
        assert cli.main(["site", *arguments]) == 1
        return capsys.readouterr().err

    return run


def test_a_folder_with_other_things_is_refused(command, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    said = command("--output", str(tmp_path))
    assert "thesis.txt is not the site's. Nothing was written" in said
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]
    assert "is a file: name a folder" in command("--output", str(tmp_path / "thesis.txt"))


def test_a_lesson_that_is_not_there(command, tmp_path):
    said = command("--lessons", "42", "--output", str(tmp_path / "s"))
    assert "There is no lesson '42'" in said
    assert not (tmp_path / "s").exists()


def test_a_missing_report_is_told(command, tmp_path, monkeypatch):
    empty = tmp_path / "checkout"
    for part in ("lessons", "solutions", "docs"):
        shutil.copytree(ROOT / part, empty / part)
    monkeypatch.setattr(storage, "checkout", lambda: empty)
    said = command("--lessons", "00", "--output", str(tmp_path / "s"))
    assert "report.md: `course reproduce` writes it" in said


def test_a_lesson_that_was_never_run_is_told(command, tmp_path, monkeypatch):
    name = chosen(["00"])[0]
    loaded = workcopy.load(ROOT / "solutions" / f"{name}.ipynb")
    for cell in loaded["cells"]:
        cell.pop("outputs", None)
    monkeypatch.setattr(workcopy, "load", lambda path: loaded)
    said = command("--lessons", "00", "--output", str(tmp_path / "s"))
    assert "has no outputs: `course build 00` runs it" in said


def test_a_missing_package_is_named_with_the_command(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(writing, "PACKAGES", ("pytest", "no-such-package-of-anybody"))
    assert cli.main(["site", "--output", str(tmp_path / "s")]) == 1
    said = capsys.readouterr().err
    assert "The site needs no-such-package-of-anybody, not installed here" in said
    assert "`python3 start.py site` installs" in said


def test_the_guide_is_kept_from_a_folder_of_learners(command, tmp_path):
    assert exercises.lessons()
    folder = tmp_path / "class"
    (folder / "assignments").mkdir(parents=True)
    (folder / "release").mkdir()
    with pytest.raises(GuideError):
        writing.refuse_learners_folders(folder / "site")
    assert "holds the solutions" in command("--guide", "--output", str(folder / "site"))


def test_an_unknown_option_is_named(capsys):
    with pytest.raises(SystemExit):
        cli.main(["site", "--theme", "mine"])
    assert "--theme" in capsys.readouterr().err


# Parts -------------------------------------------------------------------------------------------


def test_links_lead_to_pages_or_become_words():
    places = {"docs/A.md": "docs/A.md", "results/report.md": "report.md"}
    text = (
        "[r](../results/report.md#rules) [s](../tests/x.py) [w](https://x.org)\n```\n[s](x)\n```\n"
    )
    assert texts.relinked(text, "docs/A.md", places) == (
        "[r](../report.md#rules) s (`tests/x.py`) [w](https://x.org)\n```\n[s](x)\n```\n"
    )


def test_the_library_has_a_page_for_each_part_and_no_wrong_answers():
    parts = api.modules()
    assert {"course_lib.attacks", "course_lib.spectral", "course_lib.data"} <= set(parts)
    names = [name for listed in parts.values() for name in listed]
    assert "course_lib.attacks.minimal" in names
    assert not [name for name in names if re.search(r"lesson\d\d|\._", name)]
