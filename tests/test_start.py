"""start.py for real, on a project that is installed in a second and needs no network.

The project is a copy of start.py beside a pyproject.toml without dependencies, whose build backend
(BACKEND below) writes its editable wheel by hand; pip, virtual environments, signals are real.
"""

import ast
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
POSIX = os.name == "posix"
posix_only = pytest.mark.skipif(not POSIX, reason="sends POSIX signals")

PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "tiny"
version = "0.1"
dependencies = [{dependencies}]
[project.optional-dependencies]
photographs = ["pip"]
test = ["pip"]
"""

BACKEND = """
import os, time, zipfile
from pathlib import Path
ROOT = Path(__file__).parent
def build_editable(folder, config_settings=None, metadata_directory=None):
    with open(ROOT / "builds.txt", "a") as f:
        f.write(f"{os.getpid()}\\n")
    if (ROOT / "slow.txt").exists():
        time.sleep(float((ROOT / "slow.txt").read_text()))
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    needs = next(line for line in lines if line.startswith("dependencies"))
    needs = [f"Requires-Dist: {n}\\n" for n in eval(needs.partition("=")[2])]
    files = {
        "tiny.pth": f"{ROOT}\\n",
        "tiny-0.1.dist-info/METADATA": "Metadata-Version: 2.1\\nName: tiny\\nVersion: 0.1\\n"
        + "Provides-Extra: test\\nRequires-Dist: pip ; extra == 'test'\\n" + "".join(needs),
        "tiny-0.1.dist-info/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\n"
        + "Tag: py3-none-any\\n",
    }
    files["tiny-0.1.dist-info/RECORD"] = "".join(f"{name},,\\n" for name in files)
    with zipfile.ZipFile(Path(folder, "tiny-0.1-py3-none-any.whl"), "w") as z:
        for name, text in files.items():
            z.writestr(name, text)
    return "tiny-0.1-py3-none-any.whl"
"""

COURSE = """
import json, os, sys
print(json.dumps({"args": sys.argv[1:], "pid": os.getpid(), "python": sys.executable,
                  "venv": os.environ.get("VIRTUAL_ENV")}))
sys.exit(7 if "fail" in sys.argv else 0)
"""


def make_project(folder: Path, dependencies: str = "") -> Path:
    (folder / "course_lib").mkdir(parents=True)
    shutil.copy(REPOSITORY / "start.py", folder)
    (folder / "pyproject.toml").write_text(PYPROJECT.format(dependencies=dependencies))
    (folder / "constraints.txt").write_text("")
    (folder / "backend.py").write_text(BACKEND)
    (folder / "course_lib" / "__main__.py").write_text(COURSE)
    return folder


def environment(**more: str) -> dict[str, str]:
    """This process's environment, without what would lead pip to a network."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "COURSE_", "PYTHON"))}
    return kept | {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",  # nobody listens there
        "PIP_RETRIES": "0",
        "PIP_NO_CACHE_DIR": "1",
        **more,
    }


def start(project: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "start.py", *arguments],
        cwd=project,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=300,
    )


def launch(project: Path, *arguments: str) -> subprocess.Popen:
    """start.py in the background, in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "start.py", *arguments],
        cwd=project,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # pytest may run where SIGINT is ignored (in the background of a shell)
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def builds(project: Path) -> list[int]:
    path = project / "builds.txt"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def wait_until(condition, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:  # a zombie whose new parent has not looked yet is dead, too
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return sys.platform != "linux"


def stamp_of(project: Path) -> dict:
    return json.loads((project / ".venv" / "course-installed.json").read_text())


def python_of(project: Path) -> Path:
    return project / ".venv" / ("bin/python" if POSIX else "Scripts/python.exe")


def site_of(project: Path) -> Path:
    return next((project / ".venv").glob("lib/python*/site-packages" if POSIX else "Lib/site-*"))


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Path:
    return make_project(tmp_path_factory.mktemp("shared") / "project")


@pytest.fixture
def project(shared) -> Path:
    """A project that is set up; tests may break it, the next one gets it repaired."""
    done = start(shared, "setup", "--tested")
    assert done.returncode == 0, done.stdout + done.stderr
    return shared


@pytest.fixture
def module(monkeypatch, tmp_path):
    """start.py as a module, whose environment would be in tmp_path."""
    monkeypatch.setenv("COURSE_VENV", str(tmp_path / "venv"))
    spec = importlib.util.spec_from_file_location("start", REPOSITORY / "start.py")
    start = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(start)
    return start


# What is missing ------------------------------------------------------------------------------


def test_old_python_is_told_its_version(module, monkeypatch, capsys):
    assert module.too_old((3, 11, 0)) is None
    monkeypatch.setattr(module.sys, "version_info", (3, 8, 1, "final", 0))
    monkeypatch.setattr(module.subprocess, "call", lambda *a, **k: 1)  # and there is no other
    monkeypatch.setattr(module, "set_up", lambda *a, **k: pytest.fail("it went on"))
    assert module.main(["lab"]) == 1
    assert "Python 3.11 or newer is needed; this is Python 3.8.1." in capsys.readouterr().err


def test_old_python_is_told_of_a_newer_one(module, monkeypatch):
    tried = []

    def call(command, **_):
        tried.append(command[0])
        if command[0] == "python3.13":
            raise OSError  # not installed
        return 0 if command[0] == "python3.12" else 127  # 127: a version manager's empty shell

    monkeypatch.setattr(module.subprocess, "call", call)
    assert module.too_old((3, 6, 1)).endswith("on this machine: python3.12 start.py")
    assert tried == ["python3.14", "python3.13", "python3.12"]


def test_start_is_written_in_a_language_that_old_pythons_parse():
    tree = ast.parse((REPOSITORY / "start.py").read_text(encoding="utf-8"))
    new = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.Match, ast.YieldFrom, ast.Nonlocal)
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        assert not isinstance(node, new), f"line {line}: {type(node).__name__}"
        assert not (isinstance(node, ast.Raise) and node.cause), f"line {line}: raise ... from"
        if isinstance(node, ast.FunctionDef):
            arguments = node.args
            assert not arguments.kwonlyargs + arguments.posonlyargs, f"line {line}: * or /"
            assert not node.returns, f"line {line}: ->"
            assert not any(a.annotation for a in arguments.args), f"line {line}: annotation"
        if isinstance(node, ast.List | ast.Tuple) and isinstance(node.ctx, ast.Load):
            assert not any(isinstance(e, ast.Starred) for e in node.elts), f"line {line}: [*x]"


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.8", "3.10"])
def test_real_old_pythons_say_the_sentence(version, tmp_path):
    found = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    name = str(found[0]) if found else shutil.which(f"python{version}")
    if not name or subprocess.call([name, "-c", ""], stderr=subprocess.DEVNULL):
        pytest.skip(f"there is no Python {version} on this machine")
    shutil.copy(REPOSITORY / "start.py", tmp_path)
    done = subprocess.run([name, "start.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"Python 3.11 or newer is needed; this is Python {version}." in done.stderr
    assert "Traceback" not in done.stderr


FINE = {
    "system": "Linux",
    "machine": "x86_64",
    "bits": 64,
    "implementation": "cpython",
    "free_threaded": False,
    "libc": "x86_64-pc-linux-gnu",
    "mac": (),
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, None),
        ({"machine": "aarch64"}, None),
        ({"system": "Windows", "machine": "AMD64", "libc": "None"}, None),
        ({"system": "Darwin", "machine": "arm64", "mac": (14, 5)}, None),
        ({"system": "Darwin", "machine": "arm64", "mac": (13, 6)}, "macOS 14 or newer"),
        ({"system": "Darwin", "machine": "x86_64", "mac": (14, 5)}, "no longer made for Intel"),
        ({"bits": 32}, "64-bit Python"),
        ({"implementation": "pypy"}, "CPython only; this is pypy"),
        ({"free_threaded": True}, "free-threaded"),
        ({"libc": "x86_64-alpine-linux-musl"}, "musl"),
    ],
)
def test_pythons_without_torch_are_told_so(module, change, words):
    found = module.wrong_build(**(FINE | change))
    assert found is None if words is None else words in found


def test_this_python_can_be_used(module):
    module.check_machine(newest=False)


@pytest.mark.parametrize("name", ["venv", "ensurepip"])
def test_missing_venv_names_the_debian_package(module, monkeypatch, name):
    real = importlib.util.find_spec
    assert module.missing_module() is None
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n == name else real(n))
    monkeypatch.setattr(module, "ROOM", {"Linux": (0, 0)})
    with pytest.raises(module.Stop, match=rf"no module {name}.*apt install python3\.\d+-venv"):
        module.set_up([], newest=False)
    assert not os.path.exists(module.PYTHON)


def test_too_little_room_says_how_much(module, monkeypatch):
    os.makedirs(module.VENV)
    monkeypatch.setattr(module.platform, "system", lambda: "Linux")
    monkeypatch.setattr(module, "ROOM", {"Linux": (6.0, 3.0)})
    room = {"free": 8.9}
    usage = type("usage", (), {"free": property(lambda self: room["free"] * 1e9)})
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage())
    with pytest.raises(module.Stop, match=r"8\.9 GB are free .* 9\.0 GB are needed.*COURSE_VENV"):
        module.check_room()
    room["free"] = 9.1  # enough, but not for a second copy of the downloads
    assert module.check_room() == ["--no-cache-dir"]
    room["free"] = 12.1
    assert module.check_room() == []
    monkeypatch.setattr(module, "gigabytes", lambda folder: 5.9)  # most of it is there already
    room["free"] = 0.6
    assert module.check_room() == ["--no-cache-dir"]


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left", "full"),
        ("connection broken by 'NewConnectionError(': [Errno -2] Name or", "no network"),
        ("ReadTimeoutError(HTTPSConnectionPool(host=...): Read timed out.", "no network"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]", "proxy"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM", "damaged"),
        ("ERROR: No matching distribution found for torch==2.15.0", "--newest"),
        ("OSError: [Errno 2] ... HINT: enable Windows Long Path support", "too long"),
        ("[WinError 5] Access is denied", "may not be written"),
        ("ERROR: something else", "see above"),
    ],
)
def test_what_pip_says_becomes_a_sentence(module, log, words):
    assert words in module.explain(f"some line\n{log}\nanother line")


def test_without_a_network_it_says_so(project):
    (project / "pyproject.toml").write_text(PYPROJECT.format(dependencies='"not-installed-here"'))
    try:
        done = start(project, "setup")
    finally:
        (project / "pyproject.toml").write_text(PYPROJECT.format(dependencies=""))
    assert done.returncode == 1
    assert "there seems to be no network" in done.stderr
    assert "not-installed-here" in done.stdout + done.stderr  # pip's own words, live
    assert (project / ".venv" / "course-setup.log").stat().st_size > 0
    assert not (project / ".venv" / "course-installed.json").exists()
    # when there is what was missing, the same command goes on in the same environment
    again = start(project, "setup")
    assert again.returncode == 0, again.stderr
    assert "Going on with the environment" in again.stdout


def test_start_alone_says_what_is_missing(tmp_path):
    shutil.copy(REPOSITORY / "start.py", tmp_path)
    done = start(tmp_path)
    assert done.returncode == 1
    assert "pyproject.toml is missing: start.py needs the whole repository" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_a_folder_of_somebody_else_is_refused(tmp_path):
    project = make_project(tmp_path / "p")
    precious = tmp_path / "documents" / "thesis.txt"
    precious.parent.mkdir()
    precious.write_text("precious")
    done = start(project, "setup", COURSE_VENV=str(precious.parent))
    assert done.returncode == 1
    assert "is not a virtual environment" in done.stderr
    assert [p.name for p in precious.parent.iterdir()] == ["thesis.txt"]


# What is installed -----------------------------------------------------------------------------


def test_it_runs_the_command_in_the_environment(project):
    process = launch(project, "doctor", "--some", "x y") if POSIX else None
    if process:
        output, _ = process.communicate(timeout=60)
        said = json.loads(output)
        assert said["pid"] == process.pid  # no parent stays behind for a Ctrl-C to miss
    else:
        said = json.loads(start(project, "doctor", "--some", "x y").stdout)
    assert said["args"] == ["doctor", "--some", "x y"]
    assert Path(said["python"]).parent == python_of(project).parent
    assert Path(said["venv"]) == project / ".venv"
    assert start(project, "doctor", "fail").returncode == 7


def test_lab_is_the_default(project):
    assert json.loads(start(project).stdout)["args"] == ["lab"]
    assert json.loads(start(project, "--no-browser").stdout)["args"] == ["lab", "--no-browser"]


def test_help_sets_nothing_up(tmp_path):
    shutil.copy(REPOSITORY / "start.py", tmp_path)
    done = start(tmp_path, "--help")
    assert done.returncode == 0
    assert "python3 start.py test" in done.stdout


def test_second_run_is_quick(project):
    count = len(builds(project))
    began = time.monotonic()
    done = start(project, "setup")
    took = time.monotonic() - began
    assert done.stdout == "Ready: python3 start.py lab\n"
    assert len(builds(project)) == count
    assert took < 5, f"{took:.1f} s (half a second on an idle machine)"


def test_lab_does_not_install_what_the_tests_need(project):
    path = project / ".venv" / "course-installed.json"
    path.write_text(json.dumps(stamp_of(project) | {"extras": [], "wanted": "something else"}))
    assert start(project, "setup").returncode == 0
    assert stamp_of(project)["extras"] == ["photographs"]
    assert json.loads(start(project, "test", "-k", "x").stdout.splitlines()[-1])["args"] == [
        "test",
        "-k",
        "x",
    ]
    assert stamp_of(project)["extras"] == ["photographs", "test"]
    count = len(builds(project))
    assert start(project, "lab").returncode == 0
    assert len(builds(project)) == count  # more than needed is not undone


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_change_of_what_is_wanted_is_installed(project, name):
    count = len(builds(project))
    with (project / name).open("a") as f:
        f.write("# changed\n")
    done = start(project, "setup")
    assert done.returncode == 0
    assert "Bringing the course up to date" in done.stdout
    assert len(builds(project)) > count


def test_newest_leaves_the_constraints_out_and_stays(project):
    original = (project / "constraints.txt").read_text()
    (project / "constraints.txt").write_text("this is no constraint\n")
    try:
        done = start(project, "setup")
        assert done.returncode == 1  # so the constraints are read
        done = start(project, "setup", "--newest", PIP_NO_INDEX="1")
        assert done.returncode == 0, done.stdout + done.stderr
        assert stamp_of(project)["newest"] is True
        count = len(builds(project))
        assert start(project, "lab").returncode == 0
        assert start(project, "lab", "--newest").returncode == 0
        assert len(builds(project)) == count
    finally:
        (project / "constraints.txt").write_text(original)
    assert start(project, "setup", "--tested").returncode == 0
    assert stamp_of(project)["newest"] is False


def test_the_users_habits_do_not_lead_pip_elsewhere(project, tmp_path):
    (project / ".venv" / "course-installed.json").unlink()
    done = start(
        project, "setup", PIP_USER="1", PIP_TARGET=str(tmp_path / "t"), PYTHONPATH=str(tmp_path)
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "t").exists()
    assert (site_of(project) / "tiny-0.1.dist-info").is_dir()


def test_another_environment_that_is_active_is_left_alone(project, tmp_path):
    done = start(project, "doctor", VIRTUAL_ENV=str(tmp_path), CONDA_PREFIX=str(tmp_path))
    assert Path(json.loads(done.stdout)["venv"]) == project / ".venv"


# What is broken ------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["{", "[]", None])
def test_a_missing_or_damaged_stamp_is_repaired(project, content):
    path = project / ".venv" / "course-installed.json"
    path.unlink() if content is None else path.write_text(content)
    done = start(project, "setup")
    assert done.returncode == 0, done.stderr
    assert "Making a virtual environment" not in done.stdout
    assert stamp_of(project)["root"] == str(project)


@pytest.mark.skipif(not POSIX, reason="on Windows, python.exe is not a link")
def test_an_interpreter_that_is_gone_is_replaced(project):
    python_of(project).unlink()
    python_of(project).symlink_to("/nowhere/python3.11")
    done = start(project, "setup")
    assert done.returncode == 0, done.stderr
    assert "does not work (any more): making it anew" in done.stdout
    assert json.loads(start(project, "doctor").stdout)["args"] == ["doctor"]


@pytest.mark.parametrize(
    ("found", "stamp", "pip_works", "kept"),
    [
        ([3, 12], {}, True, True),
        ([3, 12], {"python": [3, 12]}, True, True),
        ([3, 12], {"python": [3, 11]}, True, False),  # /usr/bin/python3 was upgraded
        ([3, 12], {"root": "/elsewhere"}, True, False),
        ([3, 12], {}, False, False),
        ([3, 9], {}, True, False),
        (None, {}, True, False),
    ],
)
def test_what_can_go_on_and_what_is_made_anew(module, monkeypatch, found, stamp, pip_works, kept):
    os.makedirs(os.path.join(module.VENV, "old"))
    probes = iter([found and {"python": found}, {"python": [3, 12]}])
    commands = []
    monkeypatch.setattr(module, "probe", lambda extras: next(probes))
    monkeypatch.setattr(module.subprocess, "call", lambda *a, **k: 0 if pip_works else 1)
    monkeypatch.setattr(module, "run", lambda command: commands.append(command[1:3]) or 0)
    module.make_environment(stamp)
    assert commands == ([] if kept else [["-m", "venv"]])
    assert os.listdir(module.VENV) == (["old"] if kept else [])


def test_a_package_that_went_missing_is_noticed(project):
    shutil.rmtree(site_of(project) / "tiny-0.1.dist-info")
    done = start(project, "setup")
    assert done.returncode == 0, done.stderr
    assert (site_of(project) / "tiny-0.1.dist-info" / "RECORD").exists()


def test_a_damaged_pyproject_does_not_cost_the_environment(project):
    path = project / "pyproject.toml"
    good = path.read_text()
    path.write_text("<<<<<<< HEAD\n" + good)
    marker = site_of(project) / "marker.txt"
    marker.write_text("still there")
    try:
        assert start(project, "setup").returncode == 1
        assert marker.exists()
    finally:
        path.write_text(good)


def test_half_installed_packages_are_removed(project):
    site = site_of(project)
    (project / ".venv" / "course-installed.json").unlink()
    shutil.move(site / "tiny-0.1.dist-info" / "RECORD", site / "tiny-0.1.dist-info" / "METADATA")
    for name in ("half-1.0.dist-info", "~orch"):
        (site / name).mkdir()
        (site / name / "METADATA").write_text("Metadata-Version: 2.1\nName: half\nVersion: 1.0\n")
    done = start(project, "setup")
    assert done.returncode == 0, done.stderr
    assert not (site / "half-1.0.dist-info").exists()
    assert not (site / "~orch").exists()
    assert "Name: tiny" in (site / "tiny-0.1.dist-info" / "METADATA").read_text()


def test_a_moved_repository_gets_a_new_environment(tmp_path):
    project = make_project(tmp_path / "before")
    assert start(project, "setup").returncode == 0
    moved = project.rename(tmp_path / "after")
    done = start(moved, "doctor")
    assert done.returncode == 0, done.stderr
    assert "making it anew" in done.stdout
    said = json.loads(done.stdout.splitlines()[-1])
    assert Path(said["python"]).is_relative_to(moved)
    assert str(moved) in (site_of(moved) / "tiny.pth").read_text()


# What is interrupted ---------------------------------------------------------------------------


@posix_only
@pytest.mark.parametrize("how", ["Ctrl-C", "SIGINT to start.py alone", "SIGTERM", "SIGKILL"])
def test_an_interrupted_set_up_is_finished_by_the_next_one(project, how):
    (project / ".venv" / "course-installed.json").unlink()
    (project / "slow.txt").write_text("60")
    count = len(builds(project))
    process = launch(project, "setup")
    try:
        wait_until(lambda: len(builds(project)) > count or process.poll() is not None)
        time.sleep(0.2)
        if how == "Ctrl-C":
            os.killpg(process.pid, signal.SIGINT)
        elif how == "SIGKILL":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.send_signal(signal.SIGTERM if how == "SIGTERM" else signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    finally:
        (project / "slow.txt").unlink()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    if how != "SIGKILL":
        assert process.returncode == 130, output
        assert "Run the same command again: it goes on where it stopped." in output
        assert "start.py" not in output.rpartition("Interrupted.")[0] or "Traceback" not in output
    assert not (project / ".venv" / "course-installed.json").exists()
    if how in ("Ctrl-C", "SIGKILL"):
        wait_until(lambda: not alive(builds(project)[-1]), 10)
    done = start(project, "doctor")
    assert done.returncode == 0, done.stderr
    assert "Going on with the environment" in done.stdout
    assert json.loads(done.stdout.splitlines()[-1])["args"] == ["doctor"]


@posix_only
def test_two_at_once_wait_for_each_other(project):
    (project / ".venv" / "course-installed.json").unlink()
    (project / "slow.txt").write_text("4")
    count = len(builds(project))
    try:
        first = launch(project, "setup")
        wait_until(lambda: len(builds(project)) > count or first.poll() is not None)
        second = launch(project, "setup")
        outputs = [process.communicate(timeout=120)[0] for process in (first, second)]
    finally:
        (project / "slow.txt").unlink()
    assert [first.returncode, second.returncode] == [0, 0], outputs
    assert "Another start.py is setting the course up: waiting" in outputs[1]
    assert "Another start.py" not in outputs[0]
    assert len(builds(project)) == count + 1  # the second found everything done


@posix_only
def test_a_pip_that_outlives_its_start_keeps_the_lock(project):
    (project / ".venv" / "course-installed.json").unlink()
    (project / "slow.txt").write_text("4")
    count = len(builds(project))
    try:
        first = launch(project, "setup")
        wait_until(lambda: len(builds(project)) > count or first.poll() is not None)
        first.kill()  # start.py alone; pip goes on
        done = start(project, "setup")
        first.communicate(timeout=60)
    finally:
        (project / "slow.txt").unlink()
    assert done.returncode == 0, done.stderr
    assert "waiting until it has finished" in done.stdout


def test_windows_waits_for_the_course_through_a_ctrl_c(module, monkeypatch):
    waits = iter([KeyboardInterrupt, KeyboardInterrupt, 3])

    class Child:
        def __init__(self, command, env):
            self.command = command

        def wait(self):
            if isinstance(outcome := next(waits), int):
                return outcome
            raise outcome

    monkeypatch.setattr(module, "WINDOWS", True)
    monkeypatch.setattr(module.subprocess, "Popen", Child)
    assert module.hand_over(["lab"]) == 3


def test_no_registry_is_named():
    for name in ("start.py", "constraints.txt", "constraints-oldest.txt"):
        text = (REPOSITORY / name).read_text(encoding="utf-8")
        assert not re.search(r"https?://|--(extra-)?index-url|--find-links|file://", text), name
