"""What the set-up installs: constraints.txt, and that there are wheels for every system and Python.

    python -m course_lib.authoring.wheels              the matrix; every gap is named
    python -m course_lib.authoring.wheels --write      the same, kept in docs/PLATFORMS.md
    python -m course_lib.authoring.wheels --quick      without pip's dry run (minutes, gigabytes)
    python -m course_lib.authoring.wheels --freeze     what is installed here, as constraints.txt

Two tools, because neither is enough. pip's ``--platform`` chooses wheels for another system, but
evaluates the conditions of requirements (``; platform_system == "Linux"``) for the system that it
runs on. uv resolves for another system with its conditions, so it says *what* would be installed;
then pip, with ``--dry-run --no-deps``, says whether there is a wheel of each of these. uv is needed
for this alone: ``python -m pip install uv``. A network is needed, as for any installation.
"""

import argparse
import dataclasses
import datetime
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .. import storage

COURSE = "intriguing-properties-course"
BY_HAND = "\n## Other places\n"
EXTRAS = ("test", "photographs", "classroom", "cluster")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
# torch pins these itself, differently on each system; pip and setuptools are not the course's
NOT_PINNED = re.compile(r"(nvidia-.*|cuda-.*|triton|pip|setuptools|intriguing-properties-course)$")
HEADER = """\
# The versions that the course was tested with; start.py installs these (`--newest` does not).
# torch and torchvision go together: change both or neither. CUDA's parts are pinned by torch.
#
# To remake it: python3 start.py setup test --newest; python3 start.py test; then
#     .venv/bin/python -m course_lib.authoring.wheels --freeze > constraints.txt
#     .venv/bin/python -m course_lib.authoring.wheels --write
# Made on {date} with Python {python} on {system}.
"""


@dataclasses.dataclass(frozen=True)
class Target:
    """A system to install on: its name here, for uv, and the platform tags it takes, for pip."""

    name: str
    uv: str
    tags: tuple[str, ...]


def _manylinux(machine: str) -> tuple[str, ...]:
    # glibc 2.28 is what torch needs: a system that has it takes all wheels for older ones
    old = [f"manylinux2014_{machine}", f"manylinux2010_{machine}", f"manylinux1_{machine}"]
    return (*(f"manylinux_2_{minor}_{machine}" for minor in range(28, 4, -1)), *old)


TARGETS = (
    Target("Linux x86_64", "x86_64-manylinux_2_28", _manylinux("x86_64")),
    Target("Linux aarch64", "aarch64-manylinux_2_28", _manylinux("aarch64")),
    Target("Windows amd64", "x86_64-pc-windows-msvc", ("win_amd64",)),
    Target(
        "macOS 14 arm64",
        "aarch64-apple-darwin",
        tuple(
            f"macosx_{v}_0_{kind}" for v in range(14, 10, -1) for kind in ("arm64", "universal2")
        ),
    ),
)


def find_uv() -> list[str]:
    """The command that runs uv. Raises FileNotFoundError, with what to do, if there is none."""
    if importlib.util.find_spec("uv"):
        return [sys.executable, "-m", "uv"]
    if shutil.which("uv"):
        return ["uv"]
    raise FileNotFoundError("uv is needed to resolve for other systems: python -m pip install uv")


def resolve(
    uv: list[str],
    root: Path,
    target: Target,
    python: str,
    extras: tuple[str, ...] = (),
    keep: Path | None = None,
) -> tuple[list[str], str]:
    """What would be installed on ``target``: ["torch==2.15.0", ...], and "" or what is wrong.

    "3.11" means 3.11.0 and later, so a package that needs 3.11.5 is wrong. keep: a file of versions
    to keep as far as possible, which is overwritten; else constraints.txt is strictly respected.
    """
    command = [*uv, "pip", "compile", "pyproject.toml"]
    command += ["--output-file", str(keep)] if keep else ["--constraint", "constraints.txt"]
    command += ["--python-platform", target.uv, "--python-version", python]
    command += ["--only-binary", ":all:", "--no-header", "--no-annotate", "--quiet", "--no-config"]
    for extra in extras:
        command += ["--extra", extra]
    done = subprocess.run(
        command,
        cwd=root,
        capture_output=True,
        text=True,
        # uv assumes an older macOS otherwise
        env=os.environ | {"MACOSX_DEPLOYMENT_TARGET": "14.0", "UV_PYTHON_DOWNLOADS": "never"},
    )
    if done.returncode:
        return [], " ".join(done.stderr.replace("╰─▶", " ").split())
    text = keep.read_text(encoding="utf-8") if keep else done.stdout
    return [line for line in text.splitlines() if "==" in line], ""


def missing_wheels(pins: list[str], target: Target, python: str) -> list[str]:
    """Those of ``pins`` of which pip finds no wheel for ``target``, by dry runs.

    Raises RuntimeError with pip's words if it fails in another way (no network, say).
    """
    gaps: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        while True:
            listed = Path(folder, "pins.txt")
            listed.write_text("\n".join(p for p in pins if p not in gaps), encoding="utf-8")
            command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "--quiet"]
            command += ["--ignore-installed", "--only-binary=:all:", "--target", f"{folder}/none"]
            command += ["--implementation", "cp", "--python-version", python]
            for tag in target.tags:
                command += ["--platform", tag]
            done = subprocess.run(
                [*command, "--requirement", str(listed)], capture_output=True, text=True
            )
            if done.returncode == 0:
                return gaps
            found = re.search(r"No matching distribution found for (\S+)", done.stderr)
            if not found or found.group(1) not in pins or found.group(1) in gaps:
                raise RuntimeError(f"pip's dry run failed: {done.stderr.strip()[-2000:]}")
            gaps.append(found.group(1))


@dataclasses.dataclass(frozen=True)
class Cell:
    """What came out for one system and one Python."""

    target: str
    python: str
    base: int  # packages in the learner's set, 0 where it cannot be resolved
    test: int  # and with what the tests and all extras need
    torch: str
    problems: tuple[str, ...]


def examine(
    uv: list[str], root: Path, target: Target, python: str, quick: bool, seen: set[str]
) -> Cell:
    """Resolve for one system and Python, and look for the wheels unless ``quick``.

    seen: what pip has found for this system and does not depend on Python (CUDA's gigabytes).
    """
    problems = []
    base, wrong = resolve(uv, root, target, python)
    if wrong:
        problems.append(f"base set: {wrong}")
    full, wrong = resolve(uv, root, target, python, EXTRAS)
    if wrong:
        problems.append(f"with the tests and extras: {wrong}")
    pins = full or base
    if pins and not quick:
        gaps = missing_wheels([p for p in pins if p not in seen], target, python)
        problems += [f"pip finds no wheel of {gap}" for gap in gaps]
        seen.update(p for p in pins if p.startswith("nvidia-") and p not in gaps)
    torch = next((p.partition("==")[2] for p in pins if p.startswith("torch==")), "none")
    return Cell(target.name, python, len(base), len(full), torch, tuple(problems))


def matrix(cells: list[Cell]) -> str:
    """The cells as a Markdown table, and below it every gap."""
    pythons = sorted({c.python for c in cells}, key=lambda v: tuple(map(int, v.split("."))))
    lines = ["| system | " + " | ".join(f"Python {p}" for p in pythons) + " |"]
    lines += ["|---" * (len(pythons) + 1) + "|"]
    for name in dict.fromkeys(c.target for c in cells):
        row = {c.python: c for c in cells if c.target == name}
        shown = [
            f"{'**gap**' if row[p].problems else 'all'}: {row[p].base} / {row[p].test}, "
            f"torch {row[p].torch}"
            for p in pythons
        ]
        lines.append(f"| {name} | " + " | ".join(shown) + " |")
    gaps = [f"- {c.target}, Python {c.python}: {p}" for c in cells for p in c.problems]
    return "\n".join([*lines, "", *(gaps or ["No gaps."])]) + "\n"


def page(cells: list[Cell], quick: bool, before: str = "") -> str:
    """docs/PLATFORMS.md; what ``before``, the page as it was, says by hand stays below."""
    by_hand = before.partition(BY_HAND)
    by = "uv's resolution" if quick else "uv's resolution and pip's dry run"
    return (
        "# Where the tested versions can be installed\n\n"
        f"Written on {datetime.date.today()} by `python -m course_lib.authoring.wheels --write`, "
        'not by hand; what stands\nbelow "Other places" is.\n\n'
        f"For each system and Python, whether {by}\n"
        "find a wheel of every package under `constraints.txt`. The two numbers: packages in a\n"
        "learner's set, and with those that the tests and all extras need (photographs, nbgrader,\n"
        "a cluster).\n"
        "Linux means glibc 2.28 or newer. torch has no wheels for Intel Macs, for\n"
        "32-bit Pythons and for musl (Alpine); macOS 13 gets an older torch with\n"
        "`start.py --newest`. That a wheel is there does not say that the tests were run with it:\n"
        "they were run on Linux x86_64.\n\n" + matrix(cells) + "".join(by_hand[1:])
    )


def installed(extras: tuple[str, ...] = ("test",)) -> dict[str, str]:
    """Name and version of what the course needs, directly or not, as it is installed here.

    Raises PackageNotFoundError if something is not.
    """
    versions: dict[str, str] = {}
    queue = [(COURSE, extras)]
    done = set()
    while queue:
        name, wanted = queue.pop()
        for line in importlib.metadata.requires(name) or []:
            need = Requirement(line)
            holds = need.marker is None or any(
                need.marker.evaluate({"extra": extra}) for extra in ("", *wanted)
            )
            item = (canonicalize_name(need.name), tuple(sorted(need.extras)))
            if holds and item not in done:
                done.add(item)
                queue.append(item)
                versions[item[0]] = importlib.metadata.version(item[0]).partition("+")[0]
    return {name: versions[name] for name in sorted(versions) if not NOT_PINNED.match(name)}


def freeze(uv: list[str], root: Path) -> str:
    """constraints.txt: what is installed here, and what only other systems and Pythons need.

    A package that does not run on all of the Pythons (``requires-python >= 3.11.5``) is replaced
    by its newest version that does, and named on the error stream: install that one, test again.
    """
    pins = installed()
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(root / "pyproject.toml", folder)
        kept = Path(folder, "kept.txt")
        for target in TARGETS:
            for python in (PYTHONS[0], PYTHONS[-1]):
                text = "".join(f"{n}=={v}\n" for n, v in pins.items())
                kept.write_text(text, encoding="utf-8")
                found, wrong = resolve(uv, Path(folder), target, python, ("test",), kept)
                if wrong:
                    print(f"{target.name}, Python {python}: {wrong}", file=sys.stderr)
                for name, version in (line.split("==") for line in found):
                    if pins.get(name, version) != version:
                        print(f"{name}: {version} instead of {pins[name]}", file=sys.stderr)
                    pins[name] = version
    header = HEADER.format(
        date=datetime.date.today(), python=platform.python_version(), system=platform.system()
    )
    lines = [f"{n}=={pins[n]}" for n in sorted(pins) if not NOT_PINNED.match(n)]
    return header + "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> int:
    """The exit status: 0, or 1 if there is a gap, or 2 if a tool is missing."""
    parser = argparse.ArgumentParser(prog="wheels", description=__doc__.partition("\n")[0])
    parser.add_argument("--freeze", action="store_true", help="print constraints.txt")
    parser.add_argument("--quick", action="store_true", help="leave out pip's dry run")
    parser.add_argument("--write", action="store_true", help="write docs/PLATFORMS.md")
    options = parser.parse_args(argv)
    root = storage.checkout()
    try:
        if root is None:
            raise FileNotFoundError("Run this from the course's repository.")
        uv = find_uv()
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2
    if options.freeze:
        print(freeze(uv, root), end="")
        return 0
    cells = []
    for target in TARGETS:
        seen: set[str] = set()
        for python in PYTHONS:
            cells.append(examine(uv, root, target, python, options.quick, seen))
            print(f"{target.name}, Python {python}: {cells[-1]}", file=sys.stderr)
    print(matrix(cells), end="")
    if options.write:
        path = root / "docs" / "PLATFORMS.md"
        storage.write_text(path, page(cells, options.quick, path.read_text(encoding="utf-8")))
    return 1 if any(cell.problems for cell in cells) else 0


if __name__ == "__main__":
    sys.exit(main())
