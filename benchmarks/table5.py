"""The record of lesson 06: Table 5's layers with the weights that AlexNet's training begins with.

    python benchmarks/table5.py             # about a minute on one core; writes the record
    python benchmarks/table5.py --trained   # prints the table of a trained AlexNet, as a download

How the layers are made and measured is in :mod:`course_lib.reproduce.norms`, whose tasks
``course reproduce`` does too; finished ones are kept, until the code changes, and ``--fresh``
forgets them. The weights of torchvision, of a network with fewer channels (Krizhevsky 2014), need a
download, and only the printed table is made with them. The record is
course_lib/_assets/records/table5.json.
"""

import argparse
import json

from course_lib import storage
from course_lib.record import run
from course_lib.reproduce import norms, running

PATH = storage.ASSETS / "records" / "table5.json"


def main() -> None:
    """Measure the layers, print them beside the paper's bounds, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trained", action="store_true", help="torchvision's weights; no record")
    parser.add_argument("--fresh", action="store_true", help="forget what is kept; measure anew")
    given = parser.parse_args()
    if given.trained:
        import torchvision

        net = torchvision.models.alexnet(weights="IMAGENET1K_V1").eval()
        for name, layer in norms.of_alexnet(net).items():
            print(norms.printed(name, norms.measure(*layer)), flush=True)
        return

    def say(task, result: dict, seconds: float) -> None:
        print(norms.printed(task.network, result), flush=True)

    made = running.run(norms.tasks(), fresh=given.fresh, progress=False, tell=say)
    storage.write_text(PATH, json.dumps(norms.assemble(made), indent=1) + "\n")


if __name__ == "__main__":
    run(main)
