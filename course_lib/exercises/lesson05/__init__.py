"""The exercises of lesson 05: cells and rows of a transfer table, halves, controls, gradients."""
