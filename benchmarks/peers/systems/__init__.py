"""The systems, one module each.

A module has two functions, which run in the system's own process:

    load(task)             the network with its weights, or the file that holds it
    caller(loaded, task)   a function without arguments: a forward pass of the task's images, which returns scores
                           (N, H', W', K) float32; or a training step, which returns the loss before the update
"""
