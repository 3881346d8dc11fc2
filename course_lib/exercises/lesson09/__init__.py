"""The exercises of lesson 09: distortions, a step to a class, files, crops, detectors, folds."""
