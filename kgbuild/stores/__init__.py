"""One module a graph store, behind the Store Protocol of `base`."""
