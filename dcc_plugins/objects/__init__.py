"""Python objects in place of names: what tensors, data sets, functions, networks and components stand for."""
