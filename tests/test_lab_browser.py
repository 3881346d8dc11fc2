"""A lesson as a learner sees it: JupyterLab in a real browser, headless.

Needs Chromium on the PATH, or its path in ``CHROMIUM``; where there is none, these tests are
skipped. The test suite runs a sample of them; all lessons, and the pictures of what was seen, by

    python3 start.py test --browser

which sets ``COURSE_BROWSER=1`` (every lesson) and ``COURSE_SCREENSHOTS=screenshots`` (a folder;
without it nothing is kept). What is seen is the whole lesson, from top to bottom, light and dark,
in a window 1400 and 800 pixels wide; axe-core looks at the course's own part of it each time.

To write another one: ``book = lab.open("01_training.ipynb")`` opens a copy of a lesson,
``book.run_all()``, ``book.type(cell_id, text)``, ``book.run(cell_id)``, ``book.output(cell_id)``.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from course_lib import alternatives, doctor, storage, workcopy

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

sys.path.insert(0, str(Path(__file__).parent / "sample"))
import sample_course  # noqa: E402

CHROMIUM = doctor.chromium()
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage"
)
ROOT = Path(__file__).parent.parent
FIRST = sorted((ROOT / "lessons").glob("00_*.ipynb"))
SECONDS = 120  # for a page or a cell, on a busy machine
LOOKS = [(theme, width) for theme in ("light", "dark") for width in (1400, 800)]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium found: install it, or set CHROMIUM"),
]


# ---------------------------------------------------------------- JupyterLab and the browser


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="session")
def work(tmp_path_factory):
    """A learner's copy of the lessons, and beside them the sample lesson."""
    folder = tmp_path_factory.mktemp("lab") / "work"
    sample = sample_course.Course(folder.parent / "sample")
    sample.build(execute=False)
    if FIRST:
        workcopy.prepare(folder)
    else:
        folder.mkdir()
    shutil.copy(sample.place.lesson("00_sample"), folder / "sample.ipynb")
    return folder


@pytest.fixture(scope="session")
def server(work):
    """A JupyterLab on this machine with no settings of the user's: its address."""
    home, port = work.parent, free_port()
    folders = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "IPYTHONDIR": "ipython",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "COURSE_HOME": "home",
    }
    env = {k: v for k, v in os.environ.items() if k not in ("COURSE_STRICT", "COURSE_STATIC")}
    env |= {name: str(home / folder) for name, folder in folders.items()}
    env |= {"JUPYTER_PREFER_ENV_PATH": "1", "COURSE_DEVICE": "cpu"}
    env |= sample_course.ENVIRONMENT
    # JupyterLab draws only the cells in view, unless it is told otherwise
    whole = home / "settings" / "@jupyterlab" / "notebook-extension"
    whole.mkdir(parents=True)
    (whole / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}', "utf-8")
    # nor may it ask whether to fetch news (the command line's page_config_data does not help)
    quiet = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
    (home / "quiet" / "labconfig").mkdir(parents=True)
    (home / "quiet" / "labconfig" / "page_config.json").write_text(json.dumps(quiet), "utf-8")
    env["JUPYTER_CONFIG_PATH"] = str(home / "quiet")
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += ["--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"]
    command += ["--IdentityProvider.token=test", f"--ServerApp.root_dir={work}"]
    command += ["--LabApp.extension_manager=readonly", "--LabApp.expose_app_in_browser=True"]
    log = home / "lab.log"
    with open(log, "w", encoding="utf-8") as out:
        process = subprocess.Popen(command, env=env, stdout=out, stderr=out, cwd=work)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(SECONDS * 5):
            assert process.poll() is None, log.read_text(encoding="utf-8")[-2000:]
            try:
                urllib.request.urlopen(f"{url}/api/status?token=test", timeout=2)
                break
            except OSError:
                time.sleep(0.2)
        else:
            pytest.fail("JupyterLab did not start: " + log.read_text(encoding="utf-8")[-2000:])
        yield url
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


@pytest.fixture(scope="session")
def chromium():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield browser
        browser.close()


TALL = 2400  # of the window in which a lesson is looked at, in pixels
# scrolls the notebook by so much (0: to its top), and returns how much is left below
SCROLL = """
by => { const outer = document.querySelector('.jp-WindowedPanel-outer');
        by ? outer.scrollBy(0, by) : outer.scrollTo(0, 0);
        return outer.scrollHeight - outer.clientHeight - outer.scrollTop - 1 }
"""
# what reaches beyond the right edge of the notebook, and lies in nothing that scrolls sideways
CUT_OFF = """
() => { const book = document.querySelector('.jp-WindowedPanel-outer');
        const edge = book.getBoundingClientRect().right + 1;
        const scrolls = e => { for (; e && e !== book; e = e.parentElement)
            if (/auto|scroll/.test(getComputedStyle(e).overflowX)) return true; return false };
        return [...book.querySelectorAll('img, svg, table, pre, p, li, mjx-container')]
            .filter(e => e.getBoundingClientRect().width > 0)
            .filter(e => e.getBoundingClientRect().right > edge && !scrolls(e))
            .map(e => `${e.tagName} ${(e.textContent || e.alt || '').trim().slice(0, 60)}`) }
"""


# the texts and the outputs of a notebook: what is the course's own in JupyterLab's page. The menus,
# the editors and the prompts are JupyterLab's, and so is the little link behind each heading; the
# handle of a slider, which has no name, is that of ipywidgets.
OURS = {
    "include": [".jp-Notebook .jp-RenderedMarkdown", ".jp-Notebook .jp-OutputArea-output"],
    "exclude": [".jp-InternalAnchorLink", ".noUi-handle"],
}


def faults(page) -> list[tuple[str, str]]:
    """What axe-core objects to in the course's own part of the page: rule, and element."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    there = [one for one in OURS["include"] if page.locator(one).count()]
    context = {"include": [[one] for one in there], "exclude": [[one] for one in OURS["exclude"]]}
    found = axe.run(page, context=context).response["violations"]
    return [(fault["id"], node["html"][:300]) for fault in found for node in fault["nodes"]]


class Lab:
    """Opens notebooks; keeps what went wrong in the page, and what it asked other machines for."""

    def __init__(self, chromium, url, work, name):
        self.url, self.work, self.name = url, work, name
        self.page = chromium.new_page(viewport={"width": 1280, "height": 1800})
        self.page.set_default_timeout(SECONDS * 1000)
        self.errors, self.elsewhere = [], []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._note)

    def _note(self, request):
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.elsewhere.append(request.url)

    def open(self, notebook: str, copy: bool = True) -> "Book":
        """Open a notebook of the work folder: a copy for this test alone, or the file itself."""
        name = f"{self.name}-{notebook}" if copy else notebook
        if copy:
            shutil.copy(self.work / notebook, self.work / name)
        return Book(self, name)

    def screenshot(self, label: str) -> None:
        folder = os.environ.get("COURSE_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            name = re.sub(r"[^\w.-]+", "-", f"{self.name}-{label}")
            self.page.screenshot(path=Path(folder) / f"{name}.png")


class Book:
    """A notebook that is open in JupyterLab."""

    def __init__(self, lab: Lab, name: str):
        self.lab, self.page, self.path = lab, lab.page, lab.work / name
        self.url = f"{lab.url}/doc/tree/{name}?token=test"
        self.load()

    def load(self) -> None:
        """Open the page (again) and wait for a kernel that is ready."""
        self.page.goto(self.url)
        self.page.wait_for_selector(".jp-Notebook .jp-Cell")
        self.page.wait_for_function(
            "() => /\\| Idle/.test(document.querySelector('#jp-main-statusbar')?.textContent || '')"
        )
        cells = self.settled()
        self.ids = [cell["id"] for cell in cells]
        self.code = {cell["id"] for cell in cells if cell["cell_type"] == "code"}

    def look(self, theme: str, width: int) -> None:
        """Look at the lesson from top to bottom; nothing may be cut off at the right."""
        page = self.page
        page.evaluate(
            "name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})",
            f"JupyterLab {theme.capitalize()}",
        )
        page.wait_for_function(
            "light => document.body.dataset.jpThemeLight === light",
            arg=str(theme == "light").lower(),
        )
        page.set_viewport_size({"width": width, "height": TALL})
        page.wait_for_timeout(500)  # JupyterLab lays the page out anew
        cut = page.evaluate(CUT_OFF)
        assert cut == [], f"{theme}, {width} wide: {cut}"
        found = faults(page)
        assert found == [], f"{theme}, {width} wide: {found}"
        rest = page.evaluate(SCROLL, 0)
        for i in range(1, 40):
            self.lab.screenshot(f"{theme}-{width}-{i:02d}")
            if rest <= 0:
                break
            rest = page.evaluate(SCROLL, TALL - 200)

    def menu(self, title: str, item: str) -> None:
        self.page.locator("#jp-MainMenu").get_by_text(title, exact=True).click()
        self.page.locator(".lm-Menu-itemLabel", has_text=re.compile(f"^{item}$")).click()

    def run_all(self) -> None:
        """Run every cell, and wait for the last, or for the first that fails."""
        self.menu("Run", "Run All Cells")
        self._wait_for_prompts(len(self.code))

    def _wait_for_prompts(self, n: int) -> None:
        self.page.wait_for_function(
            """n => { const p = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')]
                        .map(e => e.textContent);
                      const done = t => /\\[\\d+\\]/.test(t), busy = t => /\\[\\*\\]/.test(t);
                      return p.length >= n && p.some(done) && !p.some(busy) }""",
            arg=n,
            timeout=3 * SECONDS * 1000,
        )

    def cell(self, key: str):
        """The cell with this id, scrolled into view."""
        cell = self.page.locator(f".jp-Notebook .jp-Cell >> nth={self.ids.index(key)}")
        cell.scroll_into_view_if_needed()
        return cell

    def type(self, key: str, text: str) -> None:
        """Replace the text of a cell, as with select-all and the keyboard."""
        self.cell(key).locator(".cm-content").click()
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.press("Delete")
        # insert_text: the editor would indent and close brackets by itself after each key
        self.page.keyboard.insert_text(text)

    def run(self, key: str) -> None:
        """Run a cell and wait for its end."""
        cell = self.cell(key)
        prompt = cell.locator(".jp-InputPrompt").first
        before = prompt.text_content()
        cell.locator(".cm-content").click()
        self.page.keyboard.press("ControlOrMeta+Enter")
        sync_api.expect(prompt).not_to_have_text(before, timeout=SECONDS * 1000)
        sync_api.expect(prompt).to_have_text(re.compile(r"\[\d+\]"), timeout=SECONDS * 1000)

    def output(self, key: str) -> str:
        """The text of a cell's outputs."""
        return self.cell(key).locator(".jp-Cell-outputArea").inner_text()

    def errors(self) -> list[str]:
        """The error messages among the outputs, as JupyterLab saves them."""
        self.save()
        outputs = [output for cell in self.settled() for output in cell.get("outputs", [])]
        return [o["ename"] for o in outputs if o["output_type"] == "error"]

    def save(self) -> None:
        """Save, and wait until the file has changed."""
        before = self.path.stat().st_mtime_ns
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("ControlOrMeta+s")
        end = time.monotonic() + SECONDS
        while self.path.stat().st_mtime_ns == before or self.saved() is None:
            assert time.monotonic() < end, "the notebook was not saved"
            self.page.wait_for_timeout(100)

    def settled(self) -> list[dict]:
        """The cells of the file. JupyterLab also saves by itself, at any moment: wait that out."""
        end = time.monotonic() + SECONDS
        while (cells := self.saved()) is None:
            assert time.monotonic() < end, "the file stays unreadable"
            self.page.wait_for_timeout(100)
        return cells

    def saved(self) -> list[dict] | None:
        """The cells as the file has them; None while the server is in the middle of writing it."""
        try:
            return json.loads(self.path.read_text(encoding="utf-8"))["cells"]
        except json.JSONDecodeError:
            return None


@pytest.fixture
def lab(chromium, server, work, request):
    """JupyterLab in a page of its own; afterwards: no page error, nothing from elsewhere."""
    lab = Lab(chromium, server, work, request.node.name.removeprefix("test_"))
    yield lab
    lab.screenshot("end")
    lab.page.close()
    assert lab.errors == []
    assert lab.elsewhere == []


def move_slider(book) -> None:
    """Move the notebook's first slider by the keyboard, and see its figure drawn anew."""
    page = book.page
    slider = page.locator(".jupyter-widgets .noUi-handle, .jupyter-widgets input[type=range]").first
    slider.scroll_into_view_if_needed()
    readout = page.locator(".jupyter-widgets .widget-readout").first
    image = page.locator(".jupyter-widgets img").first
    shown, before = readout.text_content(), image.get_attribute("src")
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    sync_api.expect(readout).not_to_have_text(shown)
    page.wait_for_function(
        "b => [...document.querySelectorAll('.jupyter-widgets img')].some(e => e.src !== b)",
        arg=before,
    )
    sync_api.expect(image).not_to_have_attribute("src", before)


# ---------------------------------------------------------------- what a learner does


def test_sample_slider(lab):
    book = lab.open("sample.ipynb")
    book.run_all()
    assert book.errors() == []
    move_slider(book)
    assert lab.page.get_by_text("Jupyter news").count() == 0


def test_sample_exercise(lab):
    book = lab.open("sample.ipynb")
    book.run_all()
    assert "centre-columns: UNATTEMPTED" in book.output("centre-columns-check")
    wrong = "def centre_columns(table):\n    return table - table.mean()\n"
    book.type("centre-columns", wrong)
    book.run("centre-columns")
    book.run("centre-columns-check")
    assert "centre-columns: FAIL" in book.output("centre-columns-check")
    right = "def centre_columns(table):\n    return table - table.mean(axis=0)\n"
    book.type("centre-columns", right)
    book.run("centre-columns")
    book.run("centre-columns-check")
    assert "centre-columns: PASS" in book.output("centre-columns-check")
    book.save()
    book.load()
    assert "table.mean(axis=0)" in book.cell("centre-columns").locator(".cm-content").inner_text()
    source = next(c["source"] for c in book.settled() if c["id"] == "centre-columns")
    assert "".join(source).strip() == right.strip()  # Lab keeps the ids, which updates go by


def test_an_error_in_a_lesson_is_seen(lab):
    path = lab.work / "broken.ipynb"
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "source": "1 / 0"}
    cell |= {"outputs": [], "execution_count": None}
    notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    notebook["metadata"] = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    path.write_text(json.dumps(notebook), encoding="utf-8")
    book = lab.open("broken.ipynb")
    book.run_all()
    assert book.errors() == ["ZeroDivisionError"]


def test_page_errors_and_other_machines_are_noticed(lab):
    lab.page.goto("about:blank")
    lab.page.evaluate("setTimeout(() => { throw new Error('on purpose') })")
    lab.page.evaluate("fetch('http://example.invalid/x.js').catch(() => 0)")
    lab.page.wait_for_timeout(300)
    assert lab.errors == ["on purpose"]
    assert lab.elsewhere == ["http://example.invalid/x.js"]
    lab.errors.clear()
    lab.elsewhere.clear()


WRONG_SPARSITY = """\
def kl_sparsity(activations, target):
    mean = activations.mean(0)
    rare = mean * (mean / target).log()
    often = (1 - mean) * ((1 - mean) / (1 - target)).log()
    return (rare + often).sum()
"""
RIGHT_SPARSITY = """\
def kl_sparsity(activations, target):
    q = activations.mean(dim=0)
    on = torch.special.xlogy(torch.full_like(q, target), target / q)
    off = torch.special.xlogy(torch.full_like(q, 1 - target), (1 - target) / (1 - q))
    return torch.sum(on + off)
"""


# half a minute to two each, and every cell of theirs runs by nbval as well
ASKED = any(os.environ.get(name) for name in ("COURSE_BROWSER", "COURSE_THOROUGH"))
SLOW = pytest.mark.skipif(not ASKED, reason="runs with `start.py test --browser`")


@SLOW
def test_an_exercise_of_a_real_lesson(lab):
    """Lesson 01 run unsolved; solved wrongly, checked twice, solved rightly; reloaded."""
    book = lab.open("01_training_mnist_networks.ipynb")
    book.run_all()
    assert book.errors() == []
    check = "kl-sparsity-check"
    assert "Not solved yet" in book.output(check)
    lab.screenshot("unsolved")

    book.type("kl-sparsity", WRONG_SPARSITY)
    book.run("kl-sparsity")
    book.run(check)
    wrong = book.output(check)
    assert "Not right yet" in wrong
    assert "the wrong way round" in wrong
    lab.screenshot("wrong")

    book.run(check)  # again, without the cell: the name holds the course's version by now
    again = book.output(check)
    assert "Run your own cell first" in again
    assert "run the cell with your own code first" in again
    lab.screenshot("again")

    book.type("kl-sparsity", RIGHT_SPARSITY)
    book.run("kl-sparsity")
    book.run(check)
    assert book.output(check).startswith("Right")
    lab.screenshot("right")
    move_slider(book)
    book.save()
    book.load()
    assert "torch.special.xlogy" in book.cell("kl-sparsity").inner_text()


# lesson, exercise, a wrong answer, words of the sentence that names the mistake, a right answer
SOLVED = [
    pytest.param(
        "00_start_here.ipynb",
        "pixel-rms",
        """\
def pixel_rms(perturbation):
    return perturbation.square().mean(dim=(1, 2, 3))
""",
        "the root is missing",
        """\
def pixel_rms(perturbation):
    return torch.linalg.vector_norm(perturbation, dim=(1, 2, 3)) / 28
""",
        id="00",
    ),
    pytest.param(
        "01_training_mnist_networks.ipynb",
        "kl-sparsity",
        WRONG_SPARSITY,
        "the wrong way round",
        RIGHT_SPARSITY,
        id="01",
        marks=SLOW,
    ),
    pytest.param(
        "02_do_units_mean_anything.ipynb",
        "purity",
        """\
def purity(labels, top):
    rows = labels[top]
    return (rows == rows[:, :1]).double().mean(dim=1)
""",
        "The strongest may be the odd one out",
        """\
def purity(labels, top):
    counts = torch.nn.functional.one_hot(labels[top]).sum(dim=1)
    return counts.amax(dim=1).double() / top.shape[1]
""",
        id="02",
        marks=SLOW,
    ),
    pytest.param(
        "03_how_far_is_the_nearest_mistake.ipynb",
        "distortion",
        """\
def distortion(adversarial, images):
    return (adversarial - images).flatten(1).norm(dim=1)
""",
        "28 times smaller",
        """\
def distortion(adversarial, images):
    if adversarial.shape != images.shape:
        raise ValueError("two shapes")
    return (adversarial - images).flatten(1).square().mean(1).sqrt()
""",
        id="03",
        marks=SLOW,
    ),
    pytest.param(
        "04_box_constrained_lbfgs.ipynb",
        "projected-step",
        """\
def projected_step(image, r, gradient, length):
    return (r - length * gradient).clamp(0, 1)
""",
        "the box is that of image + r",
        """\
def projected_step(image, r, gradient, length):
    z = image + r - length * gradient
    return torch.minimum(torch.maximum(z, torch.zeros_like(z)), torch.ones_like(z)) - image
""",
        id="04",
        marks=SLOW,
    ),
    pytest.param(
        "05_why_do_they_transfer.ipynb",
        "transfer-cell",
        """\
def transfer_cell(clean, adversarial, labels):
    wrong = (adversarial != labels).double().mean()
    return wrong, (clean != labels).double().mean(), wrong
""",
        "only images that it had right can be fooled",
        """\
def transfer_cell(clean, adversarial, labels):
    triples = list(zip(clean.tolist(), adversarial.tolist(), labels.tolist()))
    right = [(after, label) for before, after, label in triples if before == label]
    wrong = sum(after != label for _, after, label in triples)
    fooled = sum(after != label for after, label in right)
    return wrong / len(triples), 1 - len(right) / len(triples), fooled / len(right)
""",
        id="05",
        marks=SLOW,
    ),
    pytest.param(
        "06_how_much_can_a_layer_stretch.ipynb",
        "pooling-constant",
        """\
def pooling_constant(kernel, stride, n, dimensions=2):
    return 1.0
""",
        "This says that max pooling never stretches",
        """\
def pooling_constant(kernel, stride, n, dimensions=2):
    starts = np.arange(0, n - kernel + 1, stride)
    windows = [((starts <= i) & (i < starts + kernel)).sum() for i in range(n)]
    return float(max(windows)) ** (dimensions / 2)
""",
        id="06",
        marks=SLOW,
    ),
    pytest.param(
        "07_what_a_bound_can_promise.ipynb",
        "certificate",
        """\
def certificate(logits, labels, last, below):
    top = logits.topk(2, dim=1).values
    radius = (top[:, 0] - top[:, 1]) / (torch.linalg.matrix_norm(last, 2) * below)
    return torch.where(logits.argmax(1) == labels, radius, 0)
""",
        "It promises too much",
        """\
def certificate(logits, labels, last, below):
    radii = torch.zeros(len(logits), dtype=logits.dtype)
    for i, (z, y) in enumerate(zip(logits, labels.tolist())):
        others = [j for j in range(len(z)) if j != y]
        limits = [(z[y] - z[j]) / ((last[y] - last[j]).norm() * below) for j in others]
        radii[i] = min(limits).clamp_min(0)
    return radii
""",
        id="07",
        marks=SLOW,
    ),
    pytest.param(
        "08_training_against_it.ipynb",
        "layer-step",
        """\
def layer_step(above, values, labels, length, ceiling):
    h = values.detach().requires_grad_()
    loss = F.cross_entropy(above(h), labels, reduction="sum")
    gradient = torch.autograd.grad(loss, h)[0]
    return values + length * F.normalize(gradient, dim=1)
""",
        "Some activations leave the range of the units",
        """\
def layer_step(above, values, labels, length, ceiling):
    h = values.detach().requires_grad_()
    F.cross_entropy(above(h), labels, reduction="sum").backward()
    step = h.grad / h.grad.norm(dim=1, keepdim=True).clamp_min(1e-12)
    return (values + length * step).clamp(0, ceiling)
""",
        id="08",
        marks=SLOW,
    ),
    pytest.param(
        "09_from_digits_to_photographs.ipynb",
        "as-bytes",
        """\
def as_bytes(images):
    return (255 * images).ceil().clamp(0, 255).to(torch.uint8)
""",
        "the picture gets lighter now",
        """\
def as_bytes(images):
    return (255 * images + 0.5).floor().clamp(0, 255).to(torch.uint8)
""",
        id="09",
        marks=SLOW,
    ),
]


def keep_a_prediction(book) -> tuple[str, str]:
    """Write a guess into the lesson's first prediction, and keep it: the cell's id, and the slug.

    The guess is 1, which every prediction of the course can be.
    """
    for cell in book.settled():
        text = "".join(cell["source"])
        if found := re.search(r'predict\("([\w.-]+)", (?:None|guess)\)', text):
            book.type(cell["id"], text.replace("None", "1", 1))
            book.run(cell["id"])
            assert "Your prediction is 1" in book.output(cell["id"])
            return cell["id"], found[1]
    pytest.fail("the lesson has no prediction")


@pytest.mark.timeout(1800)  # ten minutes do not do on a machine that is busy
@pytest.mark.parametrize(("lesson", "slug", "wrong", "sentence", "right"), SOLVED)
def test_a_lesson_is_worked_through(lab, lesson, slug, wrong, sentence, right):
    """Run unsolved; a guess kept; an exercise solved wrongly, then rightly; the slider moved;
    loaded again, the work is there; looked at from top to bottom, wide and narrow, light and dark.
    """
    book = lab.open(lesson)
    book.run_all()
    assert book.errors() == []
    guess, asked = keep_a_prediction(book)
    check = f"{slug}-check"
    assert "Not solved yet" in book.output(check)
    book.type(slug, wrong)
    book.run(slug)
    book.run(check)
    assert "Not right yet" in book.output(check)
    assert sentence in book.output(check)
    lab.screenshot("wrong")
    book.type(slug, right)
    book.run(slug)
    book.run(check)
    assert book.output(check).startswith("Right")
    lab.screenshot("right")
    move_slider(book)
    book.save()

    book.load()
    cells = {cell["id"]: cell for cell in book.settled()}
    assert "".join(cells[slug]["source"]).strip() == right.strip()
    assert book.output(check).startswith("Right")
    book.type(guess, f'predict("{asked}")')
    book.run(guess)
    assert "Your prediction, 1" in book.output(guess)
    assert "is kept" in book.output(guess)
    for theme, width in LOOKS:
        book.look(theme, width)


def test_a_solved_lesson_shows_its_pictures_before_anybody_trusts_it(lab):
    """JupyterLab cleans outputs that were not made here: pictures and their words stay."""
    shutil.copy(ROOT / "solutions" / FIRST[0].name, lab.work / "solved.ipynb")
    lab.open("solved.ipynb")
    outputs = lab.page.locator(".jp-Notebook .jp-RenderedHTML:not(.jp-mod-trusted) img")
    found = outputs.evaluate_all("all => all.map(e => [e.naturalWidth, e.alt])")
    solved = json.loads((lab.work / "solved.ipynb").read_text(encoding="utf-8"))["cells"]
    every = (o.get("data", {}) for cell in solved for o in cell.get("outputs", []))
    pictures = [p for data in every if (p := alternatives.picture_in(data))]
    assert [alt for _, alt in found] == [picture.text for picture in pictures]
    assert all(width > 100 for width, _ in found)
    assert faults(lab.page) == []


def test_the_lessons_are_a_copy(work):
    root = storage.checkout()
    assert root is None or not work.is_relative_to(root)
