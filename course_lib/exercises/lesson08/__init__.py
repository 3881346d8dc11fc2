"""The exercises of lesson 08: pools, examples at a layer's output, a step in turn, comparisons."""
