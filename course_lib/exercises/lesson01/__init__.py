"""The exercises of lesson 01: the loss, its gradients, training, and comparing two networks."""
