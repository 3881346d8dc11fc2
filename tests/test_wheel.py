"""The course away from its repository: as a wheel; and in the repository, not installed at all."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

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
