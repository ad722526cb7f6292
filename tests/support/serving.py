"""A server on this computer with small models, and images to send to it."""

import gzip
import io
import json
import logging
import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import monai.inferers  # noqa: F401 - so that no test waits for it
import nibabel
import numpy as np
import torch
from PIL import Image as Picture

from lightm_unet.deploy.serve.json_log import json_lines
from lightm_unet.deploy.serve.served_models import ServedModel
from lightm_unet.deploy.serve.server import http_server
from lightm_unet.deploy.serve.service import create_service
from lightm_unet.deploy.serve.settings import ServeSettings
from lightm_unet.models.likeness import Measured, fit_profile
from lightm_unet.models.model_folder import ModelFolder
from lightm_unet.preprocessing.preprocessing import Preprocessing
from lightm_unet.reporting.palette import BLACK, ORANGE


class Above(torch.nn.Module):
    """Labels what is brighter than the mean."""

    def forward(self, images):
        return torch.cat([-images[:, :1], images[:, :1]], dim=1)


class Gate(Above):
    """Waits in each pass until it is opened; says when it has begun."""

    def __init__(self):
        super().__init__()
        self.begun, self.open, self.passes = threading.Event(), threading.Event(), 0

    def forward(self, images):
        self.passes += 1
        self.begun.set()
        assert self.open.wait(30)
        return super().forward(images)


def model(name, spatial_dims=2, channels=1, network=None, profile=None, most=10**7, **grid):
    """A model of two labels."""
    preprocessing = Preprocessing(
        spatial_dims=spatial_dims, channels=channels, **(grid or {"size": (16,) * spatial_dims})
    )
    folder = ModelFolder(
        network or Above(),
        preprocessing,
        ("background", "lung"),
        (BLACK, ORANGE),
        {"network": {"name": "own", "options": {}}},
        Path(name),
        profile,
    )
    return ServedModel(name, folder, "0" * 64, 0, most)


def dark_profile():
    """Of training images that no image is like."""
    from lightm_unet.models.likeness import measure

    generator = torch.Generator().manual_seed(0)
    cases = []
    for _ in range(30):
        image = torch.rand(1, 16, 16, generator=generator) * 0.01 + 5
        probabilities = torch.stack([torch.full((16, 16), 0.99), torch.full((16, 16), 0.01)])
        cases.append(measure(image, probabilities, ("background", "lung")))
    assert isinstance(cases[0], Measured)
    return fit_profile(cases, [])


class Server:
    """A running server and a client for it."""

    def __init__(self, service, port, log, thread):
        self.service, self.port, self.log, self._thread = service, port, log, thread
        self.address = f"http://127.0.0.1:{port}"
        self.client = httpx.Client(base_url=self.address, timeout=30)

    def predict(self, image, headers=None, query="", **fields):
        """Send an image."""
        return self.client.post(
            f"/v1/predict{query}", files={"image": ("a.b", image)}, data=fields, headers=headers
        )

    def lines(self):
        """The log."""
        return [json.loads(line) for line in self.log.getvalue().splitlines()]

    def is_alive(self):
        return self.client.get("/health").status_code == 200

    def until(self, condition, seconds=10):
        """Wait for something that another thread brings about."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it did not happen"
            time.sleep(0.01)

    def files(self):
        """What requests have left on the disk."""
        return [path for path in self.service.spool.folder.iterdir() if path.name != "lock"]


@contextmanager
def running(*models, token=None, workers=1, **settings):
    """A server on a free port of 127.0.0.1."""
    given = ServeSettings(**{"queue": 4, "upload_mb": 1, **settings})
    device = torch.device("cpu")
    service = create_service({each.name: each for each in models}, given, device, workers, 1)
    log = io.StringIO()
    server = http_server(service, token, stop_s=5)
    with socket.create_server(("127.0.0.1", 0)) as listening, json_lines(log):
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            running = Server(service, listening.getsockname()[1], log, thread)
            running.until(lambda: server.started)
            yield running
            running.client.close()
        finally:
            server.should_exit = True
            thread.join(20)
            logging.getLogger("uvicorn").handlers.clear()
    assert not service.spool.folder.exists()


def png(array=None):
    """A PNG's bytes; by default a bright half in 20x30 pixels."""
    if array is None:
        array = np.zeros((20, 30), np.uint8)
        array[:, 15:] = 200
    buffer = io.BytesIO()
    Picture.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def huge_png(width, height):
    """A PNG of a few hundred bytes whose header states so many pixels."""
    import struct
    import zlib

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def nifti(shape=(8, 9, 10), spacing=(1.0, 2.0, 5.0), packed=True):
    """A NIfTI's bytes: a bright half along the first axis."""
    array = np.zeros(shape, np.int16)
    array[shape[0] // 2 :] = 100
    affine = np.diag([*spacing, *(1.0,) * (4 - len(spacing))])
    data = nibabel.Nifti1Image(array, affine).to_bytes()
    return gzip.compress(data) if packed else data


def labels_of(response):
    """The labels of a mask in a response."""
    if response.headers["content-type"] == "image/png":
        return np.asarray(Picture.open(io.BytesIO(response.content)))
    return np.asarray(nibabel.Nifti1Image.from_bytes(gzip.decompress(response.content)).dataobj)
