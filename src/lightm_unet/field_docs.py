"""The sentence under each field of a dataclass, which is also the command line's help."""

from __future__ import annotations

import ast
import inspect
import textwrap
from itertools import pairwise


def field_docs(cls: type) -> dict[str, str]:
    """The string literal under each annotated field of a class, on one line.

    Returns:
        An empty dictionary where the source is not at hand.

    Example:
        >>> from lightm_unet.training.settings import TrainingSettings
        >>> field_docs(TrainingSettings)["epochs"]
        'Passes over the training cases.'
    """
    try:
        source = textwrap.dedent(inspect.getsource(cls))
    except (OSError, TypeError):
        return {}
    body = ast.parse(source).body[0].body
    return {
        statement.target.id: " ".join(follower.value.value.split())
        for statement, follower in pairwise(body)
        if isinstance(statement, ast.AnnAssign)
        and isinstance(follower, ast.Expr)
        and isinstance(follower.value, ast.Constant)
        and isinstance(follower.value.value, str)
    }
