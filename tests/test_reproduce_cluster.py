"""``course reproduce --scheduler``: the same results on a Dask cluster, also without a worker."""

import os
import signal
import sys

import pytest

from course_lib import cli, storage, zoo
from course_lib.reproduce import cluster, distortions, running, tasks
from course_lib.reproduce.running import Stopped
from course_lib.reproduce.task import Task

ADDRESS = "tcp://127.0.0.1:1"  # nobody listens there


def test_without_the_package_it_is_said_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert cli.main(["reproduce", "table5", "--scheduler", ADDRESS]) == 1
    said = capsys.readouterr().err
    assert "needs the package distributed" in said
    assert "[cluster]" in said


def test_no_scheduler_at_the_address_is_said_before_any_work(monkeypatch, capsys):
    pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "TIMEOUT", 0.3)
    monkeypatch.setattr(running, "run", lambda *a, **k: pytest.fail("worked"))
    for address in (ADDRESS, "nonsense"):
        assert cli.main(["reproduce", "table5", "--scheduler", address]) == 1
        assert f"There is no Dask scheduler at {address!r}" in capsys.readouterr().err


def test_a_worker_with_another_course_refuses():
    task = Task("norms", "FC. 3")
    with pytest.raises(RuntimeError, match="another version of the course"):
        cluster.do(("norms", "FC. 3", 0, {}), "another digest", {}, {})
    assert cluster.digest_of(task.experiment) != "another digest"


def test_a_worker_says_which_networks_it_lacks_and_takes_them(monkeypatch):
    monkeypatch.setattr(tasks, "compute", lambda task: {"value": 1})
    net = zoo.load("FC10(1)", progress=False)
    name = zoo.file_name("FC100-100-10", 1)  # some file of this name: it is not looked into here
    zoo.save(net, storage.home() / "file", "FC10(1)", 0)
    data = (storage.home() / "file").read_bytes()
    sums = {name: storage.sha256(storage.home() / "file")}
    asked = (("norms", "FC. 3", 0, {}), cluster.digest_of("norms"), sums)
    assert cluster.do(*asked, {}) == {"missing": [name]}
    assert cluster.do(*asked, {name: data})["result"] == {"value": 1}
    assert cluster.do(*asked, {})["result"] == {"value": 1}
    (zoo.kept() / name).write_bytes(data[:-1])  # another network of this name
    assert cluster.do(*asked, {}) == {"missing": [name]}


def timeless(results):
    return {task: {k: v for k, v in r.items() if k != "cpu_seconds"} for task, r in results.items()}


@pytest.mark.filterwarnings("ignore")  # the packages' own, on their way out
def test_two_workers_one_of_them_killed_give_the_same(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    every = distortions.tasks(["FC10(1)", "FC10(1e-2)"], [0], 6, distortions.CELLS[:4])
    alone = running.run(every, progress=False)
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "another"))
    monkeypatch.setenv("PYTHONPATH", str(storage.PACKAGE.parent))  # for the workers
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        dashboard_address=None,
        silence_logs=50,
    ) as local:
        for nanny in local.workers.values():
            nanny.auto_restart = False  # the other one does the rest
        with distributed.Client(local) as client:
            pids = client.run(os.getpid)
        killed = []

        def kill(task, result, seconds):
            if len(killed) == 0 and len(running.finished_of(every)) >= len(every) // 2:
                killed.append(min(pids.values()))
                os.kill(killed[0], signal.SIGKILL)

        address = local.scheduler_address
        assert cluster.workers(address) == 2
        how = {"executor": cluster.on(address), "together": 2, "progress": False, "tell": kill}
        made = running.run(every, **how)
        assert killed
        assert timeless(made) == timeless(alone)
        assert running.finished_of(every) == made
        impossible = Task("distortions", "FC10(1)", 0, {"n": 0})
        with pytest.raises(Stopped, match=r"failed on the cluster \(ValueError: A sample of 0"):
            running.run([impossible], executor=cluster.on(address), progress=False)
