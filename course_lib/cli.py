"""``course lab``, ``course test``, ``course train``, ...: what one does with the course."""

import argparse
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

from . import __version__, storage

FIRST_LESSON = "00"
# JupyterLab asks at its first start whether it may fetch news; the course needs no network
QUIET = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}


def quiet_jupyter() -> str:
    """The value of JUPYTER_CONFIG_PATH that adds :data:`QUIET` to the user's own settings."""
    folder = storage.home() / "jupyter"
    with contextlib.suppress(OSError):  # then JupyterLab asks; that is all
        storage.write_text(folder / "labconfig" / "page_config.json", json.dumps(QUIET))
    return os.pathsep.join(filter(None, [str(folder), os.environ.get("JUPYTER_CONFIG_PATH")]))


def replace_process(command: list[str], folder: Path | None = None, **variables: str) -> int:
    """Go on as ``command``: on POSIX in this very process, so that Ctrl-C reaches it and nothing
    is left behind; on Windows, which has no exec, as a child that this process waits for."""
    if folder:
        os.chdir(folder)
    environment = {**os.environ, **variables}
    if os.name == "posix":
        sys.stdout.flush()
        os.execvpe(command[0], command, environment)
    child = subprocess.Popen(command, env=environment)
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:  # the child got it, too; let it end in its own way
            continue


def lab(arguments) -> int:
    """Open the learner's copy of the lessons in JupyterLab."""
    from . import workcopy

    lesson = workcopy.find(arguments.lesson, workcopy.lessons())
    folder, messages = workcopy.prepare(arguments.folder)
    where = f"The lessons are in {folder}."
    if arguments.copies_only:
        print("\n".join([*messages, where]))
        return 0
    print("\n".join([*messages, f"{where} JupyterLab opens; Ctrl-C ends it."]))
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder}"]
    command += [f"--LabApp.default_url=/lab/tree/{lesson}.ipynb"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    command += arguments.rest
    # the lessons' kernels find the course, also when it was never installed
    paths = [str(storage.PACKAGE.parent), os.environ.get("PYTHONPATH")]
    path = os.pathsep.join(filter(None, paths))
    return replace_process(command, folder, JUPYTER_CONFIG_PATH=quiet_jupyter(), PYTHONPATH=path)


def test(arguments) -> int:
    """Run every test of the repository, the notebooks of both folders included."""
    from . import doctor as doctors

    root = storage.checkout()
    if root is None:
        raise FileNotFoundError(
            "The tests come with the repository, not with the installed package: clone it and run "
            "`python3 start.py test` there."
        )
    if importlib.util.find_spec("xdist") is None:
        raise RuntimeError(
            "The tests need packages that are not installed here: `python3 start.py test` installs "
            "them and runs the tests (elsewhere: pip install -e '.[test]')."
        )
    variables = {}
    if arguments.browser:
        if importlib.util.find_spec("playwright") is None or not doctors.chromium():
            raise RuntimeError(
                "The browser tests need Chromium or Chrome, and there is none: install it (Debian: "
                "sudo apt install chromium), or set CHROMIUM to its path. They are "
                "tests/test_lab_browser.py."
            )
        kept = os.environ.get("COURSE_SCREENSHOTS") or str(root / "screenshots")
        variables = {"COURSE_BROWSER": "1", "COURSE_SCREENSHOTS": kept}
        arguments.rest = ["tests/test_lab_browser.py", *arguments.rest]
        print(f"Every lesson in a browser; what it shows is kept in {kept}.", flush=True)
    workers = min(4, os.cpu_count() or 1)
    command = [sys.executable, "-m", "pytest", "-q"]
    # a file, or a test in it; the value of an option such as -k is neither
    chosen = [a for a in arguments.rest if (root / a.partition("::")[0]).exists()]
    if not chosen:
        command += ["tests", "lessons", "solutions"]
    command += ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=550"]
    # a notebook's cells belong together, so a file goes to one worker; conftest.py has the order
    command += ["-n", str(workers), "--dist", "loadfile", "--no-loadscope-reorder", *arguments.rest]
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // workers))
    # hundreds of Pythons start, and each would compile what it imports where none may keep that
    variables["PYTHONDONTWRITEBYTECODE"] = ""
    return replace_process(command, root, OMP_NUM_THREADS=threads, **variables)


def doctor(arguments) -> int:
    """Say what is there and whether it works: Python, device, torch, data, networks."""
    from . import doctor as examination

    lines, ok = examination.report()
    print("\n".join(lines))
    return 0 if ok else 1


def train(arguments) -> int:
    """Train networks again, or further seeds of them; --record remakes those of the course."""
    from . import record, zoo
    from .reproduce import networks

    names = arguments.names or list(zoo.RECIPES)
    for name in names:
        zoo.recipe(name)  # an unknown name is said before anything is trained
    if arguments.record:
        networks.make(names, progress=not arguments.quiet)
        return 0
    for name in names:
        for seed in arguments.seeds:
            card = record.train_and_save(name, seed, zoo.kept(), progress=not arguments.quiet)
            errors = ", ".join(f"{part} {error:.2%}" for part, error in card["scores"].items())
            print(f"{name}, seed {seed}: {errors}", flush=True)
    return 0


def reproduce(arguments) -> int:
    """Measure the paper's tables and figures here, and write a report of its claims."""
    from .reproduce import command

    schedulers = arguments.scheduler or [None]
    if len(schedulers) > 1:
        raise ValueError(
            f"Two schedulers were named ({' and '.join(schedulers)}): a run has one. To use both, "
            "start a run for each, with a --output of its own."
        )
    files = command.reproduce(
        arguments.tables,
        arguments.mode,
        arguments.output,
        schedulers[0],
        arguments.fresh,
        arguments.jobs,
        progress=not arguments.quiet,
    )
    print("\n".join(f"Written: {path}" for path in files))
    return 0


def build(arguments) -> int:
    """Write the notebooks from their sources, or say which are out of date."""
    from .authoring.build import build as build_lessons

    told: list[str] = []

    def tell(line):
        print(line, flush=True)
        told.append(line)

    outcomes = build_lessons(
        arguments.names or None,
        check=arguments.check,
        execute=not arguments.no_execute,
        log=tell,
    )
    problems = [str(outcome) for outcome in outcomes if not outcome.ok]
    if problems and told[-len(problems) :] != problems:  # other lines came after them
        print("", f"What is wrong ({len(problems)}):", *problems, sep="\n")
    return 1 if problems else 0


def progress(arguments) -> int:
    """Show which exercises are solved, which are open, and the minutes left."""
    from .exercises import progress as table

    print(table(arguments.lesson))
    return 0


def assign(arguments) -> int:
    """Write chosen exercises, or whole lessons, as an assignment for a class."""
    from .classroom import assign as assigning
    from .classroom import choice

    if arguments.lessons is not None:
        parts = choice.of_lessons(choice.words(arguments.lessons))
    else:
        parts = choice.of_exercises(choice.words(arguments.exercises))
    told = assigning.assign(arguments.name, parts, arguments.output, arguments.force)
    print("\n".join(told))
    return 0


def grade(arguments) -> int:
    """Grade what a class has handed in: a table, and a page for each student."""
    from .classroom import command

    if arguments.summary:
        print(command.summary(arguments.name, arguments.output))
        return 0
    command.grade(
        arguments.name,
        arguments.output,
        submissions=arguments.submissions,
        students=arguments.roster,
        jobs=arguments.jobs,
        time_limit=arguments.time_limit,
        gradebook=arguments.gradebook,
        tell=lambda line: print(line, flush=True),
    )
    return 0


def guide(arguments) -> int:
    """Write the instructor's guide: timetables, solutions, wrong answers, questions, plans."""
    from .classroom import choice
    from .guide import writing

    asked = None if arguments.lessons is None else choice.words(arguments.lessons)
    print("\n".join(writing.guide(arguments.output, asked)))
    return 0


def site(arguments) -> int:
    """Build the course as a site of plain files: solved lessons, report, glossary, library."""
    from .classroom import choice
    from .site import writing

    asked = None if arguments.lessons is None else choice.words(arguments.lessons)
    print("\n".join(writing.site(arguments.output, asked, arguments.guide)))
    return 0


def update(arguments) -> int:
    """Carry the learner's answers over into a newer version of a lesson."""
    from . import workcopy

    print(workcopy.update(arguments.lesson, arguments.folder, arguments.fresh))
    return 0


def at_least_one(text: str) -> int:
    """A whole number above 0, for an option."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def seconds(text: str) -> float:
    """A number of seconds above 0, for an option."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return number


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = argparse.ArgumentParser(prog="course", description=__doc__)
    top.add_argument("--version", action="version", version=f"course {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(function, name=None):
        text = function.__doc__.splitlines()[0]
        part = commands.add_parser(name or function.__name__, help=text, description=text)
        part.set_defaults(run=function, rest=[])
        return part

    part = command(lab)
    part.add_argument("--lesson", default=FIRST_LESSON, help="the lesson to open, such as 01")
    part.add_argument("--folder", type=Path, help="where your copy of the lessons is kept")
    part.add_argument(
        "--copies-only", action="store_true", help="make the copies, and open nothing"
    )
    part = command(test)
    part.add_argument(
        "--browser", action="store_true", help="every lesson in Chromium, with screenshots, alone"
    )
    command(doctor)
    part = command(train)
    part.add_argument("names", nargs="*", help="networks by name; all of them if none is given")
    part.add_argument("--seeds", nargs="+", type=int, default=[0], help="replicates; 0 is shipped")
    part.add_argument(
        "--record",
        action="store_true",
        help="five seeds of each, the first into the package, all into the record",
    )
    part.add_argument("--quiet", action="store_true", help="no progress bars")
    part = command(reproduce)
    part.add_argument(
        "tables", nargs="*", metavar="TABLE", help="table1, figure7, ...; all if none"
    )
    part.add_argument("--mode", default="default", help="quick, default or full")
    part.add_argument("--output", type=Path, default=Path("results"), help="where it is written")
    part.add_argument(
        "--scheduler", action="append", help="the address of a Dask scheduler, whose workers do it"
    )
    part.add_argument(
        "--jobs", type=at_least_one, help="tasks at a time; default: one for each core"
    )
    part.add_argument("--fresh", action="store_true", help="forget what is finished; measure anew")
    part.add_argument("--quiet", action="store_true", help="no progress bar")
    part = command(build)
    part.add_argument("names", nargs="*", help="lessons, such as 01; all of them if none is given")
    part.add_argument("--check", action="store_true", help="write nothing; say what is out of date")
    part.add_argument("--no-execute", action="store_true", help="do not run the solved notebooks")
    part = command(progress)
    part.add_argument("lesson", nargs="?", help="one lesson, such as 01")
    of_a_class = "the class's folder; default: class, or this folder if it is one"
    part = command(assign)
    part.add_argument("name", help="what the assignment is called, such as week-3")
    what = part.add_mutually_exclusive_group(required=True)
    what.add_argument("--exercises", nargs="+", metavar="SLUG", help="such as solve-for-c,two-loop")
    what.add_argument("--lessons", nargs="+", metavar="LESSON", help="whole lessons, as 04,05")
    part.add_argument("--output", type=Path, help=of_a_class)
    part.add_argument("--force", action="store_true", help="write over what is there")
    part = command(grade)
    part.add_argument("name", help="the assignment's name")
    part.add_argument("--output", type=Path, help=of_a_class)
    part.add_argument(
        "--submissions",
        type=Path,
        help="a flat folder of notebooks, STUDENT.ipynb; default: submitted/ in the class's folder",
    )
    part.add_argument("--roster", type=Path, help="the students, a CSV file with a column student")
    part.add_argument(
        "--jobs", type=at_least_one, help="notebooks at a time; default: one for each core"
    )
    part.add_argument(
        "--time-limit", type=seconds, help="seconds for an answer; default: the exercise's own"
    )
    part.add_argument(
        "--summary", action="store_true", help="grade nothing; show what the last grading found"
    )
    part.add_argument(
        "--gradebook",
        nargs="?",
        const=True,
        metavar="FILE",
        help="write the scores into nbgrader's gradebook, too; default: gradebook.db of the class",
    )
    part = command(guide)
    part.add_argument(
        "--output", type=Path, default=Path("guide"), help="where it is written; default: guide"
    )
    part.add_argument("--lessons", nargs="+", metavar="LESSON", help="as 04,05; all if left out")
    part = command(site)
    part.add_argument(
        "--output", type=Path, default=Path("site"), help="where it is written; default: site"
    )
    part.add_argument("--lessons", nargs="+", metavar="LESSON", help="as 04,05; all if left out")
    part.add_argument("--guide", action="store_true", help="with the instructor's guide")
    part = command(update)
    part.add_argument("lesson", help="the lesson to carry over, such as 01")
    part.add_argument("--fresh", action="store_true", help="the new lesson, without your answers")
    part.add_argument("--folder", type=Path, help="where your copy of the lessons is kept")
    return top


def main(argv: list[str] | None = None) -> int:
    """Run a command; a mistake of the user's is a sentence and exit status 1, not a traceback."""
    for stream in (sys.stdout, sys.stderr):  # a path may have letters that a console has not
        with contextlib.suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(errors="replace")
    arguments, rest = parser().parse_known_args(argv)
    passes_on = arguments.run in (lab, test)
    if rest and not passes_on:
        parser().error(f"unknown arguments: {' '.join(rest)}")
    arguments.rest = rest
    try:
        return arguments.run(arguments)
    except KeyboardInterrupt:
        print("Interrupted: what was finished is kept; the same command goes on from there.")
        return 130
    except (ValueError, ArithmeticError, ImportError, LookupError, OSError, RuntimeError) as error:
        if os.environ.get("COURSE_DEBUG"):
            raise
        print(f"course: {error}", file=sys.stderr)
        return 1
