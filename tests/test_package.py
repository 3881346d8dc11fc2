"""The first page of the package, and of each research package in it, leaves nothing out."""

import importlib
import pkgutil
import re

import pytest

import course_lib


def names_in(package):
    return {m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")}


def named_by(package):
    """What stands in double backquotes: modules, and modules of packages as ``package.module``."""
    return set(re.findall(r"``([\w.]+)``", package.__doc__))


def test_the_reading_order_names_all_that_is_there():
    named = named_by(course_lib)
    assert names_in(course_lib) <= named
    for name in named:
        assert importlib.import_module(f"course_lib.{name}").__doc__, name


@pytest.mark.parametrize("name", ["lbfgsb", "attacks", "transfer", "spectral", "plotting"])
def test_a_packages_first_page_introduces_its_modules(name):
    package = importlib.import_module(f"course_lib.{name}")
    missing = {m for m in names_in(package) - named_by(package) if not m.startswith("lesson")}
    assert not missing
