"""The course's own attack, course_lib.attacks.minimal_adversarial."""

import common

from course_lib import attacks


def minimal(net, images, labels, targets, **settings):
    return attacks.minimal_adversarial(net, images, targets, labels, **settings).images


if __name__ == "__main__":
    common.main({"minimal": minimal}, "intriguing-properties-course")
