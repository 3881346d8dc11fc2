"""Where the course writes, and how: one configurable folder, and no file that is half written."""

import atexit
import contextlib
import functools
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
ASSETS = PACKAGE / "_assets"


def checkout() -> Path | None:
    """The repository that this package lies in, or None where it was installed from a wheel."""
    root = PACKAGE.parent
    return root if (root / "pyproject.toml").is_file() and (root / "lessons").is_dir() else None


def released() -> Path:
    """The folder of the lessons as they are handed out."""
    root = checkout()
    return root / "lessons" if root else PACKAGE / "_lessons"


def is_ours(root: Path) -> bool:
    """Whether a learner's own files belong into the checkout ``root``: it is this user's.

    What several users share is nobody's place for answers, be it writable or not; a checkout of
    root's own counts as one's own for root alone. Windows is not asked, which has no owners of this
    kind.
    """
    if not hasattr(os, "geteuid"):
        return True
    for folder in (root, root / "work"):  # an older copy of one's own in it stays in use
        with contextlib.suppress(OSError):
            owner = folder.stat().st_uid
            if os.geteuid() in (owner, 0) and os.access(folder, os.W_OK):
                return True
    return False


def home() -> Path:
    """The folder for everything that the course writes: networks trained on demand, progress.

    ``$COURSE_HOME`` if set; else, where nbgrader executes, a fresh folder of this process alone,
    so that no student's predictions and answers are seen in another's notebook, and none of them
    becomes the instructor's progress; else ``.course`` in the checkout where that is this user's;
    else ``~/.intriguing-course``, whoever starts the kernel. It is made when something is first
    written, not here. Raises OSError, with a sentence, where the system does not know whose folder
    is meant.
    """
    chosen = os.environ.get("COURSE_HOME")
    try:
        if chosen:
            return Path(chosen).expanduser().resolve()
        if graded():
            return _of_this_run(os.getpid())
        root = checkout()
        return root / ".course" if root and is_ours(root) else Path.home() / ".intriguing-course"
    except (RuntimeError, OSError) as error:
        said = f"COURSE_HOME is {chosen!r}" if chosen else "COURSE_HOME is not set"
        reason = " ".join(str(error).split()).rstrip(".")
        raise OSError(f"{said} ({reason}): set it to a folder that you may write to") from None


def graded() -> bool:
    """Whether nbgrader executes this notebook: autograding, or validating it."""
    return bool(os.environ.get("NBGRADER_EXECUTION"))


@functools.cache
def _of_this_run(process: int) -> Path:
    """A temporary folder for the run that ``process`` is; gone when it ends in its own way."""
    folder = Path(tempfile.mkdtemp(prefix="course-graded-")).resolve()

    def remove():
        if os.getpid() == process:  # a fork of it ends earlier
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


@contextlib.contextmanager
def atomic(path: Path):
    """Yield a temporary path beside ``path``; on success it takes ``path``'s place at once.

    A reader sees the old file or the whole new one, never a part, also when the process is killed
    in between. On an exception the temporary file is removed and ``path`` is left as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    try:
        yield Path(name)
        # mkstemp makes a file for its owner alone; give it what the process's umask allows
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 with Unix line ends, whole or not at all."""
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


def sha256(path: Path) -> str:
    """The SHA-256 sum of a file, in hexadecimal."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
