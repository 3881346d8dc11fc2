"""adv-lib: PDGD, ALMA, DDN, FAB, DeepFool, SuperDeepFool, Carlini-Wagner."""

import common
from adv_lib import attacks


def attack_with(function):
    """``function`` of adv-lib as a function of the worker's arguments."""

    def attack(net, images, labels, targets, **settings):
        wanted = labels if targets is None else targets
        return function(net, images, wanted, targeted=targets is not None, **settings)

    return attack


NAMES = ("pdgd", "alma", "ddn", "fab", "df", "sdf", "carlini_wagner_l2")

if __name__ == "__main__":
    common.main({name: attack_with(getattr(attacks, name)) for name in NAMES}, "adv-lib")
