"""The papers' experiments, one file a paper; each figure and table a function. Needs the extras `torch` and `plot`."""

from uncollapse.studies.study import Request, Result, Study, run_study

__all__ = ["STUDIES", "Request", "Result", "Study", "run_study"]

STUDIES: tuple[Study, ...] = ()
"""Every study, in the order of the papers."""
