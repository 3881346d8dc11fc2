"""What is there and whether it works: Python, the course, torch, the device, data, networks, room.

Every check is a function that returns (what it found, in a sentence, and whether that will do).
A check never raises: what a check raises is what it found.
"""

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import warnings

from . import __version__, storage

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

# A torchvision that was made for another torch imports, or not, or imports and fails at its first
# operation; a crash must not take the doctor along, hence the other process.
PAIR = """
import json, torch
out = {"torch": torch.__version__, "built": torch.version.cuda or "CPU"}
print(json.dumps(out), flush=True)
import torchvision
out["torchvision"] = torchvision.__version__
print(json.dumps(out), flush=True)
boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 2.1], [5.0, 5.0, 7.0, 7.0]])
out["kept"] = torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist()
print(json.dumps(out), flush=True)
"""
REPAIR = "run `python3 start.py setup --tested`, or install the pair that constraints.txt names"


def chromium() -> str | None:
    """The browser for the tests: ``$CHROMIUM``, or the first of the known names on the PATH."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM)), None)


def python() -> tuple[str, bool]:
    """The Python that runs, and where it is."""
    version = platform.python_version()
    return f"Python {version} ({platform.system()} {platform.machine()}, {sys.executable})", True


def course() -> tuple[str, bool]:
    """The course's version, and whether it runs from a repository or an installation."""
    root = storage.checkout()
    where = f"from the repository {root}" if root else f"as installed in {storage.PACKAGE.parent}"
    return f"course {__version__}, {where}", True


def explain_pair(output: str, error: str) -> tuple[str, bool]:
    """What the output of the program :data:`PAIR` says about torch and torchvision."""
    lines = output.strip().splitlines()
    found = json.loads(lines[-1]) if lines else {}
    what = f"torch {found.get('torch', '(does not load)')}"
    what += f" (built for CUDA {found['built']})" if found.get("built", "CPU") != "CPU" else ""
    what += f" and torchvision {found.get('torchvision', '(does not load)')}"
    if found.get("kept") == [0, 2]:
        return f"{what} work together", True
    if "kept" in found:
        return f"{what} compute wrongly together: {REPAIR}.", False
    reason = error.strip().splitlines()[-1] if error.strip() else "it ended without a word"
    if "torchvision::nms" in error:
        return (
            f"{what}: torchvision was made for another torch, or another kind of it (for CUDA, "
            f"for the CPU), so that its own operations are missing ({reason}). Both must come "
            f"from one place: {REPAIR}.",
            False,
        )
    return f"{what} do not work ({reason}): {REPAIR}.", False


def torch_pair() -> tuple[str, bool]:
    """torch and torchvision, and whether an operation of torchvision works with this torch."""
    done = subprocess.run([sys.executable, "-c", PAIR], capture_output=True, text=True, timeout=300)
    return explain_pair(done.stdout, done.stderr)


def device() -> tuple[str, bool]:
    """The device that the course computes on; a GPU that does not work is said, and no error."""
    import torch

    from . import device as devices

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        devices._tested.cache_clear()  # a fall-back was perhaps announced before, and is said once
        chosen = devices.pick()
    if caught:
        return f"device {chosen}: {' '.join(str(w.message) for w in caught)}", True
    problem = devices.smoke_test(chosen)
    if problem:
        return problem, False
    if chosen.type == "cuda":
        properties = torch.cuda.get_device_properties(chosen)
        memory = properties.total_memory / 2**30
        return f"device {chosen} computes: {properties.name}, {memory:.0f} GiB", True
    threads = f"{torch.get_num_threads()} threads"
    return f"device {chosen} computes" + (f", {threads}" if chosen.type == "cpu" else ""), True


def notebooks() -> tuple[str, bool]:
    """JupyterLab and the widgets."""
    names = ("jupyterlab", "ipywidgets", "ipykernel", "matplotlib", "nbval", "pytest")
    found, missing = [], []
    for name in names:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return f"{' and '.join(missing)} not installed: run `python3 start.py setup`.", False
    return ", ".join(found), True


def data() -> tuple[str, bool]:
    """MNIST: both files of each part, their checksums, the stored split."""
    from .data import load_mnist

    sizes = {part: len(load_mnist(part, "cpu")) for part in ("train", "test", "P1", "P2")}
    if list(sizes.values()) != [60000, 10000, 30000, 30000]:
        return f"MNIST has unexpected sizes: {sizes}.", False
    return "MNIST: 60 000 training images in two halves, 10 000 test images, checksums right", True


def networks() -> list[tuple[str, bool]]:
    """The state of each trained network; nothing where the zoo does not tell."""
    from . import zoo

    states = getattr(zoo, "status", list)()
    good = [name for name, _, ok in states if ok]
    lines = [(f"{len(good)} trained networks: {', '.join(good)}", True)] if good else []
    return lines + [(f"network {name}: {state}", False) for name, state, ok in states if not ok]


def photographs() -> tuple[str, bool]:
    """A network of ImageNet's and photographs, which only what is about photographs needs."""
    from . import imagenet

    name, there = "efficientnet-lite0", []
    try:
        imagenet.networks.weights_file(imagenet.LITE[name])
        there.append(f"{name} with its weights, checksum right")
        there.append(f"{len(imagenet.photographs(32, device='cpu'))} photographs")
    except ModuleNotFoundError as error:  # an extra: it may be missing
        return f"for photographs: {', '.join([*there, str(error)])}", True
    return f"for photographs: {', '.join(there)}", True


def room() -> tuple[str, bool]:
    """Where the course writes: whether it may, and how much room there is."""
    home = storage.home()
    there = home
    while not there.exists():
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there) as f:
            f.write(b"written")
    except OSError as error:
        return (
            f"{home} cannot be written to ({error.strerror or error}): name another folder in the "
            "environment variable COURSE_HOME.",
            False,
        )
    free = shutil.disk_usage(there).free / 1e9
    text = f"what the course writes goes to {home}, {free:.1f} GB free"
    if free < 0.2:
        return f"{text}: too little; free some, or name another folder in COURSE_HOME.", False
    return text, True


CHECKS = (python, course, torch_pair, device, notebooks, data, networks, photographs, room)


def report() -> tuple[list[str], bool]:
    """The lines of the report ("ok   ..." or "NOT OK  ..."), and whether all is well."""
    results: list[tuple[str, bool]] = []
    for check in CHECKS:
        try:
            found = check()
        except Exception as error:  # whatever is broken is what the report is for
            reason = " ".join(str(error).split()) or repr(error)
            found = (f"{check.__name__.replace('_', ' ')}: {reason}", False)
        results += found if isinstance(found, list) else [found]
    lines = [f"{'ok     ' if ok else 'NOT OK '} {text}" for text, ok in results]
    ok = all(ok for _, ok in results)
    variables = {k: v for k, v in sorted(os.environ.items()) if k.startswith("COURSE_")}
    if variables:
        lines.append("set:    " + ", ".join(f"{k}={v}" for k, v in variables.items()))
    lines.append("All is well." if ok else "See the lines that say NOT OK.")
    return lines, ok
