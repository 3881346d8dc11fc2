"""A course on *Intriguing properties of neural networks* (Szegedy et al., arXiv 1312.6199).

Importing this package imports nothing else: ``from course_lib import models`` pulls in torch,
``from course_lib import widgets`` pulls in ipywidgets, and so on, each when it is asked for.

To be read, in the order of the lessons
---------------------------------------
Short functions, shapes in their docstrings, the paper's equations beside them. A learner opens
these next to a lesson; each knows only those above it:

``paper``     every number and claim that the paper prints, as data
``device``    one look-up of the device, one seed
``data``      MNIST out of the package's own files; the halves P1 and P2 (lesson 00)
``models``    the networks by their paper names; any layer's activations by name (00, 01)
``training``  the paper's loss and weight decay; networks trained, reproducibly (01)
``zoo``       the trained networks by name, never stale (00)
``units``     directions, their top images, and a number for "equally meaningful" (02)
``attacks.measures``     the distortion, noise, amplification, the rules for targets (03)
``attacks.first_order``  FGSM and DeepFool: a gradient, and a few (03)
``lbfgsb.plain``         box-constrained L-BFGS for one problem (04)
``transfer.shares``, ``transfer.intervals``  a table of shares, and how sure each is (05)
``spectral.operators``, ``spectral.pooling``  layers as linear maps, windows that overlap (06)
``robust.places``, ``robust.pools``  where examples can be made; a pool of them (08)

Research code, each package with an introduction in its docstring
-----------------------------------------------------------------
The same questions, answered for many images, any device, any network. Begin with the package's
first page, which says what each module is for and which to read first:

``lbfgsb``    many small box-constrained problems minimised at once; knows nothing of networks
``attacks``   the nearest mistake: the paper's attack, faster and tighter, and the exact minimum
``transfer``  who is fooled by whose examples: Tables 2 to 4 with controls and intervals
``spectral``  exact norms of layers, bounds of networks, certificates
``robust``    training with the bounds of the layers, and against adversarial examples
``imagenet``  networks of 1000 classes and photographs that are on the disk; pictures of your own
``reproduce`` the whole paper by one command: every table and figure, and what to think of it

Around them
-----------
``storage``   the one folder for all that is written, and writing that is never half done
``record``    the committed records: measurements with their intervals, as the lessons read them
``checked``   what an argument must be, and the sentence where it is not
``modes``     which part of a network is in train mode, and what to do then
``hooks``, ``copies``  what is attached to a network; a copy in float64, the network left as it was
``identity``  what a network computes, as a key
``kept``      finished measurements, by all that decides them; what is interrupted goes on
``sourcecode``  what a piece of code says and all that it imports, as one digest
``plotting``, ``widgets``  one look for all figures; the sliders
``alternatives``  what a figure shows, in words, for who cannot see it
``exercises``  what an exercise is, how an answer is judged, and a module for each of them
``authoring``  from a lesson's source to its notebooks
``cells``     which cell of a lesson a cell of a learner's notebook is, whatever has become of it
``grading``   what students hand in, graded without trusting the kernel that they ran
``classroom``  exercises given out to a class, its submissions graded, a page for each student
``guide``     the instructor's guide: timetables, solutions, wrong answers, questions, plans
``glossary``  the words of the course, in English and Arabic
``site``      the course as a site of plain files
``webpage``   a page in one file, for the report, the guide and what a student is told
``writable``  the sentence where a command's folder cannot be written
``workcopy``, ``doctor``, ``cli``  the learner's copy, what is wrong here, ``course lab`` ...
"""

__version__ = "0.1.0"
