"""The exercises of lesson 06: operator norms of matrices, convolutions, strides and pooling."""
