"""The papers' experiments; each figure and table a function. Needs the extras `torch` and `plot`."""

from uncollapse.studies import dang, further, lucas, wang_ziyin
from uncollapse.studies.study import Request, Result, Study, run_study

__all__ = ["STUDIES", "Request", "Result", "Study", "run_study"]

STUDIES: tuple[Study, ...] = (*lucas.STUDIES, *wang_ziyin.STUDIES, *dang.STUDIES, *further.STUDIES)
"""Every study, in the order of the papers."""
