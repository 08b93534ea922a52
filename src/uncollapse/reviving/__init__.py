"""A better model handed over: built from the lines of a bill that can be applied, and checked on rows of its own."""
