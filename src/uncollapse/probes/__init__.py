"""Adapters: one file per library, each a function from its model to a `TorchProbe`."""
