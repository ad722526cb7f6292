"""Requests to `serve` that servers fall over: each is answered, and the server lives on."""

import gzip
import http.client
import socket
import threading
from contextlib import closing, suppress

import numpy as np
import pytest
import torch

from dicom_files import slices, to_bytes
from faults import fault
from lightm_unet.deploy.serve import linger, upload
from serving import Gate, dark_profile, huge_png, model, nifti, png, running

SERVER = "Requests to a server"


@pytest.fixture(scope="module")
def server():
    with running(
        model("flat"), model("solid", spatial_dims=3), model("wary", profile=dark_profile())
    ) as server:
        yield server


def told(server, response):
    """Status and reason, and whether the server lives and keeps nothing."""
    answer = response.json()
    what = answer.get("found", answer.get("detail"))
    return f"{response.status_code}, found {what}; {state(server)}"


def state(server):
    server.until(lambda: not server.files())
    return "the server goes on" if server.is_alive() else "the server is gone"


@fault(
    SERVER,
    "a text file with the name and type of a picture",
    "415, found a text; the server goes on",
)
def test_a_text(server):
    response = server.client.post(
        "/v1/predict?model=flat", files={"image": ("chest.png", b"some text", "image/png")}
    )
    return told(server, response)


@fault(
    SERVER,
    "a PNG of 200 megapixels in a file of a few hundred bytes",
    "413, found a picture of 20000x10000 pixels with 1 channel(s); the server goes on",
)
def test_megapixels(server):
    return told(server, server.predict(huge_png(20_000, 10_000), model="flat"))


@fault(
    SERVER,
    "a NIfTI cut off in its voxels, in its header, and in its gzip data; a DICOM file cut off in "
    "its pixels and in its header",
    "422, 422, 422, 422, 422; the server goes on",
)
def test_truncated(server):
    whole = nifti(packed=False)
    dicom = to_bytes(slices(np.ones((9, 8, 1), np.int16), np.eye(4))[0])
    cut = (whole[:-100], whole[:200], gzip.compress(whole)[:-40], dicom[:-40], dicom[:300])
    codes = [server.predict(data, model="solid").status_code for data in cut]
    return f"{', '.join(map(str, codes))}; {state(server)}"


@fault(
    SERVER,
    "a volume for a model of pictures",
    "422, found a 3D image with 1 channel(s); the server goes on",
)
def test_a_volume_for_2d(server):
    return told(server, server.predict(nifti(), model="flat"))


@fault(
    SERVER,
    "a picture for a model of volumes",
    "422, found a 2D image with 1 channel(s); the server goes on",
)
def test_a_picture_for_3d(server):
    return told(server, server.predict(png(), model="solid"))


@fault(
    SERVER,
    "a photograph in colour for a model of grey images",
    "422, found a colour picture, 3 channels that differ; the server goes on",
)
def test_a_photograph(server):
    colours = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    return told(server, server.predict(png(colours), model="flat"))


@fault(
    SERVER,
    "an image unlike the training images, without and with strict",
    "200 with a warning in JSON and in a header, 422 with strict; the server goes on",
)
def test_unlike(server):
    in_json = bool(server.predict(png(), model="wary", response="json").json()["warnings"])
    mask = server.predict(png(), model="wary")
    in_header = mask.headers.get("x-lightm-unet-warning", "").startswith("unlike")
    strict = server.predict(png(), model="wary", strict="true").status_code
    where = " and in a header" if in_json and in_header else ""
    return (
        f"{mask.status_code} with a warning in JSON{where}, {strict} with strict; {state(server)}"
    )


def connect(server, *head, body=b""):
    """A connection that has sent this much of an upload."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    lines = ["POST /v1/predict?model=flat HTTP/1.1", "Host: localhost", FORM, *head, "", ""]
    connection.sendall("\r\n".join(lines).encode() + body)
    return connection


FORM = "Content-Type: multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'


def status_of(connection):
    with closing(connection):
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response.status


@fault(
    SERVER,
    "an upload that announces 2 GB, and one in pieces that does not say how long it is",
    "413 without reading it, ended after a few megabytes; the server goes on",
)
def test_two_gigabytes(server, monkeypatch):
    monkeypatch.setattr(linger, "LINGER_S", 0.2)
    announced = status_of(connect(server, "Content-Length: 2147483648"))
    sent = 0
    start = b"%x\r\n" % len(PART) + PART + b"\r\n"
    connection = connect(server, "Transfer-Encoding: chunked", body=start)
    with closing(connection), suppress(OSError):  # the server closes it
        while sent < 2**31:
            connection.sendall(b"100000\r\n" + bytes(2**20) + b"\r\n")
            sent += 2**20
    ended = "ended after a few megabytes" if sent < 2**29 else f"read {sent} bytes"
    return f"{announced} without reading it, {ended}; {state(server)}"


@fault(
    SERVER,
    "a client that stops in the middle of its upload, and one that leaves there",
    "408, nothing left of either; the server goes on",
)
def test_slow_and_vanishing(server, monkeypatch):
    monkeypatch.setattr(upload, "_LONGEST_PAUSE_S", 0.2)
    monkeypatch.setattr(linger, "LINGER_S", 0.1)
    slow = status_of(connect(server, "Content-Length: 100000", body=PART))
    connect(server, "Content-Length: 100000", body=PART).close()
    server.until(lambda: any(line.get("status") == 499 for line in server.lines()))
    after = state(server)
    left = "nothing left of either" if not server.files() else "files left"
    return f"{slow}, {left}; {after}"


@fault(
    SERVER,
    "a client that leaves while its image is worked on",
    "the work stops before the next window, its place is free; the server goes on",
)
def test_leaving_while_it_computes():
    gate = Gate()
    with running(model("flat", network=gate, roi_size=(16, 16)), queue=0) as server:
        body = PART + png(np.eye(64, dtype=np.uint8)) + b"\r\n--x--\r\n"
        connection = connect(server, f"Content-Length: {len(body)}", body=body)
        assert gate.begun.wait(10)
        connection.close()
        server.until(lambda: any(line.get("status") == 499 for line in server.lines()))
        gate.open.set()
        server.until(lambda: server.service.workers.running == 0)
        stops = (
            "stops before the next window" if gate.passes == 1 else f"made {gate.passes} windows"
        )
        free = "is free" if server.predict(png()).status_code == 200 else "is taken"
        return f"the work {stops}, its place {free}; {state(server)}"


@fault(
    SERVER,
    "50 clients at once for 9 places",
    "each gets its mask, or 429 and a time to wait; the server goes on",
)
def test_fifty_clients():
    with running(model("flat"), queue=8) as server:
        found = []

        def ask():
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            with closing(connection):
                head = {"Content-Type": "multipart/form-data; boundary=x"}
                connection.request("POST", "/v1/predict", PART + png() + b"\r\n--x--\r\n", head)
                response = connection.getresponse()
                response.read()
                found.append((response.status, response.getheader("retry-after") is not None))

        threads = [threading.Thread(target=ask) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        kinds = set(found)
        fine = len(found) == 50 and (200, False) in kinds and kinds <= {(200, False), (429, True)}
        return (
            f"{'each gets its mask, or 429 and a time to wait' if fine else kinds}; {state(server)}"
        )


@fault(
    SERVER,
    "file names with path characters, line breaks, 300 letters, a zero byte and none at all",
    "200, 200, 200, 200, 200, 200, 200, no such file anywhere; the server goes on",
)
def test_file_names(server, tmp_path):
    codes = []
    target = tmp_path / "written"
    names = (f"../../../..{target}", str(target), "..\\..\\x", "a\r\nX: y", "x" * 300, "a\0b")
    for name in (*names, None):
        shown = b"" if name is None else b'; filename="%b"' % name.encode().replace(b"\r\n", b"%0A")
        disposition = b'--x\r\nContent-Disposition: form-data; name="image"%b\r\n\r\n'
        body = disposition % shown + png() + b"\r\n--x--\r\n"
        head = {"content-type": "multipart/form-data; boundary=x"}
        response = server.client.post("/v1/predict?model=flat", content=body, headers=head)
        codes.append(response.status_code)
    where = "no such file anywhere" if not target.exists() else "a file was written"
    return f"{', '.join(map(str, codes))}, {where}; {state(server)}"


@fault(
    SERVER,
    "a form that is JSON, that is sent without a type, that has no boundary, no parts, no end, or "
    "two images",
    "415, 415, 400, 400, 400, 422; the server goes on",
)
def test_content_types(server):
    codes = []
    part = PART + png() + b"\r\n"
    kind = "multipart/form-data; boundary=x"
    for given, body in (
        ("application/json", b"{}"),
        (None, part + b"--x--\r\n"),
        ("multipart/form-data", part + b"--x--\r\n"),
        (kind, b"nothing like parts"),
        (kind, part[:-10]),
        (kind, part + part + b"--x--\r\n"),
    ):
        headers = {"content-type": given} if given else {}
        response = server.client.post("/v1/predict?model=flat", content=body, headers=headers)
        codes.append(str(response.status_code))
    return f"{', '.join(codes)}; {state(server)}"


@fault(
    SERVER,
    "a network that fails, and one that runs out of memory",
    "500 without a word about the image, 413; the server goes on",
)
def test_failures():
    class Broken(torch.nn.Module):
        def forward(self, images):
            raise RuntimeError("voxel 0 is 17")

    class Full(torch.nn.Module):
        def forward(self, images):
            raise MemoryError

    with running(model("broken", network=Broken()), model("full", network=Full())) as server:
        failed = server.predict(png(), model="broken")
        secret = "voxel" not in failed.text + server.log.getvalue()
        full = server.predict(png(), model="full").status_code
        words = "without a word about the image" if secret else "with its voxels"
        return f"{failed.status_code} {words}, {full}; {state(server)}"


@fault(
    SERVER,
    "another host's name, another site's page, and no token where one is needed",
    "421, 403, 401; the server goes on",
)
def test_strangers(server):
    host = server.client.get("/v1/models", headers={"host": "rebound.example"}).status_code
    page = server.predict(png(), {"origin": "http://other.example"}, model="flat").status_code
    with running(model("flat"), token="0123456789abcdef") as guarded:
        token = guarded.predict(png()).status_code
    return f"{host}, {page}, {token}; {state(server)}"
