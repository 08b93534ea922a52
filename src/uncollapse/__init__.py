"""uncollapse: forecast, measure, diagnose and cure posterior collapse of variational autoencoders.

A mode of the data with strength ζ² lives iff it stands above the water level τ = βη².
"""

import lazy_loader

__version__ = "0.1.0"

# names come from __init__.pyi, and their modules are imported when they are first asked for
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
