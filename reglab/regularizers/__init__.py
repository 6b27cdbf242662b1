"""The study's techniques, one file each: a pure function, and the piece that plugs it into training.

A technique touches training at one of three points only: when the network is built (batchnorm, dropout), on a batch
(augment, cutout), or on gradients, after unscaling and before the optimizer's step (agc).
"""
