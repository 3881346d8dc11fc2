"""The course away from its repository: as a wheel; and in the repository, not installed at all."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

USE = """
import json, sys, warnings
warnings.simplefilter("error")
import course_lib
from course_lib import models, storage, zoo
from course_lib.data import load_mnist
test = load_mnist("test", "cpu")
# seed 0 must be there: where it is not, or is stale, load() would train it
shipped = [name for name in models.NETWORKS if (zoo.SHIPPED / zoo.file_name(name, 0)).is_file()]
errors = {name: models.error_rate(zoo.load(name, device="cpu"), test) for name in shipped}
print(json.dumps({
    "file": course_lib.__file__,
    "images": len(test),
    "errors": errors,
    "checkout": str(storage.checkout()),
    "home": str(storage.home()),
}))
"""


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("COURSE_", "PYTHON"))}
    return kept | {"COURSE_HOME": str(home), "OMP_NUM_THREADS": "1", **more}


def use(command: list[str], folder: Path, **variables: str) -> dict:
    done = subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def files_below(folder: Path) -> list[str]:
    return [str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder into which the wheel was installed, and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    quiet = {"capture_output": True, "text": True, "timeout": 300}
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation"]
    done = subprocess.run([*build, "--outdir", str(folder), str(ROOT)], **quiet)
    assert done.returncode == 0, done.stdout + done.stderr
    wheel = next(folder.glob("*.whl"))
    assert wheel.stat().st_size < 40e6
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--no-compile"]
    done = subprocess.run([*install, "--target", str(folder / "site"), str(wheel)], **quiet)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


@pytest.mark.slow
def test_wheel_loads_mnist_and_the_networks(site, tmp_path):
    from course_lib import zoo

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    said = use(
        [sys.executable, "-c", USE],
        elsewhere,
        # before the folder of an editable installation, which site adds at the end
        **environment(tmp_path / "home", PYTHONPATH=str(site)),
    )
    assert Path(said["file"]).is_relative_to(site)
    assert said["checkout"] == "None"
    assert said["home"] == str(tmp_path / "home")
    assert said["images"] == 10_000
    assert set(said["errors"]) == set(zoo.RECIPES)
    assert all(0.005 < error < 0.25 for error in said["errors"].values()), said["errors"]
    # nothing was trained, nothing written
    assert not (tmp_path / "home").exists()


@pytest.mark.slow
def test_wheel_carries_what_it_must_and_nothing_else(site):
    names = files_below(site)
    for wanted in ("_assets/mnist/LICENSE.md", "cli.py", "__main__.py"):
        assert f"course_lib/{wanted}" in [n.replace(os.sep, "/") for n in names]
    lessons = sorted(p.name for p in (ROOT / "lessons").glob("*.ipynb"))
    assert sorted(p.name for p in (site / "course_lib" / "_lessons").glob("*.ipynb")) == lessons
    assert any("LICENSE" in n for n in names if ".dist-info" in n)
    assert not [n for n in names if n.startswith(("tests", "solutions"))]


@pytest.mark.slow
def test_wheel_finds_every_exercise_and_question(site, tmp_path):
    from course_lib.exercises import all_exercises, entries

    code = (
        "import json; from course_lib import exercises as e; "
        "kinds = ('EXERCISES', 'PREDICTIONS', 'QUIZZES', 'ANSWERS'); "
        "assert all(x.solution() for x in e.all_exercises().values()); "
        "print(json.dumps({'file': e.__file__, **{k: list(e.entries(k)) for k in kinds}}))"
    )
    here = environment(tmp_path / "home", PYTHONPATH=str(site))
    said = use([sys.executable, "-c", code], tmp_path, **here)
    assert Path(said["file"]).is_relative_to(site)
    assert said["EXERCISES"] == list(all_exercises())
    for kind in ("PREDICTIONS", "QUIZZES", "ANSWERS"):
        assert said[kind] == list(entries(kind))


LESSONS = """
import json, os, sys
from pathlib import Path
from course_lib import cli, storage
assert cli.main(["lab", "--copies-only"]) == 0
names = sorted(Path("work").glob("*.ipynb"))
for path in names:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    for text in code[:2]:  # what says whether the course is there, and the imports
        exec(compile(text, path.name, "exec"), {})
print(json.dumps([storage.PACKAGE.as_posix(), str(storage.home()), [p.name for p in names]]))
"""


@pytest.mark.slow
def test_every_lesson_opens_from_an_installed_wheel(site, tmp_path):
    """As in Colab: no checkout, a folder of one's own, nothing set."""
    here = environment(tmp_path / "x", PYTHONPATH=str(site), HOME=str(tmp_path), MPLBACKEND="agg")
    del here["COURSE_HOME"]
    package, home, names = use([sys.executable, "-c", LESSONS], tmp_path, **here)
    assert Path(package) == site / "course_lib"
    assert home == str(tmp_path / ".intriguing-course")
    assert names == sorted(p.name for p in (ROOT / "lessons").glob("*.ipynb"))


def pretended_wheel(folder: Path, name: str, version: str) -> Path:
    """A wheel of that name with nothing in it."""
    stem = f"{name.replace('-', '_')}-{version}"
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as z:
        info = f"{stem}.dist-info"
        z.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        z.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        z.writestr(f"{info}/RECORD", "")
    return path


@pytest.mark.slow
def test_pip_leaves_alone_what_the_place_has(site, tmp_path):
    """pip's own resolver, on the wheel: what a place has, and meets the bounds, stays as it is."""
    needs = [Requirement(line) for line in PROJECT["dependencies"]]
    there = {need.name: next(iter(need.specifier)).version for need in needs}
    there |= {"torch": "2.99.0", "ipython": "7.34.0", "ipykernel": "6.17.1"}
    there["jupyterlab"] = "4.0.0"  # too old: this one must be replaced
    store, place = tmp_path / "store", tmp_path / "place"
    store.mkdir()
    quiet = {"capture_output": True, "text": True, "timeout": 300}
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True, **quiet)
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip = [sys.executable, "-m", "pip", "--isolated", "--python", python, "install", "--no-index"]
    old = [pretended_wheel(store, name, version) for name, version in there.items()]
    done = subprocess.run([*pip, "--no-deps", *old], **quiet)
    assert done.returncode == 0, done.stderr
    for name in there:
        pretended_wheel(store, name, "1000.0")
    ask = [*pip, "--find-links", store, "--dry-run", "--quiet", "--report", "-"]
    done = subprocess.run([*ask, next(site.parent.glob("*.whl"))], **quiet)
    assert done.returncode == 0, done.stderr
    told = [item["metadata"] for item in json.loads(done.stdout)["install"]]
    changed = {item["name"]: item["version"] for item in told}
    assert changed.pop(PROJECT["name"])
    assert changed == {"jupyterlab": "1000.0"}


@pytest.mark.slow
def test_repository_works_uninstalled(tmp_path):
    from course_lib import zoo

    clone = tmp_path / "clone"
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "course_lib", clone / "course_lib", ignore=unwanted)
    (clone / "lessons").mkdir()
    shutil.copy(ROOT / "pyproject.toml", clone)
    # -S: the packages' folder is a plain entry of the path then, so that no .pth file in it leads
    # to an editable installation
    folders = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    code = f"import sys; sys.path += {sorted(folders)!r}\n{USE}"
    said = use([sys.executable, "-S", "-c", code], clone, **environment(tmp_path / "home"))
    assert Path(said["file"]).is_relative_to(clone)
    assert said["checkout"] == str(clone)
    assert said["images"] == 10_000
    assert set(said["errors"]) == set(zoo.RECIPES)
