"""The exercises of lesson 04: descent in a box, L-BFGS, the paper's attack, and noise."""
