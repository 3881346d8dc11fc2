"""Finished measurements are used again as long as nothing changed that decides them, and no longer;
records are written a part at a time."""

import concurrent.futures
import dataclasses
import json
import multiprocessing
import warnings
from pathlib import Path

import pytest
import torch

from course_lib import attacks, data, kept, models, record, robust, sourcecode, storage, zoo
from course_lib.kept import Kept
from course_lib.reproduce import networks

RECORDS = storage.ASSETS / "records"
CALLS = []


@pytest.fixture(autouse=True)
def calls():
    CALLS.clear()
    sourcecode.code_digest.cache_clear()
    yield CALLS
    sourcecode.code_digest.cache_clear()


def measure(*what, progress=False):
    """A measurement that says how often it was made."""
    CALLS.append(what)
    return {"n": len(CALLS), "pair": (1, 2), "nothing": float("nan")}


def other(*what):
    CALLS.append(what)
    return {"n": -len(CALLS)}


def net():
    return zoo.load("FC10(1)", device="cpu", progress=False)


def retrained():
    """The same network by name, recipe and shape; one weight is another."""
    changed = net()
    with torch.no_grad():
        changed.fc1.weight[3, 400] += 1e-6
    return changed


# --- used, and not used --------------------------------------------------------------------------


def test_what_is_finished_is_used_again_also_by_another_run():
    first = Kept("one").get(measure, "FC10(1)", 0, 0.5)
    again = Kept("one").get(measure, "FC10(1)", 0, 0.5, progress=True)  # no part of the key
    assert first["n"] == again["n"] == 1
    assert first["pair"] == again["pair"] == [1, 2]  # as JSON has it, also the first time
    assert Kept("one").has(measure, "FC10(1)", 0, 0.5)
    assert not Kept("one").has(measure, "FC10(1)", 1, 0.5)
    assert Kept("another").get(measure, "FC10(1)", 0, 0.5)["n"] == 2


def images():
    return data.load_mnist("test", "cpu").sample(3)


def with_pixel():
    few = images()
    few.images[0, 0, 0, 0] += 0.5
    return few


def with_label():
    few = images()
    return dataclasses.replace(few, labels=(few.labels + 1) % 10)


def with_row():  # recorded targets go by the rows
    few = images()
    return dataclasses.replace(few, index=few.index + 1)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (lambda: [1], lambda: [2]),
        (lambda: [1], lambda: ["1"]),
        (lambda: [{"a": 1, "b": [2]}], lambda: [{"a": 1, "b": [3]}]),
        (lambda: [net()], lambda: [retrained()]),
        (lambda: [net()], lambda: [net().double()]),
        (lambda: [models.build("FC100-100-10", 0)], lambda: [models.build("FC100-100-10", 1)]),
        (lambda: [images()], lambda: [with_pixel()]),
        (lambda: [images()], lambda: [with_label()]),
        (lambda: [images()], lambda: [with_row()]),
        (lambda: [torch.zeros(2)], lambda: [torch.zeros(2, 1)]),
        (lambda: [zoo.Recipe()], lambda: [zoo.Recipe(decay=1.0)]),
        (lambda: [measure], lambda: [other]),
    ],
)
def test_another_argument_is_another_measurement(one, two):
    it = Kept("one")
    assert it.get(measure, *one())["n"] == 1
    assert it.get(measure, *one())["n"] == 1
    assert it.get(measure, *two())["n"] == 2
    assert it.get(measure, 7, uses=one())["n"] == 3
    assert it.get(measure, 7, uses=one())["n"] == 3
    assert it.get(measure, 7, uses=two())["n"] == 4


def test_a_retrained_network_of_the_zoo_is_measured_again(monkeypatch, tmp_path):
    it, name = Kept("one"), "FC10(1)"

    def got():
        return it.get(measure, name, 0, uses=[zoo.load(name, 0, "cpu", progress=False)])["n"]

    assert (got(), got()) == (1, 1)
    monkeypatch.setattr(zoo, "SHIPPED", tmp_path)
    monkeypatch.setattr(zoo, "scores", lambda name, net: {})  # they take a while
    zoo.save(retrained(), tmp_path / zoo.file_name(name, 0), name, 0)
    assert (got(), got()) == (2, 2)


def test_other_data_another_torch_and_another_device_are_measured_again(monkeypatch, tmp_path):
    it = Kept("one")
    assert it.get(measure)["n"] == 1
    for path in (*data.FOLDER.glob("*.npz"), data.FOLDER / "SHA256SUMS"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "SHA256SUMS").write_text("of other images", encoding="utf-8")
    with monkeypatch.context() as changed:
        changed.setattr(kept, "FOLDER", tmp_path)
        assert it.get(measure)["n"] == 2
    with monkeypatch.context() as changed:
        changed.setattr(torch, "__version__", "3.0")
        assert it.get(measure)["n"] == 3
    assert it.get(measure)["n"] == 1


def test_other_code_is_measured_again(monkeypatch):
    it = Kept("one")
    assert it.get(measure)["n"] == 1
    with monkeypatch.context() as changed:
        changed.setattr(kept, "code_digest", lambda *roots: "another")
        assert it.get(measure)["n"] == 2
    assert it.get(measure)["n"] == 1
    assert it.get(other)["n"] == -3


@pytest.mark.parametrize("value", [object(), {1, 2}, lambda: 1, b"raw"])
def test_what_has_no_digest_is_refused_before_any_work(value):
    with pytest.raises(TypeError, match=r"digest|looked up"):
        Kept("one").get(measure, value)
    assert not CALLS


def test_fresh_forgets_this_programs_measurements_alone():
    for name in ("one", "two"):
        Kept(name).get(measure, name)
    it = Kept("one", fresh=True)
    assert not it.has(measure, "one")
    assert Kept("two").has(measure, "two")


def test_an_interrupted_run_goes_on():
    def run():
        it = Kept("one")
        return [it.get(stopping, k)["k"] for k in range(4)]

    STOP.append(2)
    with pytest.raises(KeyboardInterrupt):
        run()
    STOP.clear()
    assert run() == [0, 1, 2, 3]
    assert CALLS == [0, 1, 2, 3]


STOP: list[int] = []


def stopping(k):
    if k in STOP:
        raise KeyboardInterrupt
    CALLS.append(k)
    return {"k": k}


# --- the files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "foreign", "list", "bytes"])
def test_a_damaged_file_is_said_to_be_so_and_set_aside(damage):
    it = Kept("one")
    it.get(measure, 1)
    (path,) = it.folder.glob("*.json")
    text = path.read_text(encoding="utf-8")
    it.get(measure, 2)
    (second,) = set(it.folder.glob("*.json")) - {path}
    broken = {
        "cut": text[:-20],
        "changed": text.replace('"n": 1', '"n": 9'),
        "empty": "",
        "foreign": second.read_text(encoding="utf-8"),
        "list": "[1]",
        "bytes": "",
    }[damage]
    path.write_text(broken, encoding="utf-8")
    if damage == "bytes":
        path.write_bytes(b"\xff\xfe\x00")
    raw = path.read_bytes()
    with pytest.warns(UserWarning, match=r"is damaged \(.+\); it is called .+\.damaged now"):
        assert it.get(measure, 1)["n"] == 3
    assert path.with_name(f"{path.name}.damaged").read_bytes() == raw
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert it.get(measure, 1)["n"] == 3
    path.write_text("", encoding="utf-8")
    with pytest.warns(UserWarning, match=r"\.damaged-2 now"):
        it.get(measure, 1)
    assert path.with_name(f"{path.name}.damaged").read_bytes() == raw


def test_a_file_has_a_name_for_people():
    it = Kept("one")
    it.get(measure, net(), "FC10(1e-4)", 3)
    (path,) = it.folder.glob("*.json")
    assert path.name.startswith("measure-FC10-1e-4-3.")
    assert path.is_relative_to(storage.home())


def test_a_folder_that_cannot_be_written_to_costs_no_measurement(monkeypatch):
    def full(path, text):
        raise OSError("the disk is full")

    monkeypatch.setattr(storage, "write_text", full)
    with pytest.warns(UserWarning, match=r"could not be kept \(the disk is full\)"):
        assert Kept("one").get(measure)["n"] == 1


def test_two_runs_at_once_lose_nothing():
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, context) as pool:
        list(pool.map(keep_some, (range(0, 30), range(20, 50))))
    it = Kept("one")
    assert [it.get(doubled, k) for k in range(50)] == [2 * k for k in range(50)]
    assert not CALLS


def keep_some(numbers):
    it = Kept("one")
    for k in numbers:
        it.get(doubled, k)


def doubled(k):
    CALLS.append(k)
    return 2 * k


# --- the code ------------------------------------------------------------------------------------

PROGRAM = '''"""A program."""

import math, tools
from kit import a, far

SIZE = 3
TRIED = (1, 2)


def helper(x):
    """Text."""
    return a.f(x) * SIZE


def measure(x):
    return helper(x) + tools.one()


def main():
    print(far.g(), TRIED)


if __name__ == "__main__":
    main()
'''


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A program, a file beside it, and a package in the place of course_lib."""
    package = tmp_path / "kit"
    package.mkdir()
    files = {
        package / "__init__.py": "",
        package / "a.py": "from .b import g\n\ndef f(x):\n    return g(x)\n",
        package / "b.py": "def g(x):\n    return x + 1\n",
        package / "far.py": "def g():\n    return 1\n",
        tmp_path / "program.py": PROGRAM,
        tmp_path / "tools.py": "def one():\n    return 1\n",
    }
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    monkeypatch.setattr(storage, "PACKAGE", package)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def digest_of(folder: Path) -> str:
    """The digest of program.measure; its file as it is now."""
    sourcecode.code_digest.cache_clear()
    space = {"__name__": "program"}
    text = "def measure(x):\n    pass\n"
    exec(compile(text, str(folder / "program.py"), "exec"), space)
    return sourcecode.code_digest(space["measure"])


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("program.py", "* SIZE", "+ SIZE"),
        ("program.py", "SIZE = 3", "SIZE = 4"),
        ("tools.py", "return 1", "return 2"),
        ("kit/a.py", "return g(x)", "return g(-x)"),
        ("kit/b.py", "x + 1", "x + 2"),
    ],
)
def test_the_digest_turns_with_all_code_that_is_read(program, file, old, new):
    before = digest_of(program)
    path = program / file
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")
    assert digest_of(program) != before
    path.write_text(text, encoding="utf-8")
    assert digest_of(program) == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("program.py", '"""Text."""', '"""Other text."""'),
        ("program.py", "(1, 2)", "(1, 2, 3)"),
        ("program.py", "print(far.g(), TRIED)", "pass"),
        ("program.py", "SIZE = 3", "SIZE = 3  # why"),
        ("kit/far.py", "return 1", "return 2"),
        ("kit/b.py", "def g", "\n\ndef g"),
    ],
)
def test_the_digest_stays_with_what_measures_nothing(program, file, old, new):
    before = digest_of(program)
    path = program / file
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")
    assert digest_of(program) == before


def test_a_change_of_the_attack_changes_the_digest_of_what_calls_it(monkeypatch):
    before = sourcecode.code_digest(attacks_a_network)
    assert sourcecode.code_digest(attacks_a_network) == before
    sourcecode.code_digest.cache_clear()
    sqp = storage.PACKAGE / "attacks" / "sqp.py"
    read = Path.read_text

    def changed(path, *args, **kwargs):
        text = read(path, *args, **kwargs)
        return text + "\nMORE = 1\n" if path == sqp else text

    monkeypatch.setattr(Path, "read_text", changed)
    assert sourcecode.code_digest(attacks_a_network) != before
    assert sourcecode.code_digest(measure) == sourcecode.code_digest(measure)


def attacks_a_network(net, few):
    return attacks.minimal_adversarial(net, few.images).l2


def test_a_function_of_the_package_has_a_digest():
    assert sourcecode.code_digest(robust.build) != sourcecode.code_digest(robust.train_bounded)
    with pytest.raises(TypeError, match="no code that can be looked up"):
        sourcecode.code_digest(lambda: 1)


def test_what_a_definition_reaches():
    text = sourcecode.reached(PROGRAM, "measure")
    assert "def helper" in text
    assert "SIZE = 3" in text
    assert "from kit import a" in text.splitlines()
    assert "import tools" in text.splitlines()
    for word in ("far", "main", "TRIED", "math"):
        assert word not in text
    decorated = "@cache\n@other\ndef f(): pass\n\nx = [i for f in y]\nop.SMALL = 1\n"
    assert sourcecode.reached(decorated, "f").splitlines() == [
        "@cache",
        "@other",
        "def f(): pass",
        "op.SMALL = 1",  # it binds no name, so it may be there for anybody
    ]
    with pytest.raises(KeyError, match="There is no 'h'"):
        sourcecode.reached(PROGRAM, "h")


# --- records -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "section"),
    [
        ("attacks", "networks"),
        ("certificates", "networks"),
        ("networks", "networks"),
        ("robust", "methods"),
        ("settings", "networks"),
    ],
)
def test_a_part_put_in_again_leaves_a_record_as_it_was(name, section, tmp_path):
    text = (RECORDS / f"{name}.json").read_text(encoding="utf-8")
    path = tmp_path / "record.json"
    path.write_text(text, encoding="utf-8")
    inside = json.loads(text)[section]
    machine = {"machine": json.loads(text)["machine"]}
    for key in inside:
        record.merged(path, section, {key: inside[key]}, machine, inside)
    assert path.read_text(encoding="utf-8") == text


def test_a_record_grows_a_part_at_a_time_in_its_order(tmp_path):
    path = tmp_path / "new" / "record.json"
    order = ("a", "b", "c")
    record.merged(path, "networks", {"c": 1}, {"machine": 1}, order)
    record.merged(path, "networks", {"a": 2, "gone": 0}, {"machine": 2}, order)
    whole = record.merged(path, "scans", {"a": 3})
    assert whole == record.stored(path)
    assert list(whole) == ["machine", "networks", "scans"]
    assert list(whole["networks"]) == ["a", "c"]
    record.merged(path, None, {"machine": 4, "new": 5})
    assert next(iter(record.stored(path).items())) == ("machine", 4)
    assert record.stored(tmp_path / "none.json") == {}


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"networks": 3}'])
def test_a_damaged_record_is_refused_and_left_alone(text, tmp_path, capsys):
    path = tmp_path / "record.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(record.DamagedRecord, match="is damaged"):
        record.merged(path, "networks", {"a": 1})
    assert path.read_text(encoding="utf-8") == text
    if "networks" not in text:
        with pytest.raises(SystemExit):
            record.parser("text", path).parse_args([])
        assert "is damaged" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="is damaged"):
        record.run(lambda: record.merged(path, "networks", {"a": 1}))


def test_the_command_line_of_a_maker(tmp_path, capsys):
    parser = record.parser("About.", tmp_path / "r.json", ("FC10(1)", "CONV"), seeds=5, n=200)
    given = parser.parse_args([])
    assert (given.names, given.seeds, given.n, given.fresh) == ([], 5, 200, False)
    assert given.output == tmp_path / "r.json"
    assert parser.parse_args(["CONV", "--n", "3", "--fresh"]).names == ["CONV"]
    for bad, sentence in (
        (["FC11"], "there is no 'FC11' here: use some of FC10(1), CONV"),
        (["--n", "0"], "no whole number above 0"),
        (["--seeds", "x"], "no whole number above 0"),
    ):
        with pytest.raises(SystemExit):
            parser.parse_args(bad)
        assert sentence in capsys.readouterr().err


def test_ctrl_c_says_how_to_go_on():
    def main():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit, match="what is finished is kept"):
        record.run(main)


def test_the_networks_record_goes_on_where_it_stopped(monkeypatch, tmp_path):
    monkeypatch.setattr(record, "PATH", tmp_path / "networks.json")
    monkeypatch.setattr(record, "train_and_save", pretended)
    monkeypatch.setattr(networks, "literal_scores", pretended_literal)
    STOP.append("literal")
    with pytest.raises(KeyboardInterrupt):
        networks.make(["FC10(1)"], progress=False)
    STOP.clear()
    assert list(record.read()["networks"]["FC10(1)"]) == ["ours"]
    networks.make(["FC10(1)"], progress=False)
    assert [what[0] for what in CALLS] == ["ours", "literal"]
    entry = record.read()["networks"]["FC10(1)"]
    assert entry["ours"]["seeds"] == {"0": {"test": 0.5}}
    assert entry["literal"]["summary"]["test"] == {"mean": 0.25, "half_width": 0.0}
    networks.make(["FC10(1)"], progress=False)  # all was done: a new run begins anew
    assert len(CALLS) == 4


def pretended(name, seed, folder, progress):
    CALLS.append(("ours", folder))
    return {"scores": {"test": 0.5}}


def pretended_literal(name, seed, progress):
    if "literal" in STOP:
        raise KeyboardInterrupt
    CALLS.append(("literal",))
    return {"test": 0.25}
