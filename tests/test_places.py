"""Other places than this machine: a devcontainer, Binder, Colab's packages, odd folders."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from course_lib import cli, storage
from course_lib.authoring import address, wheels

ROOT = storage.checkout()
sys.path.insert(0, str(ROOT))
import start  # noqa: E402

CONTAINER = ROOT / ".devcontainer" / "devcontainer.json"
HERE = "https://github.com/somebody/a-course.kit"


# ---------------------------------------------------------------- Codespaces, VS Code, Binder


def test_the_devcontainer_sets_up_what_start_py_makes():
    said = json.loads(CONTAINER.read_text(encoding="utf-8"))
    # of the specification's properties, those that a container made of an image needs
    types = {"name": str, "image": str, "hostRequirements": dict, "postCreateCommand": str}
    types |= {"forwardPorts": list, "customizations": dict}
    assert {key: type(value) for key, value in said.items()} == types
    program, script, *arguments = shlex.split(said["postCreateCommand"])
    assert (program, (ROOT / script).is_file()) == ("python3", True)
    assert arguments[0] == "setup"  # which start.py knows, and the command behind it the course
    assert arguments[1] in cli.parser()._subparsers._group_actions[0].choices
    settings = said["customizations"]["vscode"]["settings"]
    inside = settings["python.defaultInterpreterPath"].removeprefix("${containerWorkspaceFolder}/")
    assert inside == ".venv/bin/python"
    assert Path(start.VENV, *Path(inside).parts[1:]).parts[-3:] == (".venv", "bin", "python")


def test_container_and_conda_take_one_python_that_start_py_takes():
    image = json.loads(CONTAINER.read_text(encoding="utf-8"))["image"]
    python = re.fullmatch(r"mcr\.microsoft\.com/devcontainers/python:(3\.\d+)", image)[1]
    conda = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert f"python={python}" in conda["dependencies"]
    assert start.OLDEST <= tuple(map(int, python.split("."))) <= start.NEWEST


def test_the_container_has_the_room_that_start_py_asks_for():
    asked = json.loads(CONTAINER.read_text(encoding="utf-8"))["hostRequirements"]
    assert int(asked["storage"].removesuffix("gb")) > 2 * sum(start.ROOM["Linux"])


def test_binder_reads_the_environment_at_the_top():
    # a folder of Binder's own, or a Dockerfile, would hide it
    for name in (".binder", "binder", "Dockerfile"):
        assert not (ROOT / name).exists(), name
    assert (ROOT / "environment.yml").is_file()


# ---------------------------------------------------------------- the repository's address


@pytest.fixture
def copy(tmp_path):
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    address.write(tmp_path, None)  # as long as nobody knows it, and if somebody does
    return tmp_path


def test_no_links_without_an_address(copy):
    assert address.repository(copy) is None
    text = (copy / "README.md").read_text(encoding="utf-8")
    assert "<!-- places -->\n<!-- /places -->" in text
    for place in ("colab.research", "mybinder.org", "codespaces.new"):
        assert place not in text


def test_one_command_sets_the_address_everywhere(copy):
    before = {p.name: p.read_text(encoding="utf-8") for p in copy.iterdir()}
    address.write(copy, HERE + ".git")
    urls = tomllib.loads((copy / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    assert urls == {"Repository": HERE}
    found = re.findall(r"\]\((https://[^)]+)\)", (copy / "README.md").read_text(encoding="utf-8"))
    links = [link for link in found if "somebody/a-course.kit" in link]
    assert links == [
        "https://colab.research.google.com/github/somebody/a-course.kit/blob/HEAD/lessons/00_start_here.ipynb",
        "https://mybinder.org/v2/gh/somebody/a-course.kit/HEAD?urlpath=lab/tree/lessons/00_start_here.ipynb",
        "https://codespaces.new/somebody/a-course.kit",
    ]
    assert all((ROOT / link.split("HEAD")[1].split("tree/")[-1].lstrip("/")).is_file()
               for link in links[:2])  # fmt: skip
    address.write(copy, "https://github.com/another/one")
    text = (copy / "README.md").read_text(encoding="utf-8")
    assert "somebody" not in text
    assert text.count("another/one") == 4
    address.write(copy, None)
    assert {p.name: p.read_text(encoding="utf-8") for p in copy.iterdir()} == before


@pytest.mark.parametrize("wrong", ["", "somebody/x", "http://github.com/a/b", "https://x.org/a/b"])
def test_what_is_no_address_is_a_sentence_and_nothing_is_written(copy, wrong):
    before = {p.name: p.read_text(encoding="utf-8") for p in copy.iterdir()}
    with pytest.raises(ValueError, match=r"write it as https://github\.com/OWNER/NAME"):
        address.write(copy, wrong)
    assert {p.name: p.read_text(encoding="utf-8") for p in copy.iterdir()} == before


def test_a_readme_without_the_marks_is_refused():
    with pytest.raises(ValueError, match="marks <!-- places -->"):
        address.placed("no marks", HERE)


# ---------------------------------------------------------------- packages that are there


def test_nothing_forbids_a_newer_package_that_the_place_has():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for line in project["dependencies"]:
        need = Requirement(line)
        assert [s.operator for s in need.specifier] == [">="], line
    # Colab's own kernel and shell, which it needs in the versions that it has
    names = {Requirement(line).name for line in project["dependencies"]}
    assert not names & {"ipython", "ipykernel", "jupyter-client", "tornado", "traitlets"}


def test_the_page_on_platforms_keeps_what_is_written_by_hand():
    text = (ROOT / "docs" / "PLATFORMS.md").read_text(encoding="utf-8")
    assert text.count(wheels.BY_HAND) == 1
    cell = wheels.Cell("Linux x86_64", "3.12", 1, 2, "9.9.9", ())
    new = wheels.page([cell], True, text)
    assert "torch 9.9.9" in new
    assert new.partition(wheels.BY_HAND)[2] == text.partition(wheels.BY_HAND)[2] != ""


# ---------------------------------------------------------------- folders that are called oddly

WORK = """
import json, os, sys
from course_lib import cli, storage
from course_lib.exercises import predict, store
assert cli.main(["lab", "--copies-only"]) == 0
predict("best-test-error", 3)
assert cli.main(["progress", "00"]) == 0
print(json.dumps([str(storage.home()), sorted(os.listdir("work"))]))
"""


def test_blanks_and_letters_of_other_alphabets_in_a_path(tmp_path):
    """As on Windows: a user called so, a console of the old kind that cannot print everything."""
    printed, user = "cp1252", tmp_path / "Zoë Ω Ünal" / "My Course (2)"
    shutil.copytree(ROOT / "lessons", user / "lessons")
    ignored = shutil.ignore_patterns("__pycache__", "_assets")
    shutil.copytree(ROOT / "course_lib", user / "course_lib", ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", user)
    env = {k: v for k, v in os.environ.items() if not k.startswith("COURSE_")}
    env |= {"PYTHONPATH": str(user), "PYTHONIOENCODING": printed, "COURSE_DEVICE": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", WORK], cwd=user, env=env, capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stderr.decode(printed, "replace")
    home, names = json.loads(done.stdout.decode(printed).splitlines()[-1])
    assert home == str(user / ".course")
    kept = json.loads((user / ".course" / "progress.json").read_text(encoding="utf-8"))
    assert kept["predictions"]["best-test-error"]["value"] == 3
    assert [n for n in names if n.endswith(".ipynb")] == sorted(
        path.name for path in (ROOT / "lessons").glob("*.ipynb")
    )
