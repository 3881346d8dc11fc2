"""The sample lesson as a course of its own, in a folder of its own."""

import os
import shutil
from pathlib import Path

import sample_checks

from course_lib import storage
from course_lib.authoring.build import build
from course_lib.authoring.files import Place
from course_lib.authoring.registry import Registered, Registry

HERE = Path(__file__).parent
NAME = "00_sample"
REGISTRY = Registry(
    sample_checks.EXERCISES,
    Registered(set(sample_checks.EXERCISES), {"a-guess"}, {"a-quiz"}, {"an-answer"}),
)
# the kernel finds the sample's checks
ENVIRONMENT = {"PYTHONPATH": os.pathsep.join([str(storage.PACKAGE.parent), str(HERE)])}


class Course:
    """A copy of the sample's source under ``root``, and what the builder makes of it."""

    def __init__(self, root: Path):
        self.root = root
        self.place = Place(root, root / "references", root / "records")
        shutil.copytree(HERE / "solutions", root / "solutions")
        shutil.copytree(HERE / "records", root / "records")
        self.source = root / "solutions" / f"{NAME}.py"

    def edit(self, old: str, new: str) -> None:
        """Replace the one ``old`` in the source."""
        text = self.source.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in the sample"
        self.source.write_text(text.replace(old, new), encoding="utf-8")

    def build(self, **options):
        """The builder's outcomes."""
        options = {"place": self.place, "registry": REGISTRY, "environment": ENVIRONMENT} | options
        return build(**options)

    def problems(self, **options) -> list[str]:
        """The sentences of a build that only compares."""
        outcomes = self.build(**{"check": True} | options)
        return [str(outcome) for outcome in outcomes if not outcome.ok]
