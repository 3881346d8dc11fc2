"""Files that packages of the registry carry. Nothing of a package's is run to find them."""

import importlib.util
from pathlib import Path

from .. import storage


def folder(module: str) -> Path | None:
    """The folder of the top-level ``module``; None where it is not installed."""
    found = importlib.util.find_spec(module)
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0])


def checked(path: Path, sha256: str, package: str, version: str = "") -> Path:
    """``path``, if it is the file that the course knows by its SHA-256.

    Raises RuntimeError, with the command that brings it back, for a file that is missing or is
    another one. version: which one of the package, such as "==0.1.0".
    """
    again = f"`python -m pip install --force-reinstall --no-deps {package}{version}`"
    if not path.is_file():
        raise RuntimeError(
            f"{package} is installed without its file {path}: install it again, {again}."
        )
    total = storage.sha256(path)
    if total != sha256:
        raise RuntimeError(
            f"The file {path} is damaged, or another than the one the course knows (SHA-256 "
            f"{total[:12]}... where {sha256[:12]}... belongs): install it again, {again}."
        )
    return path
