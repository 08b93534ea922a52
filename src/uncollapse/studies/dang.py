"""Dang et al. 2024: every experiment, in the order of the paper."""

from __future__ import annotations

from uncollapse.studies import dang_deep, dang_linear, dang_more, dang_theorems
from uncollapse.studies.study import Study

__all__ = ["STUDIES"]

STUDIES: tuple[Study, ...] = (
    *dang_linear.STUDIES,
    *dang_theorems.STUDIES,
    *dang_deep.STUDIES,
    *dang_more.STUDIES,
)
"""Linear models, the theorems, then ReLU and convolutional ones."""
