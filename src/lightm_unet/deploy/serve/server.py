"""`serve`: load models, listen on a port, answer until the process is stopped."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from lightm_unet.deploy.serve.settings import GB, ServeSettings
from lightm_unet.errors import SettingError, UsageError
from lightm_unet.system.extras import require_extra
from lightm_unet.system.values import LARGEST, number, whole_number

if TYPE_CHECKING:
    import uvicorn

    from lightm_unet.deploy.serve.service import Service

_MOST_CONNECTIONS = 512
STOP_S = 30
"""Requests may go on for so long after the server was told to stop."""


def serve(
    models: Iterable[str | os.PathLike[str]],
    *,
    ready: Callable[[str], None] | None = None,
    **settings,
) -> None:
    """Offer models over HTTP, until the process is stopped by Ctrl-C or a signal.

    Args:
        models: names of the package's models, and folders of models or training runs.
        ready: called with the server's address when it listens.
        **settings: the fields of `ServeSettings`.

    Raises:
        UsageError: a setting or a model cannot be used, or the port is taken.
        DataError: a model's folder is damaged.
        MissingPartError: the extra `serve` is not installed, or there is no such device.
    """
    require_extra("serve", "a server")
    given = checked(ServeSettings(**settings))
    import torch

    from lightm_unet.deploy.serve.json_log import json_lines
    from lightm_unet.deploy.serve.served_models import load_served_models
    from lightm_unet.deploy.serve.service import create_service
    from lightm_unet.deploy.serve.token import read_token
    from lightm_unet.system.device import choose_device
    from lightm_unet.system.memory import free_bytes

    token = read_token(given.token_file, given.host)
    device = choose_device(given.device)
    count, threads = shared_out(given.workers, given.threads, device.type, torch.get_num_threads())
    memory = free_bytes() / 2 if given.memory_gb is None else given.memory_gb * GB
    with ExitStack() as stack:
        listening = stack.enter_context(_listen(given.host, given.port))
        torch.set_num_threads(threads)
        loaded = load_served_models(models, device, int(memory / count))
        service = create_service(loaded, given, device, count, threads)
        stack.callback(service.close)
        stack.enter_context(json_lines())
        server = http_server(service, token)
        listening.listen()  # from here on a client waits, where it would have been turned away
        if ready is not None:
            name = f"[{given.host}]" if ":" in given.host else given.host
            ready(f"http://{name}:{listening.getsockname()[1]}")
        server.run(sockets=[listening])


def http_server(service: Service, token: str | None, stop_s: int = STOP_S) -> uvicorn.Server:
    """What speaks HTTP for a service; `run(sockets=[...])` starts it.

    Args:
        service: what it offers.
        token: that clients have to send; None for this computer alone.
        stop_s: how long requests may go on after the server was told to stop.
    """
    import uvicorn

    from lightm_unet.deploy.serve.app import create_app
    from lightm_unet.deploy.serve.protocol import TimedHeaders

    return uvicorn.Server(
        uvicorn.Config(
            create_app(service, token),
            http=TimedHeaders,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_graceful_shutdown=stop_s,
        )
    )


def checked(settings: ServeSettings) -> ServeSettings:
    """The settings, if all of them can be used.

    Raises:
        UsageError: one cannot.
    """
    whole_number("port", settings.port, 0, 65535)
    for name in ("workers", "threads"):
        if (value := getattr(settings, name)) is not None:
            whole_number(name, value, 1, 1024)
    whole_number("queue", settings.queue, 0, 100_000)
    whole_number("upload_mb", settings.upload_mb, 1, LARGEST // 1000)
    for name in ("timeout", "upload_timeout", "memory_gb"):
        if (value := getattr(settings, name)) is not None and number(name, value) == 0:
            raise SettingError("{0} needs a number above 0, got 0", name)
    return settings


def shared_out(
    workers: int | None, threads: int | None, device: str, cores: int
) -> tuple[int, int]:
    """How many workers, and how many threads for each.

    A worker for each core with one thread segments more images than one worker with all of them:
    reading, resizing and writing use one thread in any case.

    Example:
        >>> shared_out(None, None, "cpu", 4), shared_out(1, None, "cpu", 4)
        ((4, 1), (1, 4))
    """
    if workers is None:
        workers = max(1, cores // (threads or 1)) if device == "cpu" else 1
    return workers, threads or max(1, cores // workers)


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens; the port is tried before models are loaded.

    Raises:
        UsageError: the address cannot be taken.
    """
    listening = None
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except (OSError, UnicodeError) as error:
        if listening is not None:
            listening.close()
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"host {host!r}, port {port}: cannot listen there ({reason}); choose another --port, "
            "or an address of this computer"
        ) from error
    return listening
