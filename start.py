#!/usr/bin/env python3
"""Set the course up, then open it. Needs Python and nothing else.

    python3 start.py                 JupyterLab on the first lesson (the same as: start.py lab)
    python3 start.py test            every test, the notebooks included
    python3 start.py setup [COMMAND] only set up what COMMAND (lab, if none is named) needs
    python3 start.py COMMAND ...     any other command of the course: doctor, train, progress, ...

The first run makes a virtual environment in the folder .venv beside this file and installs the
course into it; later runs start at once. The set-up changes nothing outside .venv (and pip's
download cache). Your copies of the lessons are in work/, what the course remembers in .course/.

    --newest    install the newest versions instead of the tested ones (constraints.txt)
    --tested    go back to the tested ones
    COURSE_VENV=FOLDER (an environment variable) uses FOLDER instead of .venv

pip is called as usual: its configuration and PIP_... variables (an index, a proxy) are respected.
"""
# ruff: noqa: UP010, UP032, RUF005
# Python 2.7 and 3.x below 3.11 must be able to parse this file and be told that they are too old:
# no f-strings, no annotations, no `raise ... from`, no starred lists.

from __future__ import print_function

import contextlib
import errno
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time

OLDEST, NEWEST = (3, 11), (3, 14)  # the Pythons for which all wheels exist
ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.abspath(os.environ.get("COURSE_VENV") or os.path.join(ROOT, ".venv"))
WINDOWS = os.name == "nt"
PYTHON = os.path.join(VENV, *(("Scripts", "python.exe") if WINDOWS else ("bin", "python")))
PYPROJECT = os.path.join(ROOT, "pyproject.toml")
CONSTRAINTS = os.path.join(ROOT, "constraints.txt")
STAMP = os.path.join(VENV, "course-installed.json")
LOCK = os.path.join(VENV, "course-setup.lock")
LOG = os.path.join(VENV, "course-setup.log")
TEMPORARY = os.path.join(VENV, "course-setup-tmp")  # on the disk that is checked for room
OURS = {os.path.basename(path) for path in (STAMP, LOCK, LOG, TEMPORARY)}

# what a command needs beside the base set
EXTRAS = {"lab": ["photographs"], "test": ["test"], "build": ["test"], "site": ["site"]}

# gigabytes: the finished environment, and the downloads that lie beside it meanwhile (measured;
# torch for Linux brings its own CUDA)
ROOM = {"Linux": (6.5, 3.0), "Darwin": (1.6, 0.6), "Windows": (2.0, 0.7)}

# Asked of the environment's own Python: which one it is, and which packages are not there.
PROBE = r"""
import importlib.metadata, json, re, sys, tomllib
missing = []
try:
    with open(sys.argv[1], "rb") as f:
        project = tomllib.load(f)["project"]
except (KeyError, ValueError):
    project, missing = {}, ["a readable pyproject.toml"]
wanted = [project.get("name", "pip")] + project.get("dependencies", [])
for extra in sys.argv[2:]:
    wanted += project.get("optional-dependencies", {}).get(extra, [])
for name in (re.match(r"[\w.-]+", w).group() for w in wanted if ";" not in w):
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        missing.append(name)
print(json.dumps({"python": list(sys.version_info[:2]), "missing": missing}))
"""


class Stop(Exception):
    """Why the set-up cannot go on, in a sentence that says what to do."""


def say(text):
    print(text)
    sys.stdout.flush()


# What is missing on this machine ---------------------------------------------------------------


def too_old(version):
    """The sentence for a Python that is too old, or None."""
    if tuple(version[:2]) >= OLDEST:
        return None
    text = "Python 3.11 or newer is needed; this is Python {}.".format(
        ".".join(str(part) for part in version[:3])
    )
    names = ["python3.{}".format(minor) for minor in range(NEWEST[1], OLDEST[1] - 1, -1)]
    for name in names:
        with open(os.devnull, "w") as nowhere:
            try:
                works = subprocess.call([name, "-c", ""], stdout=nowhere, stderr=nowhere) == 0
            except OSError:
                works = False
        if works:
            return text + " There is a newer one on this machine: {} start.py".format(name)
    return text + " Get one from your system's packages or from python.org, and use that one."


def wrong_build(system, machine, bits, implementation, free_threaded, libc, mac):
    """The sentence for a Python for which torch has no wheels, or None."""
    if implementation != "cpython":
        return "torch is made for CPython only; this is {}.".format(implementation)
    if bits < 64:
        return "torch needs a 64-bit Python; this one has 32 bits. Install the 64-bit one."
    if free_threaded:
        return "This is a free-threaded Python (its name ends in t): use the ordinary one."
    if system == "Darwin" and machine == "x86_64":
        return (
            "torch is no longer made for Intel Macs, and this Python is built for one. If the Mac "
            "has an Apple processor, install a Python for it (python.org, Homebrew: `python3 -c "
            "'import platform; print(platform.machine())'` says arm64). If not, use another "
            "machine, or a notebook service in the browser."
        )
    if system == "Darwin" and mac and mac < (14,):
        return (
            "The tested versions need macOS 14 or newer; this is macOS {}. With --newest, pip "
            "takes the newest versions that run here."
        ).format(".".join(str(part) for part in mac))
    if system == "Linux" and "musl" in libc:
        return "torch is made for Linux with glibc; this one has musl (Alpine): use another."
    return None


def missing_module():
    """The sentence for a Python that cannot make virtual environments, or None."""
    import importlib.util

    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if not missing:
        return None
    return (
        "{} has no module {}, so it cannot make a virtual environment. On Debian and Ubuntu: "
        "sudo apt install python{}.{}-venv (or python3-venv). On other systems install Python's "
        "complete package."
    ).format(sys.executable, " and no module ".join(missing), *sys.version_info[:2])


def check_machine(newest):
    """Raise Stop if torch cannot be installed with this Python on this machine."""
    mac = tuple(int(part) for part in re.findall(r"\d+", platform.mac_ver()[0]))
    problem = wrong_build(
        platform.system(),
        platform.machine(),
        64 if sys.maxsize > 2**32 else 32,
        sys.implementation.name,
        bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        str(sysconfig.get_config_var("HOST_GNU_TYPE")),
        () if newest else mac,
    )
    if problem:
        raise Stop(problem)
    if sys.version_info[:2] > NEWEST:
        say(
            "Python {}.{} is newer than what was tested ({}.{}): packages may be missing for "
            "it.".format(*(sys.version_info[:2] + NEWEST))
        )


def gigabytes(folder):
    """What lies in ``folder`` already, in GB."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(where, name)).st_size
    return total / 1e9


def check_room():
    """Raise Stop if the disk is too full; otherwise pip's options for what room there is."""
    installed, downloads = ROOM.get(platform.system(), ROOM["Linux"])
    there = gigabytes(VENV)
    free = shutil.disk_usage(VENV).free / 1e9
    needed = max(installed - there, 0) + downloads if there < 0.9 * installed else 0.5
    if free < needed:
        raise Stop(
            "There is too little room: {:.1f} GB are free on the disk of {}, and {:.1f} GB are "
            "needed. Free some, or put the environment on another disk with COURSE_VENV=FOLDER."
            "".format(free, VENV, needed)
        )
    # pip's cache, probably on the same disk, keeps the downloads for a next time
    return [] if free > needed + downloads else ["--no-cache-dir"]


# What is installed ------------------------------------------------------------------------------


def digest(newest):
    """A hash of everything that decides what is installed."""
    total = hashlib.sha256()
    for path in (PYPROJECT,) if newest else (PYPROJECT, CONSTRAINTS):
        if not os.path.exists(path):
            raise Stop("{} is missing: start.py needs the whole repository beside it.".format(path))
        with open(path, "rb") as f:
            total.update(f.read().replace(b"\r\n", b"\n"))
    return total.hexdigest()


def read_stamp():
    """What the last complete set-up wrote down; {} if there was none or it cannot be read."""
    try:
        with open(STAMP) as f:
            stamp = json.load(f)
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def write_stamp(stamp):
    """Write the stamp whole or not at all."""
    with open(STAMP + ".part", "w") as f:
        json.dump(stamp, f, indent=1)
        f.flush()
        os.fsync(f.fileno())
    os.replace(STAMP + ".part", STAMP)


def probe(extras):
    """What PROBE prints, or None if the environment's Python does not run."""
    try:
        done = subprocess.run(
            [PYTHON, "-I", "-c", PROBE, PYPROJECT] + list(extras),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            timeout=60,
        )
        return json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


def is_ready(stamp, extras, newest):
    """Whether everything is installed: as the stamp says, and nothing went missing since."""
    if (
        stamp.get("root") != ROOT
        or stamp.get("newest") != newest
        or stamp.get("wanted") != digest(newest)
        or not set(extras) <= set(stamp.get("extras", []))
    ):
        return False
    found = probe(extras)
    return bool(found) and found["python"] == stamp.get("python") and not found["missing"]


# Setting up ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def lock():
    """Hold the environment for this process alone; a second one waits here, and says so.

    The system lets go of the lock when the process ends, however it ends. Yields the file's
    descriptor: pip inherits it, so that a pip that outlives its start.py still holds the lock.
    """
    os.makedirs(VENV, exist_ok=True)
    if not {os.path.basename(LOCK), "pyvenv.cfg"} & set(os.listdir(VENV)) and os.listdir(VENV):
        raise Stop(
            "The folder {} is there, and is not a virtual environment: move it away, or name "
            "another one with COURSE_VENV=FOLDER.".format(VENV)
        )
    with open(LOCK, "a+") as f:
        waiting = False
        while not try_lock(f):
            if not waiting:
                say("Another start.py is setting the course up: waiting until it has finished.")
                waiting = True
            time.sleep(0.3)
        yield f.fileno()


def try_lock(f):
    """Whether the lock on the open file ``f`` was free and is now ours."""
    try:
        if WINDOWS:
            import msvcrt

            f.seek(0)
            msvcrt.locking(f.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(f.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        # some network file systems know no locks: better to go on than to refuse
    return True


def run(command, held=None):
    """Run ``command`` to its end and return its exit status; on Ctrl-C, end it first."""
    environment = dict(os.environ)
    # a user's habits for other environments; inside this one pip would refuse, or install elsewhere
    for name in ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PYTHONHOME", "PYTHONPATH"):
        environment.pop(name, None)
    environment.setdefault("PIP_ROOT_USER_ACTION", "ignore")
    if not WINDOWS:
        # a system's /tmp can be smaller than torch
        environment["TMPDIR"] = TEMPORARY
    passed = {} if WINDOWS or held is None else {"pass_fds": (held,)}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, **passed)
    try:
        return process.wait()
    except BaseException:
        # a Ctrl-C in the terminal has reached the child too: let it clean up; if it was meant for
        # this process alone, pass it on
        interrupt = process.terminate if WINDOWS else lambda: process.send_signal(signal.SIGINT)
        for stop in (lambda: None, interrupt, process.kill):
            stop()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=3)
                break
        raise


def clear():
    """Empty the environment's folder (lock() has seen that it is one), but for the lock itself."""
    for name in set(os.listdir(VENV)) - {os.path.basename(LOCK), os.path.basename(TEMPORARY)}:
        path = os.path.join(VENV, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.remove(path)


def sweep():
    """Remove what an interrupted pip left: its files, and packages of which only a part is there.

    pip writes a package's RECORD last. Without one, the package may look complete and is not: its
    *.dist-info goes, and pip installs it anew.
    """
    packages = [os.path.join(VENV, "Lib", "site-packages")]
    with contextlib.suppress(OSError):
        lib = os.path.join(VENV, "lib")
        packages += [os.path.join(lib, name, "site-packages") for name in os.listdir(lib)]
    for folder in (path for path in packages if os.path.isdir(path)):
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            half = name.endswith(".dist-info") and not os.path.exists(os.path.join(path, "RECORD"))
            if os.path.isdir(path) and (half or name.startswith("~")):
                shutil.rmtree(path)


def make_environment(stamp):
    """Leave in VENV an environment whose Python and pip run: the one there, or a new one."""
    found = probe([])
    moved = stamp.get("root", ROOT) != ROOT
    upgraded = found and stamp.get("python", found["python"]) != found["python"]
    if found and not moved and not upgraded and tuple(found["python"]) >= OLDEST:
        ask = [PYTHON, "-I", "-m", "pip", "--version"]
        if subprocess.call(ask, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0:
            say("Going on with the environment in {}.".format(VENV))
            sweep()
            return
        say("The environment in {} has no working pip: making it anew.".format(VENV))
    elif set(os.listdir(VENV)) - OURS:
        say("The environment in {} does not work (any more): making it anew.".format(VENV))
    problem = missing_module()
    if problem:
        raise Stop(problem)
    clear()
    say("Making a virtual environment in {} ...".format(VENV))
    if run([sys.executable, "-m", "venv", VENV]) or not probe([]):
        raise Stop(
            "Python could not make a virtual environment in {}: see what it says above. On Debian "
            "and Ubuntu: sudo apt install python3-venv".format(VENV)
        )


def explain(log):
    """The sentence for what pip's log says went wrong."""
    reasons = (
        (
            r"No space left on device|Disk quota exceeded|\[Errno 28\]|not enough space on",
            "The disk is full. Free some room, or put the environment on another disk with "
            "COURSE_VENV=FOLDER; then run the same command again.",
        ),
        (
            r"[Ll]ong [Pp]ath|long-paths",
            "A path is too long for Windows: put the course into a short folder such as "
            "C:\\course, or switch long paths on (search for: Windows enable long paths).",
        ),
        (
            r"CERTIFICATE_VERIFY_FAILED|SSLError|ProxyError|407 Proxy",
            "The package index could not be reached through this network's proxy or certificates: "
            "tell pip of them (PIP_PROXY, PIP_CERT), then run the same command again.",
        ),
        (
            r"NewConnectionError|ConnectTimeout|ReadTimeout|NameResolutionError|Max retries"
            r"|connection broken|Connection (refused|reset|aborted)|Network is unreachable"
            r"|getaddrinfo failed|[Tt]emporary failure in name resolution|IncompleteRead",
            "The package index could not be reached: there seems to be no network, or no way "
            "through it. The first set-up needs one; when it is there, run the same command again. "
            "What is in pip's cache need not be downloaded again.",
        ),
        (
            r"DO NOT MATCH THE HASHES",
            "A download arrived damaged. Run the same command again; if that does not help, empty "
            "pip's cache: {} -m pip cache purge".format(PYTHON),
        ),
        (
            r"No matching distribution found|ResolutionImpossible",
            "pip found no version of a package that fits this Python and system. Try --newest, or "
            "Python 3.12.",
        ),
        (
            r"Permission denied|\[WinError 5\]|\[Errno 13\]",
            "A file may not be written: close programs that use the environment in {}, and see "
            "that it belongs to you.".format(VENV),
        ),
    )
    for pattern, sentence in reasons:
        if re.search(pattern, log):
            return sentence
    return "pip could not install the packages: see above."


def install(extras, newest, options, held):
    """Install the course, editable, with ``extras``; raise Stop with a sentence if pip fails."""
    if os.path.exists(LOG):
        os.remove(LOG)
    command = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    # Python compiles a module when it is first imported; compiling all of them now takes a minute
    command += ["--no-compile", "--log", LOG] + options
    if newest:
        command += ["--upgrade", "--upgrade-strategy", "eager"]
    else:
        command += ["--constraint", CONSTRAINTS]
    command += ["--editable", ROOT + ("[{}]".format(",".join(extras)) if extras else "")]
    if run(command, held):
        log = ""
        with contextlib.suppress(OSError), open(LOG, "rb") as f:
            f.seek(max(0, os.path.getsize(LOG) - 400000))
            log = f.read().decode("utf-8", "replace")
        raise Stop("{} (pip's whole log: {})".format(explain(log), LOG))


def announcement(update, newest):
    """What is about to happen, and how long it usually takes."""
    what = "the newest versions" if newest else "the tested versions"
    if update:
        return "Bringing the course up to date ({}): usually less than a minute.".format(what)
    installed, downloads = ROOM.get(platform.system(), ROOM["Linux"])
    return (
        "Installing the course and what it needs ({}): about {:g} GB of downloads, most of it "
        "torch, and {:g} GB on the disk. This usually takes 2 to 10 minutes, once; while pip "
        "unpacks it says nothing for a minute or two. Ctrl-C stops it, and the same command then "
        "goes on where it stopped."
    ).format(what, downloads, installed)


def set_up(extras, newest, again=False):
    """Make sure that the course and its ``extras`` are installed.

    newest: True or False, or None for what the environment was made with. again: also when
    everything is there (to upgrade). Raises Stop with a sentence if that is impossible.
    """
    stamp = read_stamp()
    wanted = stamp.get("newest") is True if newest is None else newest
    if not again and is_ready(stamp, extras, wanted):
        return
    check_machine(wanted)
    digest(wanted)  # the whole repository must be there
    try:
        with lock() as held:
            stamp = read_stamp()  # the one we may have waited for
            if not again and is_ready(stamp, extras, wanted):
                return
            extras = sorted(set(extras) | set(stamp.get("extras", [])))
            began = time.time()
            shutil.rmtree(TEMPORARY, ignore_errors=True)
            options = check_room()
            os.makedirs(TEMPORARY)
            make_environment(stamp)
            if os.path.exists(STAMP):
                os.remove(STAMP)  # from here on the environment is half made
            say(announcement(update=bool(stamp), newest=wanted))
            install(extras, wanted, options, held)
            shutil.rmtree(TEMPORARY, ignore_errors=True)
            found = probe(extras)
            if not found or found["missing"]:
                raise Stop(
                    "pip says that it is done, and yet {} missing: delete {} and run the same "
                    "command again.".format(
                        ", ".join(found["missing"]) + " is" if found else "Python is", VENV
                    )
                )
            write_stamp(
                {
                    "root": ROOT,
                    "newest": wanted,
                    "wanted": digest(wanted),
                    "extras": extras,
                    "python": found["python"],
                }
            )
            say("The course is set up, in {:.0f} seconds.".format(time.time() - began))
    except OSError as error:
        trouble = error
    else:
        return
    if trouble.errno == errno.ENOSPC:
        raise Stop("The disk is full: free some room, then run the same command again.")
    raise Stop("The course cannot be set up in {}: {}.".format(VENV, trouble))


# Running the course -----------------------------------------------------------------------------


def hand_over(arguments):
    """Run ``course ARGUMENTS`` in the environment; on POSIX this process becomes that one."""
    command = [PYTHON, "-m", "course_lib"] + arguments
    environment = dict(os.environ, VIRTUAL_ENV=VENV)
    environment["PATH"] = os.path.dirname(PYTHON) + os.pathsep + environment.get("PATH", "")
    environment.pop("PYTHONHOME", None)
    sys.stdout.flush()
    if not WINDOWS:
        # nothing stays behind that a Ctrl-C or a signal could miss
        os.execve(PYTHON, command, environment)
    process = subprocess.Popen(command, env=environment)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            pass  # the console has told the course too: wait until it has stopped


def main(arguments):
    """Do what the command line says; the exit status."""
    for stream in (sys.stdout, sys.stderr):  # a path may have letters that a console has not
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    problem = too_old(sys.version_info)
    if problem:
        print(problem, file=sys.stderr)
        return 1
    if arguments[:1] in (["-h"], ["--help"]):
        print(__doc__.strip())
        return 0
    newest = True if "--newest" in arguments else False if "--tested" in arguments else None
    arguments = [a for a in arguments if a not in ("--newest", "--tested")] or ["lab"]
    only_set_up = arguments[0] == "setup"
    if only_set_up:
        arguments = arguments[1:] or ["lab"]
    if arguments[0].startswith("-"):
        arguments = ["lab"] + arguments
    # a terminated set-up cleans up as an interrupted one does
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        set_up(EXTRAS.get(arguments[0], []), newest, again=only_set_up and newest is True)
        if only_set_up:
            say("Ready: python3 start.py " + arguments[0])
            return 0
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        return hand_over(arguments)
    except Stop as stop:
        print("\n" + str(stop), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "\nInterrupted. Run the same command again: it goes on where it stopped.",
            file=sys.stderr,
        )
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
