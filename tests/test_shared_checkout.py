"""One checkout, several users: each has copies and a home of its own, and it stays as it was."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from course_lib import cli, storage, workcopy

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="files have no owner here")


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """A checkout of somebody else's: its lessons, and nothing of a learner's."""
    root = tmp_path / "shared by all"
    shutil.copytree(storage.checkout() / "lessons", root / "lessons")
    (root / "pyproject.toml").write_text("", encoding="utf-8")
    monkeypatch.setattr(storage, "checkout", lambda: root)
    monkeypatch.setattr(os, "geteuid", lambda: root.stat().st_uid + 1)
    return root


@pytest.fixture
def as_user(tmp_path, monkeypatch):
    """A function that makes this process one of the user whose home is called so."""

    def become(name):
        home = tmp_path / name
        home.mkdir(exist_ok=True)
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.delenv("COURSE_HOME", raising=False)
        return home

    return become


def files(root):
    return sorted(path.relative_to(root) for path in root.rglob("*"))


def test_two_users_have_a_copy_each(shared, as_user, capsys):
    before, names = files(shared), sorted(p.name for p in shared.glob("lessons/*.ipynb"))
    for name in ("ada", "ben"):
        home = as_user(name)
        assert cli.main(["lab", "--copies-only"]) == 0
        assert f"The lessons are in {home / 'intriguing-course'}." in capsys.readouterr().out
        assert storage.home() == (home / ".intriguing-course").resolve()
        copies = home / "intriguing-course"
        assert sorted(path.name for path in copies.glob("*.ipynb")) == names
        (copies / names[0]).write_text(name, encoding="utf-8")
    home = as_user("ada")
    assert cli.main(["lab", "--copies-only"]) == 0
    assert (home / "intriguing-course" / names[0]).read_text(encoding="utf-8") == "ada"
    assert files(shared) == before


def test_the_kernels_get_the_same_home(shared, as_user, monkeypatch):
    home, started = as_user("ada"), []
    monkeypatch.setattr(cli, "replace_process", lambda *a, **k: started.append((a, k)) or 0)
    assert cli.main(["lab"]) == 0
    [((command, folder), _)] = started
    assert folder == home / "intriguing-course"
    assert f"--ServerApp.root_dir={folder}" in command
    # what starts kernels in another way, as a JupyterHub does, has nothing to set
    assert "COURSE_HOME" not in os.environ
    assert storage.home() == (home / ".intriguing-course").resolve()


def test_a_home_that_is_set_is_taken(shared, as_user, monkeypatch, tmp_path):
    as_user("ada")
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "elsewhere"))
    assert cli.main(["lab", "--copies-only"]) == 0
    assert storage.home() == tmp_path / "elsewhere"


def test_whose_a_checkout_is(shared, as_user, monkeypatch):
    as_user("ada")
    assert not storage.is_ours(shared)
    assert workcopy.default_folder() == Path.home() / "intriguing-course"
    monkeypatch.setattr(os, "geteuid", lambda: shared.stat().st_uid)
    assert storage.is_ours(shared)
    assert workcopy.default_folder() == shared / "work"
    # one's own, on a disk that is read-only
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert not storage.is_ours(shared)


def test_the_copies_that_one_has_in_it_stay_in_use(shared, as_user, monkeypatch):
    as_user("ada")
    work = shared / "work"
    work.mkdir()
    other = shared.stat().st_uid + 1
    real = Path.stat

    def stat(path, **settings):
        found = real(path, **settings)
        if path == work:
            return os.stat_result([*found[:4], other, *found[5:10]])
        return found

    monkeypatch.setattr(Path, "stat", stat)
    assert workcopy.default_folder() == work


def test_without_jupyter_and_without_a_browser(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cli, "replace_process", lambda *a, **k: pytest.fail("something started"))
    assert cli.main(["lab", "--copies-only", "--folder", str(tmp_path / "mine")]) == 0
    assert (tmp_path / "mine" / "00_start_here.ipynb").is_file()
    assert f"The lessons are in {tmp_path / 'mine'}." in capsys.readouterr().out


def run_as(user, home, *command):
    env = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    env["PYTHONPATH"] = str(storage.PACKAGE.parent)
    return subprocess.run(
        command, env=env, cwd=home, user=user, group=user, extra_groups=[],
        capture_output=True, text=True,
    )  # fmt: skip


def python_for(user, home):
    """A Python that another user may start, and that finds the course; None if there is none."""
    asked = "import sys, course_lib; assert sys.version_info >= (3, 11)"
    for python in (sys.executable, shutil.which("python3", path="/usr/bin:/usr/local/bin")):
        try:
            if python and run_as(user, home, python, "-c", asked).returncode == 0:
                return python
        except PermissionError:
            continue
    return None


@pytest.mark.skipif(not hasattr(os, "setuid") or os.getuid() != 0, reason="only root has others")
def test_as_users_of_the_system():
    """Root's own checkout, and two users who may read it and no more."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        for user in (61001, 61002):
            home = Path(place) / str(user)
            home.mkdir()
            os.chown(home, user, user)
            python = python_for(user, home)
            if python is None:
                pytest.skip("other users may not start Python, or not read this checkout")
            done = run_as(user, home, python, "-m", "course_lib", "lab", "--copies-only")
            assert done.returncode == 0, done.stderr
            copy = home / "intriguing-course" / "00_start_here.ipynb"
            assert copy.stat().st_uid == user
            # a kernel that something else started, as a JupyterHub does
            code = "from course_lib.exercises import store; store.update(lambda data: None)"
            done = run_as(user, home, python, "-c", code)
            assert done.returncode == 0, done.stderr
            assert next((home / ".intriguing-course").iterdir()).stat().st_uid == user
