"""The OpenAPI description: what the code alone does not say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.responses import Response
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from lightm_unet.deploy.serve.answer import (
    MEDIA_TYPES,
    NOTICE,
    ZIP_TYPE,
    Health,
    Models,
    Options,
    Prediction,
    ProblemDetails,
)
from lightm_unet.deploy.serve.problems import MEDIA_TYPE, Kind
from lightm_unet.deploy.serve.upload import IMAGE

DESCRIPTION = f"""Segments medical images with trained models.

{NOTICE}

    curl --form image=@chest.png --output mask.png http://127.0.0.1:8000/v1/predict
    curl --form image=@chest.png --form response=json http://127.0.0.1:8000/v1/predict

Errors are problem details (RFC 9457) with `found`, `expected` and `advice` where an image or an
option cannot be used. Every answer has the header `X-Request-Id`, which the server's log has too.
"""
METRICS_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_BINARY = {"schema": {"type": "string", "format": "binary"}}


def _option_schemas() -> dict[str, dict[str, Any]]:
    """The options' schemas as a form or a query has them, where nothing is null."""
    schemas = {}
    for name, schema in Options.model_json_schema()["properties"].items():
        kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
        plain = {key: schema[key] for key in ("type", "description") if key in schema}
        schemas[name] = {**plain, **(kinds[0] if kinds else {"default": schema["default"]})}
    return schemas


_OPTIONS = _option_schemas()
_EXAMPLE = {
    "request_id": "9f2c1d5e7a3b4c60",
    "model": {"name": "lungs", "sha256": "2dc79a38170b491d" + 48 * "0"},
    "image": {"shape": [2048, 2500], "spacing_mm": None},
    "labels": [
        {
            "value": 1,
            "name": "lung",
            "colour": "#e69f00",
            "voxels": 1404928,
            "share": 0.2744,
            "volume_ml": None,
            "area_cm2": None,
        }
    ],
    "likeness": {"unlike": False, "score": 0.91, "limit": 1.68, "most_unusual": "layout"},
    "warnings": [],
    "notes": ["stored in colour with three equal channels; read as grey"],
    "seconds": {"waited": 0.0, "worked": 0.18},
    "notice": NOTICE,
    "mask": {"name": "mask.png", "media_type": "image/png", "base64": "iVBORw0KGgo="},
    "preview": {"name": "preview.png", "media_type": "image/png", "base64": "iVBORw0KGgo="},
}  # fmt: skip


def _problems(*kinds: Kind) -> dict[int | str, dict[str, Any]]:
    """Responses of these kinds; kinds of one status share one."""
    titles: dict[int, list[str]] = {}
    for kind in kinds:
        titles.setdefault(kind.status, []).append(kind.title)
    return {
        status: {"model": ProblemDetails, "description": ". ".join(each)}
        for status, each in titles.items()
    }


_EVERYWHERE = _problems(Kind.BAD_REQUEST, Kind.OTHER_ORIGIN, Kind.OTHER_HOST, Kind.FAILED)

PREDICT: dict[str, Any] = {
    "summary": "Segment one image",
    "description": "The file goes into the part `image` of a form: NIfTI, DICOM, PNG, JPEG, TIFF "
    "or BMP, or a zip that holds one of them, a DICOM series, or the channels of one image as "
    "`CASE_0000.EXT`, `CASE_0001.EXT` and so on. Its content says what it is; its name is neither "
    "needed nor looked at. The options may stand in the form or in the query. A mask's pixels are "
    "the numbers of the labels. A warning that the image is unlike the training images is in the "
    "JSON's `warnings`, and otherwise in the header `X-LightM-UNet-Warning`.",
    "operation_id": "predict",
    "tags": ["segmentation"],
    "response_class": Response,
    "responses": {
        200: {
            "description": "The mask, on the image's own grid; or as `response` asks.",
            "model": Prediction,
            "content": {
                "application/json": {"example": _EXAMPLE},
                ZIP_TYPE: _BINARY,
                **{kind: _BINARY for kind in MEDIA_TYPES.values()},
            },
            "headers": {
                "X-Request-Id": {"schema": {"type": "string"}},
                "X-LightM-UNet-Warning": {
                    "schema": {"type": "string"},
                    "description": "What may be wrong with the mask.",
                },
            },
        },
        **_EVERYWHERE,
        **_problems(
            Kind.UPLOAD_TOO_SLOW,
            Kind.TOO_LARGE,
            Kind.UNSUPPORTED_MEDIA_TYPE,
            Kind.UNUSABLE_IMAGE,
            Kind.UNUSABLE_OPTION,
            Kind.BUSY,
            Kind.UNAVAILABLE,
            Kind.TOO_SLOW,
        ),
    },
    "openapi_extra": {
        "parameters": [
            {
                "name": name,
                "in": "query",
                "required": False,
                "description": schema["description"],
                "schema": {key: schema[key] for key in schema if key != "description"},
            }
            for name, schema in _OPTIONS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": [IMAGE],
                        "properties": {
                            IMAGE: {
                                "type": "string",
                                "format": "binary",
                                "description": "The image's file.",
                            },
                            **_OPTIONS,
                        },
                    },
                    "encoding": {IMAGE: {"contentType": "application/octet-stream"}},
                }
            },
        },
    },
}
MODELS: dict[str, Any] = {
    "summary": "The models, with their cards",
    "operation_id": "models",
    "tags": ["segmentation"],
    "response_model": Models,
    "responses": _EVERYWHERE,
}
HEALTH: dict[str, Any] = {
    "summary": "Whether the server lives",
    "description": "200, whatever it is doing.",
    "operation_id": "health",
    "tags": ["operation"],
    "response_model": Health,
    "responses": _EVERYWHERE,
}
READY: dict[str, Any] = {
    "summary": "Whether the server takes a further image now",
    "operation_id": "ready",
    "tags": ["operation"],
    "response_class": Response,
    "responses": {
        200: {"description": "It does.", "model": Health},
        503: {"description": "It is full or stopping.", "model": Health},
        **_EVERYWHERE,
    },
}
METRICS: dict[str, Any] = {
    "summary": "Counters for Prometheus",
    "operation_id": "metrics",
    "tags": ["operation"],
    "response_class": Response,
    "responses": {
        200: {"description": "In its text format.", "content": {"text/plain": {}}},
        **_EVERYWHERE,
    },
}


def complete(app: FastAPI, models: Sequence[str], *, needs_token: bool) -> None:
    """Add to an application's description what depends on the server.

    Args:
        app: whose routes are there.
        models: their names.
        needs_token: whether clients have to send one.
    """
    describe = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            _finish(describe(), models, needs_token)
        assert app.openapi_schema is not None  # `describe` keeps it there
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]


def _finish(schema: dict[str, Any], models: Sequence[str], needs_token: bool) -> None:
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if status >= "400" and not (path == "/health/ready" and status == "503"):
                    content = response["content"]
                    content[MEDIA_TYPE] = content.pop("application/json")
            if needs_token and path.startswith(("/v1/", "/metrics")):
                operation["security"] = [{"token": []}]
                operation["responses"]["401"] = {
                    "description": Kind.UNAUTHORIZED.title,
                    "content": {
                        MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}
                    },
                }
    if needs_token:
        schema["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    predict = schema["paths"]["/v1/predict"]["post"]
    form = predict["requestBody"]["content"]["multipart/form-data"]["schema"]
    form["properties"]["model"] = {**form["properties"]["model"], "examples": list(models)}
