"""foolbox 3: Carlini-Wagner, DDN, FMN, DeepFool."""

import common
import foolbox


def attack_with(name):
    """The attack of foolbox called ``name`` as a function of the worker's arguments."""

    def attack(net, images, labels, targets, **settings):
        model = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
        wanted = (
            foolbox.criteria.Misclassification(labels)
            if targets is None
            else foolbox.criteria.TargetedMisclassification(targets)
        )
        return getattr(foolbox.attacks, name)(**settings).run(model, images, wanted)

    return attack


NAMES = ("L2CarliniWagnerAttack", "DDNAttack", "L2FMNAttack", "L2DeepFoolAttack")

if __name__ == "__main__":
    common.main({name: attack_with(name) for name in NAMES}, "foolbox")
