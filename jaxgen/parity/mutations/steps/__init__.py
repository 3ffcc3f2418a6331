"""Faults outside of layers: losses, optimisers, players, averages, samples, definitions. A docstring says where such a
port comes from."""
