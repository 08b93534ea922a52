"""The papers' experiments; each figure and table a function. Running one needs the extras `torch` and `plot`."""

from uncollapse.studies.catalogue import STUDIES
from uncollapse.studies.study import Request, Result, Study, run_study

__all__ = ["STUDIES", "Request", "Result", "Study", "run_study"]
