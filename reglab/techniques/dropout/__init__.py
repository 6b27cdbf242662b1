"""Dropout (Srivastava et al. 2014), symmetric or with a probability of its own for each layer."""
