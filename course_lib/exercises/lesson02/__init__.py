"""The exercises of lesson 02: units against random directions, and how to test such a claim."""
