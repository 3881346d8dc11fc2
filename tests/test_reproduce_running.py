"""``course reproduce``: which tasks there are, that what is finished is used again, and what is
said when something is wrong."""

import json
import os
import random
import subprocess
import sys
import textwrap
import time
import types
from pathlib import Path

import pretended_tasks
import pytest

from course_lib import cli, device, storage, zoo
from course_lib.reproduce import command, folder, helpers, networks, running, tasks
from course_lib.reproduce.running import Stopped
from course_lib.reproduce.task import Task

THOROUGH = os.environ.get("COURSE_THOROUGH")


@pytest.fixture
def twelve(monkeypatch):
    """Twelve pretended tasks, of a record of their own."""
    return pretended_tasks.install(monkeypatch.setitem, monkeypatch.setattr)


@pytest.fixture
def log(monkeypatch, tmp_path):
    path = tmp_path / "log.txt"
    monkeypatch.setenv("PRETENDED_LOG", str(path))
    path.touch()
    return lambda: path.read_text(encoding="utf-8").split()


@pytest.fixture
def report(monkeypatch):
    """The report's place taken by a list of what it is asked for."""
    monkeypatch.setattr("course_lib.reproduce.report", None, raising=False)
    return pretended_tasks.no_report(monkeypatch.setitem, monkeypatch.setattr)


# --- the list ------------------------------------------------------------------------------------


def test_every_task_can_be_told_from_the_others_and_sent_as_json():
    for mode in tasks.MODES:
        every = tasks.grid(mode)
        assert len({task.key for task in every}) == len(every)
        for task in every:
            assert Task(*json.loads(task.key)) == task
            assert tasks.experiment(task).cost(task) > 0


def test_every_network_that_a_task_needs_is_trained_by_one_before_it():
    for mode in ("quick", "default"):
        trained = set()
        for task in tasks.grid(mode):
            if task.experiment == "training":
                trained.add((task.network, task.seed))
            assert set(tasks.experiment(task).needs(task)) <= trained


def test_a_table_alone_is_a_part_of_the_whole():
    whole = set(tasks.grid("default"))
    for table in tasks.TABLES:
        part = tasks.grid("default", [table])
        assert part
        assert set(part) <= whole
    assert {t.experiment for t in tasks.grid("full", ["table5"])} == {"norms", "photographs"}


def test_the_full_grid_takes_all_images_and_five_networks():
    full = tasks.grid("full", ["table1", "table2"])
    examples = [t for t in full if t.experiment == "examples" and t.network == "CONV"]
    assert {t.seed for t in examples if t.settings["table"] == "table2"} == set(range(5))
    assert {t.settings["n"] for t in examples} == {None}
    cells = {(t.network, t.seed) for t in full if t.experiment == "distortions"}
    assert {("CONV", 4), ("FC100-100-10-ReLU", 4), ("AE400-10", 4), ("FC10(1)", 0)} <= cells
    assert ("FC10(1)", 1) not in cells  # one optimum


def test_an_unknown_table_or_mode_is_said_before_any_work(capsys, monkeypatch):
    monkeypatch.setattr(running, "run", lambda *a, **k: pytest.fail("worked"))
    assert cli.main(["reproduce", "table1", "table6"]) == 1
    said = capsys.readouterr().err
    assert "There is no table or figure 'table6' here: use some of table1, table2" in said
    assert "figure7, training" in said
    assert cli.main(["reproduce", "--mode", "fast"]) == 1
    assert "There is no mode 'fast': use one of quick, default, full" in capsys.readouterr().err
    assert cli.main(["reproduce", "--scheduler", "tcp://a:1", "--scheduler", "tcp://b:1"]) == 1
    assert "Two schedulers were named (tcp://a:1 and tcp://b:1)" in capsys.readouterr().err


def test_one_network_of_many_has_no_interval():
    scores = {"0": {"test": 0.01}}
    assert networks.summarise("CONV", scores)["test"]["half_width"] is None
    assert networks.summarise("FC10(1)", scores)["test"]["half_width"] == 0


# --- going on ------------------------------------------------------------------------------------


def test_what_is_finished_is_not_done_again(twelve, log):
    first = running.run(twelve[:5], progress=False)
    every = running.run(twelve, progress=False)
    assert list(every) == twelve
    assert {t: every[t] for t in twelve[:5]} == first
    assert sorted(map(int, log())) == list(range(12))
    running.run(twelve[:2], fresh=True, progress=False)
    assert len(log()) == 14
    assert running.finished_of(twelve) == every


def test_a_damaged_result_is_said_and_only_that_done_again(twelve, log):
    every = running.run(twelve, progress=False)
    files = sorted((storage.home() / "kept" / running.PROGRAM).glob("*.json"))
    files[3].write_text('{"what": 1', encoding="utf-8")
    with pytest.warns(UserWarning, match="is damaged"):
        again = running.run(twelve, progress=False)
    assert again == every
    assert len(log()) == 13


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")


def in_processes(*arguments) -> None:
    """A program of :mod:`pretended_tasks`, with this test's home and log."""
    paths = [str(Path(__file__).parent), str(storage.PACKAGE.parent)]
    subprocess.run(
        [sys.executable, "-c", "import pretended_tasks; pretended_tasks.main()", *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        check=True,
        timeout=300,
    )


@needs_fork
def test_a_run_killed_at_random_moments_gives_the_same_data(twelve, log):
    in_processes("killed")
    every = running.run(twelve, progress=False)
    assert every == {t: {"value": random.Random(t.seed).random(), "of": "net"} for t in twelve}
    assert len(log()) <= len(twelve) + pretended_tasks.KILLS, "a kill costs the task under way"
    assert len(list((storage.home() / "kept" / running.PROGRAM).glob("*.json"))) == 12


@needs_fork
def test_two_runs_at_once_leave_each_others_files_whole(twelve, log, report, tmp_path):
    output = tmp_path / "results"
    in_processes("together", str(output))
    done = len(log())
    assert folder.examine(output, "quick") == []
    found = json.loads((output / "records" / "pretended.json").read_text(encoding="utf-8"))
    assert found == {str(t.seed): r for t, r in running.run(twelve, progress=False).items()}
    assert len(log()) == done  # all was finished


def test_the_rest_is_estimated_from_what_was_done(twelve):
    estimate = running.Estimate(twelve)
    assert estimate.left() == sum(range(1, 13))  # as guessed
    estimate.done(twelve[0], 3.0)  # three times the guess
    assert estimate.left() == pytest.approx(3 * sum(range(2, 13)))
    assert estimate.left(2) == pytest.approx(1.5 * sum(range(2, 13)))
    for task in twelve[1:]:
        estimate.done(task, 1.0)
    assert estimate.left() == 0


def test_an_experiment_is_estimated_from_its_own_tasks(twelve, monkeypatch):
    monkeypatch.setitem(tasks.EXPERIMENTS, "other", tasks.EXPERIMENTS["pretended"])
    others = [Task("other", "net", seed) for seed in range(2)]
    estimate = running.Estimate([*twelve[:2], *others])
    estimate.done(twelve[0], 10.0)
    assert estimate.left() == pytest.approx(10 * (2 + 1 + 2))  # by all, where nothing else is known
    estimate.done(others[0], 0.5)
    assert estimate.left() == pytest.approx(10 * 2 + 0.5 * 2)


# --- no room -------------------------------------------------------------------------------------


def test_no_room_is_said_before_any_work(monkeypatch, capsys, tmp_path):
    usage = types.SimpleNamespace(free=5e6)
    monkeypatch.setattr(running.shutil, "disk_usage", lambda path: usage)
    assert cli.main(["reproduce", "--output", str(tmp_path / "new" / "folder")]) == 1
    assert "There is too little room: 5 MB are free" in capsys.readouterr().err


def test_a_disk_that_fills_loses_nothing(twelve, monkeypatch, log):
    write, count = storage.write_text, []

    def full(path, text):
        count.append(path)
        if len(count) == 4:
            raise OSError(28, "No space left on device")
        write(path, text)

    monkeypatch.setattr(storage, "write_text", full)
    with pytest.raises(
        Stopped, match=r"could not be kept .+No space left.+the same command goes on"
    ):
        running.run(twelve, progress=False)
    assert len(running.finished_of(twelve)) == 3
    running.run(twelve, progress=False)
    assert len(log()) == 13


def test_a_network_that_cannot_be_kept_is_said(monkeypatch):
    monkeypatch.setattr(zoo, "find", lambda name, seed=0: None)
    monkeypatch.setattr(networks, "errors", lambda network, seed, settings: {"test": 0.5})
    with pytest.raises(Stopped, match=r"A network of the task training, CONV, seed 1 could not be"):
        running.run([Task("training", "CONV", 1)], progress=False)


# --- the folder of results -----------------------------------------------------------------------


def test_a_folder_of_results_is_examined_and_what_is_good_in_it_stays(
    twelve, report, tmp_path, monkeypatch, capsys
):
    def run():
        code = cli.main(["reproduce", "--mode", "quick", "--output", str(tmp_path), "--quiet"])
        said = capsys.readouterr()
        return code, said.out, said.err

    monkeypatch.setattr(command, "how_many", lambda jobs: 1)
    code, out, err = run()
    assert (code, err) == (0, "")
    path = tmp_path / "records" / "pretended.json"
    assert f"Written: {path}" in out
    assert report == [(tmp_path, "quick")]
    good = path.read_bytes()
    assert run()[2] == ""  # nothing is wrong with it
    path.write_bytes(good[:40])
    assert "is damaged" in run()[2]
    assert path.read_bytes() == good
    assert (tmp_path / "records" / "pretended.json.damaged").read_bytes() == good[:40]
    made = json.loads((tmp_path / folder.MADE).read_text(encoding="utf-8"))
    made["pretended"]["code"] = ["another"]
    (tmp_path / folder.MADE).write_text(json.dumps(made), encoding="utf-8")
    assert "was made by another version of the course: it stays" in run()[2]
    assert run()[2] == ""
    (tmp_path / folder.MADE).write_text("[", encoding="utf-8")
    assert f"{folder.MADE} is damaged" in run()[2]
    assert folder.examine(tmp_path, "full")[0].count("in the mode 'quick'") == 1


def test_ctrl_c_is_answered_in_a_sentence(twelve, monkeypatch, capsys, log, tmp_path):
    compute = tasks.compute

    def interrupted(task):
        if len(log()) == 4:
            raise KeyboardInterrupt
        return compute(task)

    monkeypatch.setattr(tasks, "compute", interrupted)
    asked = ["reproduce", "--output", str(tmp_path), "--jobs", "1", "--quiet"]
    assert cli.main(asked) == 130
    assert "what was finished is kept" in capsys.readouterr().out
    assert len(running.finished_of(twelve)) == 4


# --- several at a time ---------------------------------------------------------------------------

SCRIPT = """
import json, os, sys
for line in sys.stdin:
    experiment, network, seed, settings = json.loads(line)
    if seed == 3 and not os.path.exists({mark!r}):
        open({mark!r}, "w").close()
        os._exit(9)
    if seed == 99:
        print(json.dumps({{"error": "ValueError: no such seed", "seconds": 0}}), flush=True)
        continue
    if seed == 98:
        os._exit(9)
    print(json.dumps({{"result": {{"seed": seed}}, "seconds": 0.1}}), flush=True)
"""


@pytest.fixture
def light(monkeypatch, tmp_path):
    """Helpers that import nothing, one of which dies once."""
    path = tmp_path / "helper.py"
    path.write_text(SCRIPT.format(mark=str(tmp_path / "died")), encoding="utf-8")
    monkeypatch.setattr(helpers, "COMMAND", [sys.executable, str(path)])
    return tmp_path / "died"


def test_a_helper_that_dies_is_replaced(twelve, light, capfd):
    made = running.run(twelve, executor=helpers.at_once(2), together=2, progress=False)
    assert made == {task: {"seed": task.seed} for task in twelve}
    assert light.exists()
    assert "pretended, net, seed 3. It is done again." in capfd.readouterr().err


@pytest.mark.parametrize(("seed", "said"), [(99, "no such seed"), (98, "It was tried 3 times")])
def test_a_task_that_cannot_be_done_stops_the_run_in_a_sentence(twelve, light, seed, said):
    every = [*twelve[:2], Task("pretended", "net", seed)]
    with pytest.raises(Stopped, match=said):
        running.run(every, executor=helpers.at_once(1), progress=False)
    assert len(running.finished_of(every)) == 2


def test_a_task_waits_for_its_networks(twelve, light, monkeypatch):
    there, order = set(), []
    kind = tasks.EXPERIMENTS["pretended"]
    monkeypatch.setattr(kind, "needs", lambda t: [("net", 5)] if t.seed < 3 else [])

    class Seen(running.Finished):
        def network(self, name, seed):
            return ["net", seed] if seed in there else None

        def store(self, task, result, seconds):
            order.append(task.seed)
            there.add(task.seed)
            super().store(task, result, seconds)

    monkeypatch.setattr(running, "Finished", Seen)
    running.run(twelve[:6], executor=helpers.at_once(2), progress=False)
    assert set(order) == set(range(6))
    assert order.index(5) < min(order.index(seed) for seed in range(3))


def test_how_many_at_a_time(monkeypatch):
    assert command.how_many(3) == 3
    monkeypatch.setattr(running, "cores", lambda: 64)
    assert command.how_many(None) == 8
    monkeypatch.setattr(device, "pick", lambda: types.SimpleNamespace(type="cuda"))
    assert command.how_many(None) == 1


# --- as it is typed ------------------------------------------------------------------------------


@pytest.mark.skipif(not THOROUGH, reason="needs COURSE_THOROUGH=1")
@pytest.mark.slow
def test_a_real_run_killed_ten_times_gives_the_same_data(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            """
            import sys
            from pathlib import Path
            from course_lib.reproduce import distortions, folder, helpers, running, transfers
            transfers.WIDE = ("FC10(1e-2)", "FC10(1)")
            every = distortions.tasks(["FC10(1)", "FC10(1e-2)"], [0], 30)
            every += transfers.tasks("table2", 30, [0])
            if __name__ == "__main__":
                how = {} if sys.argv[2] == "1" else {"executor": helpers.at_once(2)}
                made = running.run(every, progress=False, **how)
                folder.write(Path(sys.argv[1]), "quick", ["attacks", "transfer"], made)
            """
        ),
        encoding="utf-8",
    )

    def records(name, jobs, kills):
        environment = os.environ | {"COURSE_HOME": str(tmp_path / f"home-{name}")}
        environment["PYTHONPATH"] = str(storage.PACKAGE.parent)
        call = [sys.executable, str(program), str(tmp_path / name), jobs]
        rng = random.Random(jobs)
        for _ in range(kills):
            child = subprocess.Popen(call, env=environment)
            time.sleep(rng.uniform(2, 8))
            child.kill()
            child.wait()
        subprocess.run(call, env=environment, check=True)
        found = {}
        for path in sorted((tmp_path / name / "records").glob("*.json")):
            found[path.name] = timeless(json.loads(path.read_text(encoding="utf-8")))
        return found

    undisturbed = records("once", "1", 0)
    assert set(undisturbed) == {"attacks.json", "transfer.json"}
    assert records("killed", "1", 5) == undisturbed
    assert records("killed at once", "2", 5) == undisturbed


def timeless(found):
    """A record without the seconds it took, and the number of threads."""
    if isinstance(found, dict):
        left = {k: v for k, v in found.items() if k not in ("cpu_seconds", "threads")}
        return {key: timeless(value) for key, value in left.items()}
    return [timeless(value) for value in found] if isinstance(found, list) else found
