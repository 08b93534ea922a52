"""Lucas et al. 2019, Don't Blame the ELBO: every figure and table."""

from uncollapse.studies.lucas_deep import STUDIES as DEEP
from uncollapse.studies.lucas_images import STUDIES as IMAGES
from uncollapse.studies.lucas_linear import STUDIES as LINEAR
from uncollapse.studies.study import Study

__all__ = ["STUDIES"]

STUDIES: tuple[Study, ...] = (*LINEAR, *DEEP, *IMAGES)
