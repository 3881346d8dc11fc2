"""Folders that a command writes for its user: the one sentence where they cannot be written."""

import contextlib
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def told(path: Path, error: type[Exception]) -> Iterator[None]:
    """Turn an OSError inside into ``error``, with a sentence that names ``path`` and a way out."""
    try:
        yield
    except OSError as cause:
        raise error(
            f"Cannot write {path}: {cause.strerror or cause}. Make the folder writable, or name "
            "another one with --output FOLDER."
        ) from None
