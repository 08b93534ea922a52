"""A file of weights and the class they belong to → a probe, with all that was inferred and why."""
