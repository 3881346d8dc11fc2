"""The instructor's guide says what the course's data says, once, and where no learner sees it."""

import html.parser
import json
import math
import re
import shutil
import xml.etree.ElementTree as ElementTree
from collections import Counter

import pytest
import torch

from course_lib import alternatives, cli, exercises, paper, storage, workcopy
from course_lib.guide import html as pages
from course_lib.guide import lesson as reading
from course_lib.guide import minutes, page, plans, saying, writing
from course_lib.guide.lesson import GuideError
from course_lib.guide.mathml import mathml

pytestmark = pytest.mark.skipif(storage.checkout() is None, reason="an installed course")
ROOT = storage.checkout()
# the exercises that the lessons themselves call optional
OPTIONAL = {"error-under-noise", "pooling-constant"}


@pytest.fixture(scope="module")
def lessons():
    return [reading.read(name) for name in reading.chosen(None)]


@pytest.fixture(scope="module")
def made(lessons):
    return writing.files(lessons)


class Page(html.parser.HTMLParser):
    """What a page asks for, its headings, its pictures' texts, its ids and its tables' boxes."""

    def __init__(self, text):
        super().__init__()
        self.asked, self.links, self.levels, self.texts, self.ids = [], [], [], [], []
        self.open, self.bare, self.tags = [], 0, Counter()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags[tag] += 1
        self.ids += [found["id"]] if "id" in found else []
        if re.fullmatch(r"h[1-6]", tag):
            self.levels.append(int(tag[1]))
        if tag == "img":
            self.texts.append(found.get("alt"))
        if tag == "a":
            self.links.append(found.get("href"))
        else:
            self.asked += [found[k] for k in ("src", "href", "srcset", "data") if k in found]
        self.bare += tag == "table" and "wide" not in self.open
        if tag in ("div", "main", "body"):
            self.open.append(found.get("class", ""))

    def handle_endtag(self, tag):
        if tag in ("div", "main", "body"):
            self.open.pop()


def texts(made, ending):
    return {name: made[name].decode("utf-8") for name in made if name.endswith(ending)}


def test_every_exercise_is_there_once(made):
    headings = Counter(
        slug
        for text in texts(made, ".md").values()
        for slug in re.findall(r"^### [\d.]+ .* \(`([a-z0-9-]+)`\)$", text, re.M)
    )
    assert headings == Counter(list(exercises.all_exercises()))


def test_each_has_its_hints_its_solution_and_all_wrong_answers(lessons):
    for lesson in lessons:
        text = page.lesson_page(lesson)
        for task in lesson.tasks:
            assert task.asks
            assert f"```python\n{task.solution}\n```" in text
            assert "### BEGIN" not in task.solution
            assert "NotImplementedError" not in task.solution
            for hint in task.exercise.hints:
                assert " ".join(hint.split()) in text
            for mistake in task.exercise.mistakes:
                assert f"> {page.plain(mistake.sentence)}\n" in text
        said = sum(len(task.exercise.mistakes) for task in lesson.tasks)
        assert text.count("What to say:") == said


def test_questions_come_with_what_is_right(lessons):
    for lesson in lessons:
        text = page.lesson_page(lesson)
        for answer in exercises.lessons()[lesson.number].ANSWERS.values():
            assert all(page.plain(point) in text for point in answer.rubric)
        assert set(lesson.outcomes) == set(lesson.predictions)
        asked = {slug for part in lesson.sections for kind in part.asked for _, slug in kind}
        assert asked == {*lesson.predictions, *lesson.quizzes, *lesson.answers}
        assert len(lesson.discussion) == len(lesson.exam) == 2
        assert lesson.time
        assert lesson.objectives


def test_the_minutes_are_those_of_the_registry(lessons):
    for lesson in lessons:
        listed = exercises.lessons()[lesson.number].EXERCISES
        required = sum(e.minutes for e in listed if e.slug not in OPTIONAL)
        *rows, whole = minutes.timetable(lesson)
        assert whole.exercises == required
        assert {task.slug for task in lesson.tasks if task.optional} == OPTIONAL & {
            e.slug for e in listed
        }
        optional = sum(e.minutes for e in listed if e.slug in OPTIONAL)
        assert whole.optional >= optional
        assert whole.total == pytest.approx(sum(r.total for r in rows))


def test_the_sum_is_near_what_the_lesson_says(lessons):
    for lesson in lessons:
        said = int(re.search(r"about (\d+) minutes", lesson.time)[1])
        assert abs(minutes.timetable(lesson)[-1].total - said) <= 0.25 * said, lesson.name


def test_what_learners_needed_is_what_the_plans_count(lessons):
    for lesson in lessons:
        if lesson.number in minutes.MEASURED:
            low, high = minutes.MEASURED[lesson.number]
            assert low <= plans.length(lesson) <= high
        else:
            assert minutes.factor(lesson) == 1


def test_the_numbers_of_the_questions_by_hand_are_right(lessons):
    asked = {x.number: " ".join(q.asks + q.answer for q in x.discussion + x.exam) for x in lessons}
    rows, bright = paper.TABLE1, torch.zeros(1, 1, 7, 7)
    bright[..., 2, 2] = 1  # in four windows
    assert math.isclose((100 * 0.1**2 / 784) ** 0.5, 1 / 28)
    assert "about 0.036" in asked[0]
    for name in ("FC200-200-10", "FC100-100-10"):
        assert f"{100 * rows[name].errors['test']:.2f} %" in asked[1]
    assert rows["FC10(1)"].distortion > 2 * rows["FC10(1e-4)"].distortion
    assert "more than twice" in asked[3]
    assert torch.nn.functional.max_pool2d(bright, 3, 2).norm() == 2
    assert "sqrt(4) = 2" in asked[6]
    assert math.isclose(2 / (0.8 * 5), 0.5)
    assert "2 / 4 = 0.5" in asked[7]
    for method in ("adversarial pools", "weight decay"):
        assert f"{100 * paper.ADVERSARIAL_TRAINING[method]:.1f} %" in asked[8]


def required(lessons):
    return sorted(task.slug for x in lessons for task in x.tasks if not task.optional)


def test_an_hour_keeps_what_an_exercise_builds_on(lessons):
    for lesson in lessons:
        choice = plans.hour(lesson)
        assert choice.minutes <= plans.HOUR - plans.FRAME
        slower = minutes.factor(lesson)
        assert choice.minutes == pytest.approx(
            slower * sum(t.exercise.minutes for t in choice.kept)
        )
        kept = {task.slug for task in choice.kept}
        assert all(set(task.needs) <= kept for task in choice.kept)
        listed = [t.slug for t in [*choice.kept, *choice.left] if not t.optional]
        assert sorted(listed) == required([lesson])


def test_an_hour_takes_whole_objectives(lessons):
    for lesson in lessons:
        assert len(lesson.serves) == len(lesson.objectives), lesson.name
        tasks = {task.slug: task for task in lesson.tasks}
        served = {slug for slugs in lesson.serves for slug in slugs}
        assert served == set(tasks), "an exercise that leads to no objective, or is none"
        choice = plans.hour(lesson)
        kept = {task.slug for task in choice.kept}
        whole = [lesson.serves[i] for i in choice.reached]
        wanted = {slug for slugs in whole for slug in slugs if not tasks[slug].optional}
        assert wanted
        assert kept == set().union(*(plans.with_needs(tasks[slug], tasks) for slug in wanted))
        # no further objective would have fitted
        for i, slugs in enumerate(lesson.serves):
            more = plans._path(slugs, tasks) - kept
            cost = sum(tasks[slug].exercise.minutes for slug in more) * minutes.factor(lesson)
            if more and i not in choice.reached:
                assert choice.minutes + cost > plans.HOUR - plans.FRAME
        if len(lesson.objectives) > 1:
            assert (
                lesson.objectives[choice.reached[0]] in page.lesson_page(lesson).split("## Ex")[0]
            )


def test_what_to_say_begins_with_an_input_on_which_the_wrong_answer_differs(lessons):
    exercise = exercises.find("pixel-rms")
    said = saying.differences(exercise)["no root"]
    assert re.search(r"^On .*: The result at \[0\] is \S+, expected \S+", said), said
    every = [m for x in lessons for task in x.tasks for m in task.exercise.mistakes]
    seen = [s for x in lessons for t in x.tasks for s in saying.differences(t.exercise).values()]
    assert len(seen) > 0.95 * len(every)  # some differ in what no result shows
    assert max(map(len, seen)) < 2 * saying.MOST


def test_a_day_is_no_longer_than_stated(lessons):
    day = plans.one_day(lessons)
    assert sum(choice.share for choice in day) <= plans.DAY + 1e-6
    assert all(choice.minutes <= choice.share / 2 for choice in day)
    tasks = [task for choice in day for task in [*choice.kept, *choice.left]]
    assert sorted(task.slug for task in tasks if not task.optional) == required(lessons)


def test_four_weeks_hold_every_required_exercise_once(lessons):
    sessions = plans.four_weeks(lessons)
    assert max(session.minutes for session in sessions) <= plans.SESSION
    done = [piece.task.slug for s in sessions for piece in s.pieces if piece.task]
    assert sorted(done) == required(lessons)
    order = [piece.lesson.number for s in sessions for piece in s.pieces]
    assert order == sorted(order)
    assert [s.week for s in sessions] == sorted(s.week for s in sessions)
    assert {s.week for s in sessions} == {1, 2, 3, 4}
    total = sum(s.minutes for s in sessions)
    assert total == pytest.approx(sum(plans.length(lesson) for lesson in lessons))


def test_a_piece_that_is_longer_than_a_session_is_told(lessons, monkeypatch):
    monkeypatch.setattr(plans, "SESSION", 3)
    with pytest.raises(ValueError, match="cut it in two"):
        plans.four_weeks(lessons)


def test_a_page_asks_for_nothing_and_can_be_read_aloud(made):
    there = {name for name in made if name.endswith(".html")}
    for name, text in texts(made, ".html").items():
        found = Page(text)
        drawn = ("data:image/png;", "data:image/jpeg;")
        assert all(address.startswith(drawn) for address in found.asked), name
        assert all(x in there or x.startswith("https://") for x in found.links), name
        assert "@import" not in pages.STYLE
        assert "url(" not in pages.STYLE
        assert found.levels[0] == 1
        assert found.levels.count(1) == 1
        steps = zip(found.levels, found.levels[1:], strict=False)
        assert all(after <= before + 1 for before, after in steps), name
        assert all(text and text.strip() for text in found.texts), name
        assert len(found.ids) == len(set(found.ids)), name
        assert not found.bare, "a table without a box that scrolls"
        assert not found.tags["script"]


def test_every_figure_of_the_solved_lessons_is_there(made):
    drawn = 0
    for path in (ROOT / "solutions").glob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            bundles = [o.get("data", {}) for o in cell.get("outputs", [])]
            drawn += sum(alternatives.picture_in(b) is not None for b in bundles)
    begins = {".png": b"\x89PNG", ".jpg": b"\xff\xd8"}
    pictures = [name for name in made if name.endswith(tuple(begins))]
    assert len(pictures) == drawn
    assert all(made[name].startswith(begins[name[-4:]]) for name in pictures)
    captions = made["figures/captions.md"].decode("utf-8")
    for name in pictures:
        caption = re.search(rf"`{re.escape(name.split('/')[1])}` \(.+?\): (.+)", captions)
        assert caption, name
        assert len(caption[1]) > 20, name
    pages_of = texts(made, ".md").values()
    shown = Counter(p for text in pages_of for p in re.findall(r"\]\((fig\S+)\)", text))
    assert shown == Counter(pictures)


def test_nothing_is_left_of_the_mark_up(made):
    for name, text in texts(made, ".html").items():
        left_out = r"<pre.*?</pre>|<code.*?</code>|<style>.*?</style>|data:[^\"]*"
        prose = re.sub(left_out, "", text, flags=re.S)
        assert "{{" not in prose, name
        assert "$" not in prose, name
        assert "**" not in prose, name
        assert "&lt;details" not in prose, name


@pytest.mark.parametrize(
    ("tex", "shown"),
    [
        ("x' - x", "<msup><mi>x</mi><mrow><mo>′</mo></mrow></msup><mo>−</mo><mi>x</mi>"),
        ("2^{k+1}", "<msup><mn>2</mn><mrow><mi>k</mi><mo>+</mo><mn>1</mn></mrow></msup>"),
        (r"s^\top y \le 0", None),
        (r"\frac{1}{\sqrt{2}} e_i^2", None),
    ],
)
def test_a_formula_becomes_mathml(tex, shown):
    found = mathml(tex)
    ElementTree.fromstring(found)
    assert shown is None or found == f"<math>{shown}</math>"


@pytest.mark.parametrize(
    ("tex", "sentence"),
    [
        (r"\nosuch x", "does not know"),
        ("x^", "ends where"),
        ("{x", "without its }"),
        ("x}", "without its {"),
    ],
)
def test_a_formula_that_is_not_understood_is_told(tex, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        mathml(tex)


def test_two_lessons_by_the_command(tmp_path, capsys):
    folder = tmp_path / "a guide"
    arguments = ["guide", "--output", str(folder), "--lessons", "00,8"]
    assert cli.main(arguments) == 0
    assert "2 lessons" in capsys.readouterr().out
    there = {p.name for p in folder.glob("*.html")}
    assert there == {"index.html", "00_start_here.html", "08_training_against_it.html"}
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert cli.main(arguments) == 0  # again: the same
    assert before == {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert cli.main(["guide", "--output", str(folder), "--lessons", "00"]) == 0
    assert not (folder / "08_training_against_it.html").exists()
    assert not list((folder / "figures").glob("08-*"))


def test_an_unknown_lesson_is_a_sentence(tmp_path, capsys):
    assert cli.main(["guide", "--output", str(tmp_path / "g"), "--lessons", "77"]) == 1
    assert "no lesson '77'" in capsys.readouterr().err
    assert not (tmp_path / "g").exists()
    assert cli.main(["guide", "--output", str(tmp_path / "g"), "--lessons", ","]) == 1
    assert "No lesson was named" in capsys.readouterr().err


def test_what_is_not_the_guides_is_left_as_it_is(tmp_path):
    folder = tmp_path / "g"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(GuideError, match=r"notes\.txt is not the guide's\. Nothing was written"):
        writing.guide(folder, ["00"])
    assert [p.name for p in folder.iterdir()] == ["notes.txt"]
    (tmp_path / "file").write_text("")
    with pytest.raises(GuideError, match="is a file"):
        writing.guide(tmp_path / "file", ["00"])


@pytest.mark.parametrize("record", ["[1, 2]", '{"format": 2}', "no json"])
def test_a_file_that_is_called_like_the_record_is_no_licence(record, tmp_path):
    (tmp_path / "guide.json").write_text(record)
    with pytest.raises(GuideError, match="not the guide's"):
        writing.guide(tmp_path, ["00"])


def test_a_page_that_somebody_has_changed_is_kept(tmp_path):
    folder = tmp_path / "g"
    writing.guide(folder, ["00"])
    changed = folder / "00_start_here.md"
    changed.write_text("my own words", encoding="utf-8")
    with pytest.raises(GuideError, match="was changed since the guide wrote it"):
        writing.guide(folder, ["00"])
    assert changed.read_text(encoding="utf-8") == "my own words"


@pytest.mark.parametrize("place", ["lessons", "lessons/guide", "solutions", "work", "course_lib/x"])
def test_it_is_never_written_where_learners_look(place):
    with pytest.raises(GuideError, match="The guide holds the solutions"):
        writing.guide(ROOT / place, ["00"])
    assert not (ROOT / place / "index.html").exists()


def test_nor_into_a_class(tmp_path):
    for part in ("assignments", "release"):
        (tmp_path / "class" / part).mkdir(parents=True)
    for place in ("class", "class/release/week-3", "class/feedback/ada"):
        with pytest.raises(GuideError, match="of a class"):
            writing.guide(tmp_path / place, ["00"])
    copies = tmp_path / "copies"
    copies.mkdir()
    shutil.copy(next(iter(workcopy.lessons().values())), copies)
    with pytest.raises(GuideError, match="a folder of lessons"):
        writing.guide(copies, ["00"])


def test_without_a_checkout_there_is_no_guide(monkeypatch):
    monkeypatch.setattr(storage, "checkout", lambda: None)
    with pytest.raises(GuideError, match="come with the repository"):
        reading.read("00_start_here")
