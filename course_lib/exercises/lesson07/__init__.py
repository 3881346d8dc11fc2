"""The exercises of lesson 07: bounds of whole networks, certificates, the sandwich, the penalty."""
