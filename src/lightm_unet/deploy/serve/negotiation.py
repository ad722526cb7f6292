"""Which answer the Accept header asks for."""

from __future__ import annotations

_KINDS = {"application/json": "json", "application/zip": "zip"}


def preferred_response(accept: str) -> str:
    """ "json" or "zip" where the header names it first or with the largest weight; else "mask".

    Whatever else is accepted gets the mask, also where the mask's type is not in the header: what
    that is depends on the image.

    Example:
        >>> preferred_response("application/json"), preferred_response("*/*")
        ('json', 'mask')
        >>> preferred_response("image/png, application/json;q=0.5")
        'mask'
    """
    best, most = "mask", 0.0
    for entry in accept.split(","):
        media_type, _, parameters = entry.partition(";")
        weight = _weight(parameters)
        if weight > most:
            best, most = _KINDS.get(media_type.strip().lower(), "mask"), weight
    return best


def _weight(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0
