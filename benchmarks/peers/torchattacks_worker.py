"""torchattacks' CW: one c for all images, and a tanh that freezes every pixel at 0 or 1."""

import common
import torchattacks


def carlini_wagner(net, images, labels, targets, **settings):
    attack = torchattacks.CW(net, **settings)
    if targets is None:
        return attack(images, labels)
    attack.set_mode_targeted_by_label(quiet=True)
    return attack(images, targets)


if __name__ == "__main__":
    common.main({"CW": carlini_wagner}, "torchattacks")
