"""How many rows a file trains on at a step."""

from __future__ import annotations

import ast

from uncollapse.inferring.calls import called_name, said_once
from uncollapse.inferring.scopes import Scopes

__all__ = ["batch_size_in"]

NOT_SAID, ONE = ast.Constant(None), ast.Constant(1)

NAMES = ("batch_size", "batchsize", "bs", "train_batch_size")


def batch_size_in(tree: ast.Module) -> int | None:
    """The batch size of a file's loaders, those that shuffle first; without a loader what it calls so.

    Parameters
    ----------
    tree : ast.Module

    Returns
    -------
    int or None
        None where the file says none, or several.

    Examples
    --------
    >>> batch_size_in(ast.parse("train = DataLoader(a, 32, shuffle=True)\\ntest = DataLoader(b, batch_size=500)"))
    32
    >>> batch_size_in(ast.parse("BATCH_SIZE = 20\\nfor x in data.split(BATCH_SIZE): pass"))
    20
    """
    scopes = Scopes(tree)
    loaders = [(call, place, {k.arg: k.value for k in call.keywords}) for call, place in scopes.calls
               if called_name(call) == "DataLoader"]  # fmt: skip
    shuffled = [one for one in loaders if scopes.value(one[2].get("shuffle", NOT_SAID), one[1]) is True]
    sizes = {scopes.value(named.get("batch_size", (*call.args[1:2], ONE)[0]), place)
             for call, place, named in shuffled or loaders}  # fmt: skip
    if not sizes:
        sizes = {value for name, value in said_once(tree).items() if name.lstrip(".").lower() in NAMES}
    size = sizes.pop() if len(sizes) == 1 else None
    return size if isinstance(size, int) else None
