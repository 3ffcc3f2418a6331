"""Faults of one layer, a file a kind of layer. A docstring is the cause as a diagnosis calls it, and where such a port
comes from."""
