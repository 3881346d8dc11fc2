"""The exercises of lesson 03: sizes of changes, planes, the box, the penalty, and honest means."""
