"""Problems as responses."""

from __future__ import annotations

from fastapi.responses import JSONResponse

from lightm_unet.deploy.serve.problems import MEDIA_TYPE, Problem


def problem_response(problem: Problem, request_id: str) -> JSONResponse:
    """The response for a problem."""
    return JSONResponse(
        problem.body(request_id),
        status_code=problem.kind.status,
        headers=dict(problem.headers),
        media_type=MEDIA_TYPE,
    )
