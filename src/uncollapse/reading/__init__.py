"""A loss in code, read by its values: what it weighs, and what is wrong with it."""
