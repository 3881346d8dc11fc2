"""pyproject.toml, environment.yml and the two constraints files agree with each other."""

import importlib.metadata
import os
import re
import tomllib
import zipfile
from pathlib import Path

import pytest
import rattler
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from course_lib.authoring import wheels

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BASE = [Requirement(line) for line in PROJECT["dependencies"]]
ALL = BASE + [
    Requirement(line) for extra in PROJECT["optional-dependencies"].values() for line in extra
]
CONDA_NAMES = {"torch": "pytorch"}
NINE = ["torch", "torchvision", "numpy", "scipy", "matplotlib"]
NINE += ["jupyterlab", "ipywidgets", "nbval", "pytest"]


def pins(name: str) -> dict[str, Version]:
    """The versions in a constraints file. Fails on a line that is not NAME==VERSION."""
    found = {}
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            match = re.fullmatch(r"([a-z0-9-]+)==([0-9][0-9a-z.]*)", line)
            assert match, f"{name}: {line!r} is not NAME==VERSION"
            assert match[1] not in found, f"{name}: {match[1]} is there twice"
            found[match[1]] = Version(match[2])
    return found


def lower_bound(requirement: Requirement) -> Version:
    bounds = [s.version for s in requirement.specifier if s.operator == ">="]
    assert len(bounds) == 1, f"{requirement} needs one lower bound"
    return Version(bounds[0])


def test_a_learner_installs_little():
    assert sorted(r.name for r in BASE) == sorted([*NINE, "safetensors", "tqdm"])


def conda() -> tuple[dict[str, rattler.MatchSpec], list[str]]:
    content = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert content["channels"][0] == "conda-forge"
    lines = content["dependencies"]
    specs = [rattler.MatchSpec(line) for line in lines if isinstance(line, str)]
    by_pip = next(line["pip"] for line in lines if isinstance(line, dict))
    return {getattr(s.name, "normalized", str(s.name)): s for s in specs}, by_pip


def test_conda_installs_the_same():
    specs, by_pip = conda()
    assert by_pip == ["-e ."]
    wanted = {CONDA_NAMES.get(r.name, r.name) for r in BASE}
    assert set(specs) == wanted | {"python", "pip"}
    for requirement in BASE:
        spec = specs[CONDA_NAMES.get(requirement.name, requirement.name)]
        assert SpecifierSet(str(spec.version)) == requirement.specifier, str(spec)


def test_conda_takes_a_python_that_the_course_allows():
    # Binder reads "python>=3.11" as 3.10, and an exact minor version as it is meant
    version = str(conda()[0]["python"].version)
    assert re.fullmatch(r"3\.\d+\.\*", version), version
    assert SpecifierSet(PROJECT["requires-python"]).contains(version.replace("*", "0"))


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-oldest.txt"])
def test_constraints_satisfy_pyproject(name):
    pinned = pins(name)
    for requirement in ALL:
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"{name} has no {requirement.name}"
        assert requirement.specifier.contains(version), f"{requirement} and {name}: {version}"


def test_constraints_pin_nothing_that_belongs_to_one_system():
    wrong = [n for n in pins("constraints.txt") if n.startswith(("nvidia-", "cuda-", "triton"))]
    assert not wrong, wrong


def test_oldest_is_the_lower_bound_of_everything():
    pinned = pins("constraints-oldest.txt")
    assert set(pinned) == {canonicalize_name(r.name) for r in ALL}
    for requirement in ALL:
        bound, version = lower_bound(requirement), pinned[canonicalize_name(requirement.name)]
        # 2.11 is met by 2.11.0; where a first release of a series is missing, by its next one
        assert version.release[: len(bound.release)] == bound.release, f"{requirement}: {version}"


def test_torch_and_torchvision_are_a_pair():
    # each release of torchvision is made for one release of torch, and says for which
    need = next(
        Requirement(line)
        for line in importlib.metadata.requires("torchvision")
        if Requirement(line).name == "torch"
    )
    installed = Version(importlib.metadata.version("torchvision")).public
    matching = [n for n in ("constraints.txt", "constraints-oldest.txt")
                if str(pins(n)["torchvision"]) == installed]  # fmt: skip
    if not matching:
        pytest.skip(f"torchvision {installed} is neither the tested nor the oldest version")
    for name in matching:
        assert need.specifier.contains(pins(name)["torch"]), f"{name}: torchvision wants {need}"


def test_constraints_name_no_place():
    for name in ("constraints.txt", "constraints-oldest.txt"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert not re.search(r"://|^\s*-", text, re.MULTILINE), name


# course_lib.authoring.wheels, as far as it goes without a network --------------------------------


def fake_wheel(folder: Path, name: str, tag: str) -> None:
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-{tag}.whl", "w") as z:
        z.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        z.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        z.writestr(f"{info}/RECORD", "")


def test_a_missing_wheel_is_named_for_its_system_and_python(tmp_path, monkeypatch):
    for name, tag in {
        "everywhere": "py3-none-any",
        "windows": "cp312-cp312-win_amd64",
        "stable": "cp310-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64",
        "newmac": "cp312-cp312-macosx_14_0_arm64",
    }.items():
        fake_wheel(tmp_path, name, tag)
    for name, value in {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    linux, _, windows, mac = wheels.TARGETS
    wanted = ["everywhere==1.0", "windows==1.0", "stable==1.0", "newmac==1.0"]

    def found(target, python):
        gaps = wheels.missing_wheels(wanted, target, python)
        return {pin.partition("=")[0] for pin in wanted if pin not in gaps}

    assert found(windows, "3.12") == {"everywhere", "windows"}
    assert found(windows, "3.13") == {"everywhere"}
    assert found(linux, "3.14") == {"everywhere", "stable"}
    assert found(mac, "3.12") == {"everywhere", "newmac"}


def test_the_matrix_names_every_gap():
    good = wheels.Cell("Linux x86_64", "3.11", 137, 156, "2.15.0", ())
    bad = wheels.Cell("Linux x86_64", "3.14", 136, 155, "2.15.0", ("pip finds no wheel of x==1",))
    text = wheels.matrix([good, bad])
    assert "| Linux x86_64 | all: 137 / 156, torch 2.15.0 | **gap**: 136 / 155" in text
    assert text.endswith("- Linux x86_64, Python 3.14: pip finds no wheel of x==1\n")
    assert wheels.matrix([good]).endswith("No gaps.\n")


def test_what_is_installed_includes_what_is_needed_in_turn():
    found = wheels.installed()
    assert {"torch", "jupyter-server", "ruff", "traitlets"} <= set(found)
    assert not {"pip", "triton", "course", wheels.COURSE} & set(found)
    assert "+" not in "".join(found.values())
    assert set(wheels.installed(())) < set(found)


def test_platforms_page_is_about_these_constraints():
    page = (ROOT / "docs" / "PLATFORMS.md").read_text(encoding="utf-8")
    assert f"torch {pins('constraints.txt')['torch']} |" in page, (
        "write it anew: see its first line"
    )
