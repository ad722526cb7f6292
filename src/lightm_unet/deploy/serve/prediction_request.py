"""`POST /v1/predict`, from the first byte of a request to its answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fastapi import Request
from fastapi.responses import FileResponse, Response
from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from lightm_unet.deploy.serve.answer import (
    ZIP_TYPE,
    Options,
    Seconds,
    media_type_of,
    prediction_of,
    warnings_of,
)
from lightm_unet.deploy.serve.context import context_of
from lightm_unet.deploy.serve.json_log import log_event, where_it_failed
from lightm_unet.deploy.serve.negotiation import preferred_response
from lightm_unet.deploy.serve.problems import Kind, Problem, found, of_image
from lightm_unet.deploy.serve.segment import Order, pack, segment
from lightm_unet.deploy.serve.served_models import ServedModel
from lightm_unet.deploy.serve.service import Service
from lightm_unet.deploy.serve.settings import MB
from lightm_unet.deploy.serve.spool import RequestFolder
from lightm_unet.deploy.serve.upload import Upload, expect_upload, receive_upload
from lightm_unet.deploy.serve.workers import CancelledError, Job
from lightm_unet.errors import DataError, MissingPartError
from lightm_unet.system.device import is_out_of_memory

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Answer:
    """What a worker has made, ready to be sent."""

    content: bytes | Path
    name: str
    media_type: str
    warnings: tuple[str, ...]
    voxels: int
    seconds: Seconds


async def answer_prediction(service: Service, request: Request) -> Response:
    """Segment the image that a request holds.

    Raises:
        Problem: it cannot be done.
    """
    context, settings = context_of(request.scope), service.settings
    query = request.query_params.multi_items()
    _chosen_model(service, _options(query))  # what is wrong is said before the upload
    if service.stopping:
        raise Problem(Kind.UNAVAILABLE, "the server is stopping", headers={"retry-after": "10"})
    service.workers.expect_place()
    most_bytes = settings.upload_mb * MB
    boundary = expect_upload(request, most_bytes)
    folder = service.spool.new_folder()
    folder.hold()
    context.at_end.append(folder.let_go)
    try:
        upload = await receive_upload(
            request, boundary, folder, most_bytes, settings.upload_timeout
        )
        service.metrics.upload_bytes.inc(upload.bytes)
        options = _options([*query, *upload.fields.items()])
        kind = _response_kind(options, request.headers.get("accept", ""))
        order = _order(service, options, kind, upload, folder)
        context.facts |= {"model": order.model.name, "bytes": upload.bytes, "response": kind}
        job = service.workers.submit(lambda job: _work(order, kind, job, context.request_id))
        folder.hold()
        job.future.add_done_callback(lambda _: folder.let_go())
        answer = await _result(request, job, settings.timeout)
    except ClientDisconnect:
        context.left = True
        return Response(status_code=Kind.BAD_REQUEST.status)  # which nobody reads
    seconds = answer.seconds
    context.facts |= {"voxels": answer.voxels, **seconds.model_dump()}
    if answer.warnings:
        context.facts["unlike"] = True
    service.metrics.queue_seconds.observe(seconds.waited)
    service.metrics.work_seconds.labels(order.model.name).observe(seconds.worked)
    return _response(answer)


def _options(given: Iterable[tuple[str, str]]) -> Options:
    """The options of a request, from the query and the form.

    Raises:
        Problem: one with two values, an unknown one, or a value that it does not take.
    """
    values: dict[str, str] = {}
    for name, value in given:
        if values.setdefault(name, value) != value:
            raise Problem(Kind.UNUSABLE_OPTION, f"the option {name!r:.60} has two values")
    try:
        return Options.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name = str(first["loc"][0])
        if name not in Options.model_fields:
            known = ", ".join(Options.model_fields)
            raise found(
                Kind.UNUSABLE_OPTION, f"the option {name!r:.60}", known, "leave it out"
            ) from None
        raise found(
            Kind.UNUSABLE_OPTION,
            f"{name}={values[name]!r:.60}",
            first["msg"].removeprefix("Input should be "),
            "correct it or leave it out",
        ) from None


def _chosen_model(service: Service, options: Options) -> ServedModel | None:
    """The model that is asked for, or the only one; None if there is a choice to make.

    Raises:
        Problem: there is no model of this name.
    """
    if options.model is None:
        return next(iter(service.models.values())) if len(service.models) == 1 else None
    if options.model not in service.models:
        raise found(
            Kind.UNUSABLE_OPTION,
            f"model={options.model!r:.60}",
            ", ".join(service.models),
            "GET /v1/models describes them",
        )
    return service.models[options.model]


def _response_kind(options: Options, accept: str) -> str:
    """What is answered: "mask", "json" or "zip"."""
    if options.probabilities:
        if options.response not in (None, "zip"):
            raise found(
                Kind.UNUSABLE_OPTION,
                f"probabilities with response={options.response}",
                "response=zip, which holds a file for each label",
                "leave out one of them",
            )
        return "zip"
    return options.response or preferred_response(accept)


def _order(
    service: Service, options: Options, kind: str, upload: Upload, folder: RequestFolder
) -> Order:
    model = _chosen_model(service, options)
    if model is None:
        raise found(
            Kind.UNUSABLE_OPTION,
            "no model",
            f"model, one of {', '.join(service.models)}",
            "GET /v1/models describes them",
        )
    return Order(
        model=model,
        upload=upload.file,
        folder=folder,
        device=service.device,
        most_bytes=service.settings.upload_mb * MB,
        output=options.output,
        series=options.series,
        probabilities=options.probabilities,
        strict=options.strict,
        preview=kind != "mask",
    )


def _work(order: Order, kind: str, job: Job, request_id: str) -> _Answer:
    """What a worker does, from the image's file to the answer's bytes."""
    segmented = segment(order, job.check)
    seconds = Seconds(waited=round(job.waited_s, 4), worked=round(job.worked_s, 4))
    content: bytes | Path
    if kind == "mask":
        name, content = segmented.mask.name, segmented.mask.read_bytes()
        media_type = media_type_of(name)
    else:
        prediction = prediction_of(
            segmented, order.model, request_id, seconds, with_files=kind == "json"
        )
        content = prediction.model_dump_json().encode()
        name, media_type = "answer.json", "application/json"
    if kind == "zip":
        name, media_type = "answer.zip", ZIP_TYPE
        pack(segmented, content, order.folder.path / name)
        content = order.folder.path / name
    voxels = 1
    for length in segmented.shape:
        voxels *= length
    return _Answer(content, name, media_type, tuple(warnings_of(segmented)), voxels, seconds)


async def _result(request: Request, job: Job, timeout: float) -> _Answer:
    """Wait for a job, as long as the client does.

    Raises:
        Problem: the job has failed, or takes too long.
        ClientDisconnect: the client has left; the job is given up.
    """
    future = asyncio.ensure_future(asyncio.wrap_future(job.future))
    gone = asyncio.ensure_future(_client_leaves(request))
    try:
        await asyncio.wait({future, gone}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if not future.done():
            if gone.done():
                raise ClientDisconnect
            raise found(
                Kind.TOO_SLOW,
                f"no result after {timeout:g} s",
                "one within that time",
                "send a smaller image, or start the server with a larger --timeout",
            )
        return future.result()
    except (Problem, ClientDisconnect):
        raise
    except DataError as error:
        raise of_image(error) from error
    except (CancelledError, asyncio.CancelledError) as error:  # the server stops
        if not job.future.done():
            raise
        raise Problem(Kind.UNAVAILABLE, "the server is stopping") from error
    except MissingPartError as error:
        raise Problem(Kind.UNAVAILABLE, str(error)) from error
    except Exception as error:
        if is_out_of_memory(error):
            raise found(
                Kind.TOO_LARGE,
                "an image too large for the memory that is free now",
                "one that fits",
                "try again later, or send a smaller image",
            ) from error
        log_event(_log, logging.ERROR, "work failed", error=where_it_failed(error))
        raise Problem(Kind.FAILED, "the image could not be segmented; the log says why") from error
    finally:
        job.cancel()  # does nothing where it is done
        gone.cancel()
        future.add_done_callback(_look_at)


def _look_at(future: asyncio.Future) -> None:
    """Take a result that nobody waits for, so that asyncio does not complain of it."""
    if not future.cancelled():
        future.exception()


async def _client_leaves(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _response(answer: _Answer) -> Response:
    headers = {"x-lightm-unet-warning": "; ".join(answer.warnings)} if answer.warnings else {}
    if isinstance(answer.content, Path):
        return FileResponse(answer.content, 200, headers, answer.media_type, filename=answer.name)
    if answer.media_type != "application/json":
        headers["content-disposition"] = f'attachment; filename="{answer.name}"'
    return Response(answer.content, 200, headers, answer.media_type)
