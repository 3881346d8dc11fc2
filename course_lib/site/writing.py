"""Run Sphinx on the sources, and put the site into a folder that holds nothing else."""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from .. import __version__, storage, workcopy, writable
from ..guide.lesson import chosen, read
from ..guide.writing import refuse as refuse_learners_folders
from .pages import SiteError, files

RECORD = "site.json"  # what this command has written here
PACKAGES = ("sphinx", "myst-nb", "furo", "sphinx-mathjax-offline")
SETTINGS = Path(__file__).with_name("sphinx")


def site(
    output: str | Path = "site", asked: list[str] | None = None, guide: bool = False
) -> list[str]:
    """Build the site of the lessons ``asked`` (None: all of them); what was done, in words.

    Raises WorkError for a lesson that does not exist, GuideError for a folder of learners where
    ``guide`` is asked for, and SiteError, having written nothing, where the packages are missing,
    the folder holds other things, the report is missing, or Sphinx fails.
    """
    if storage.checkout() is None:
        raise SiteError(
            "The site is made from the solved lessons, which come with the repository and not with "
            "the installed package: clone it, and run `python3 start.py site` there."
        )
    names = chosen(asked)
    needed()
    folder = Path(output).expanduser().resolve()
    before = judged(folder)
    if guide:
        refuse_learners_folders(folder)
    _solved(names)
    sources = files([read(name) for name in names], guide)
    with tempfile.TemporaryDirectory(prefix="course-site-") as temporary:
        made = Path(temporary, "html")
        warnings = build(sources, Path(temporary, "source"), made)
        count = _put(made, folder, before)
    told = [f"Written: {folder / 'index.html'}, {len(names)} lessons, {count} files"]
    if warnings:
        told += [f"Sphinx warned {len(warnings)} times:", *warnings]
    if guide:
        told.append("The site holds the instructor's guide: keep it from the learners.")
    return told


def needed() -> None:
    """Raise SiteError if a package of the extra is missing."""
    missing = []
    for name in PACKAGES:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        raise SiteError(
            f"The site needs {', '.join(missing)}, not installed here: `python3 start.py site` "
            "installs what is missing and builds it (elsewhere: pip install -e '.[site]')."
        )


def judged(folder: Path) -> list[str]:
    """The files that an earlier site has put into ``folder``; SiteError if others lie there."""
    if folder.exists() and not folder.is_dir():
        raise SiteError(f"{folder} is a file: name a folder with --output FOLDER.")
    if not folder.exists():
        return []
    try:
        before = [str(name) for name in json.loads((folder / RECORD).read_text("utf-8"))["files"]]
    except (OSError, ValueError, KeyError, TypeError):
        before = []
    known = {*before, RECORD} if before else set()
    there = sorted(p for p in folder.rglob("*") if not p.is_dir())
    others = [p for p in there if p.relative_to(folder).as_posix() not in known]
    if others:
        raise SiteError(
            f"{others[0]} is not the site's. Nothing was written: name an empty folder, or one "
            "that is not there yet, with --output FOLDER."
        )
    return before


def _solved(names: list[str]) -> None:
    """Raise SiteError for a solved notebook that was never run."""
    for name in names:
        path = storage.checkout() / "solutions" / f"{name}.ipynb"
        code = [c for c in workcopy.load(path)["cells"] if c.get("cell_type") == "code"]
        if code and not any(cell.get("outputs") for cell in code):
            raise SiteError(
                f"{path} has no outputs: `course build {name[:2]}` runs it, and the site shows it."
            )


def build(sources: dict[str, bytes], source: Path, made: Path) -> list[str]:
    """Write ``sources`` into ``source`` and let Sphinx build ``made``; its warnings.

    In a process of its own: Sphinx changes much of the one that it runs in. Raises SiteError with
    Sphinx's last words if it fails.
    """
    for name, content in sources.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    log = source.with_name("warnings.txt")
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", "-w", str(log)]
    command += ["-c", str(SETTINGS), "-d", str(source.with_name("doctrees"))]
    paths = [str(storage.PACKAGE.parent), os.environ.get("PYTHONPATH")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    # what a default is drawn from must not depend on the machine that builds
    environment |= {"COURSE_DEVICE": "cpu", "NO_COLOR": "1"}
    environment["COURSE_SITE_EXTRA"] = str(source / "extra")
    done = subprocess.run(
        [*command, str(source), str(made)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode:
        said = "\n".join(done.stdout.strip().splitlines()[-5:])
        raise SiteError(
            f"Sphinx could not build the site, and nothing was written. It said: {said}"
        )
    lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
    return [line.replace(str(source) + os.sep, "") for line in lines if line.strip()]


def _put(made: Path, folder: Path, before: list[str]) -> int:
    """Move the finished site into ``folder``, in the place of an earlier one; its files' number."""
    for part in (".buildinfo", ".doctrees", "objects.inv"):
        path = made / part
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    names = sorted(p.relative_to(made).as_posix() for p in made.rglob("*") if p.is_file())
    with writable.told(folder, SiteError):
        about = {"version": __version__, "files": sorted({*before, *names})}
        storage.write_text(folder / RECORD, json.dumps(about, indent=1) + "\n")
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(made / name, folder / name)
        for name in set(before) - set(names):
            (folder / name).unlink(missing_ok=True)
        about["files"] = names
        storage.write_text(folder / RECORD, json.dumps(about, indent=1) + "\n")
    return len(names)
