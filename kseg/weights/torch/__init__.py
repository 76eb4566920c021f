"""PyTorch's files of weights, read without running their code."""
