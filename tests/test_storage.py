"""Nothing is half written, and everything is written in one place."""

import os
import threading

import pytest

from course_lib import storage


def test_home_follows_the_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "mine"))
    assert storage.home() == tmp_path / "mine"
    assert not (tmp_path / "mine").exists(), "asking for the folder must not make it"


def test_home_is_in_the_checkout_by_default(monkeypatch):
    monkeypatch.delenv("COURSE_HOME")
    assert storage.home() == storage.checkout() / ".course"


def test_home_without_a_checkout_is_the_users(monkeypatch):
    monkeypatch.delenv("COURSE_HOME")
    monkeypatch.setattr(storage, "checkout", lambda: None)
    assert storage.home().name == ".intriguing-course"


def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    storage.write_text(path, "old")

    def interrupted():
        with storage.atomic(path) as part:
            part.write_text("ha")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


def test_two_writers_never_mix(tmp_path):
    path = tmp_path / "file.txt"
    texts = [letter * 200_000 for letter in "ab"]

    def write(text):
        for _ in range(20):
            storage.write_text(path, text)

    writers = [threading.Thread(target=write, args=(text,)) for text in texts]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        if path.exists():
            assert path.read_text() in texts
    assert path.read_text() in texts


@pytest.mark.skipif(os.name != "posix", reason="modes are a POSIX matter")
def test_a_file_is_as_readable_as_the_umask_allows(tmp_path):
    before = os.umask(0o022)
    try:
        storage.write_text(tmp_path / "file.txt", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "file.txt").stat().st_mode & 0o777 == 0o644


def test_text_has_unix_line_ends(tmp_path):
    storage.write_text(tmp_path / "file.txt", "λ\nx\n")
    assert (tmp_path / "file.txt").read_bytes() == b"\xce\xbb\nx\n"
