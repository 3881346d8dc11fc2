"""AttackBench's local optimality of distances: ``python score_worker.py IN.json OUT.json``.

IN: {"best": the least distance known for each image, "rows": {name: distances, inf for none}}; all
images are such that the network has right. OUT: {"version": ..., "scores": {name: 0 to 1}}.
"""

import importlib.metadata
import json
import sys
from pathlib import Path

from attackbench.metrics.distances import eval_optimality


def main(given: str, out: str) -> None:
    asked = json.loads(Path(given).read_text(encoding="utf-8"))
    scores = {
        name: eval_optimality(distances, asked["best"], clean_acc=1.0)
        for name, distances in asked["rows"].items()
    }
    found = {"version": importlib.metadata.version("attackbenchlib"), "scores": scores}
    Path(out).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
