"""A course on *Intriguing properties of neural networks* (Szegedy et al., arXiv 1312.6199).

Importing this package imports nothing else: ``from course_lib import models`` pulls in torch,
``from course_lib import widgets`` pulls in ipywidgets, and so on, each when it is asked for.
The modules read in the order of the paper, and each knows only those above it:

``paper``     every number and claim that the paper prints, as data
``storage``   the one folder for all that is written, and writing that is never half done
``device``    one look-up of the device, one seed
``data``      MNIST out of the package's own files; the halves P1 and P2; the validation part
``models``    the networks by their paper names; any layer's activations by name
``training``  the paper's loss and weight decay; networks trained, reproducibly
``zoo``       the trained networks by name, never stale
``units``     directions, their top images, and a number for "equally meaningful"
``lbfgsb``    many small box-constrained problems minimised at once; knows nothing of networks
``attacks``   the paper's attack, faster and tighter; the distortion, noise, the exact minimum
``plotting``, ``widgets``  one look for all figures and tables; the sliders
``cli``       ``course lab``, ``course test``, ``course train``, ...
"""

__version__ = "0.1.0"
