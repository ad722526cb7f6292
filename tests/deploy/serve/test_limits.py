"""What a server does when clients are too many, too slow, too large, or gone."""

import socket
import threading
import time
from contextlib import closing, suppress

import httpx
import numpy as np

from lightm_unet.deploy.serve import linger, protocol, upload
from serving import Gate, huge_png, model, png, running


def post_in_thread(server, image, answers, **options):
    def post():
        try:
            answers.append(
                httpx.post(
                    f"{server.address}/v1/predict", files={"image": image}, timeout=30, **options
                )
            )
        except httpx.HTTPError as error:
            answers.append(error)

    thread = threading.Thread(target=post)
    thread.start()
    return thread


def raw(server, head, body=b""):
    """A connection that has sent this much of a request."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    lines = ["POST /v1/predict HTTP/1.1", "Host: 127.0.0.1", *head]
    connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
    return connection


def status_of(connection):
    """The status of the answer; the connection is closed after it."""
    data = b""
    while chunk := connection.recv(65536):
        data += chunk
    connection.close()
    return int(data.split(b" ", 2)[1]) if data else None


FORM = "Content-Type: multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'


def test_a_full_queue_refuses_with_the_time_to_wait():
    gate = Gate()
    with running(model("slow", network=gate), queue=1) as server:
        answers = []
        threads = [post_in_thread(server, png(), answers) for _ in range(2)]
        server.until(lambda: server.service.workers.waiting == 1 and gate.begun.is_set())
        refused = server.predict(png())
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert server.client.get("/health").json()["status"] == "full"
        assert server.client.get("/health/ready").status_code == 503
        gate.open.set()
        for thread in threads:
            thread.join()
        assert [answer.status_code for answer in answers] == [200, 200]
        server.until(lambda: server.client.get("/health/ready").status_code == 200)


def test_fifty_clients_at_once_are_answered_or_told_to_wait():
    with running(model("flat"), queue=8) as server:
        answers = []
        threads = [post_in_thread(server, png(), answers) for _ in range(50)]
        for thread in threads:
            thread.join()
        statuses = [answer.status_code for answer in answers]
        assert len(statuses) == 50
        assert set(statuses) <= {200, 429}
        assert statuses.count(200) >= 9
        assert all("retry-after" in a.headers for a in answers if a.status_code == 429)
        assert server.predict(png()).status_code == 200


def test_work_that_takes_too_long_is_given_up():
    gate = Gate()
    with running(model("slow", network=gate, roi_size=(16, 16)), timeout=0.3) as server:
        image = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
        answer = server.predict(png(image))
        assert (answer.status_code, answer.json()["type"]) == (
            504,
            "urn:lightm-unet:problem:too-slow",
        )
        gate.open.set()
        server.until(lambda: server.service.workers.running == 0)
        assert gate.passes == 1  # of 49 windows
        server.until(lambda: not server.files())


def test_a_client_that_leaves_frees_its_place_between_two_windows():
    gate = Gate()
    with running(model("slow", network=gate, roi_size=(16, 16))) as server:
        image = png(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8))
        body = PART + image + b"\r\n--x--\r\n"
        connection = raw(server, [FORM, f"Content-Length: {len(body)}"], body)
        assert gate.begun.wait(10)
        connection.close()
        server.until(lambda: any(line.get("status") == 499 for line in server.lines()))
        gate.open.set()
        server.until(lambda: server.service.workers.running == 0)
        assert gate.passes == 1
        server.until(lambda: not server.files())
        assert server.is_alive()


def test_a_client_that_leaves_the_queue_gives_its_place_at_once():
    gate = Gate()
    with running(model("slow", network=gate), queue=1) as server:
        answers = []
        first = post_in_thread(server, png(), answers)
        assert gate.begun.wait(10)
        body = PART + png() + b"\r\n--x--\r\n"
        connection = raw(server, [FORM, f"Content-Length: {len(body)}"], body)
        server.until(lambda: server.service.workers.waiting == 1)
        connection.close()
        server.until(lambda: server.service.workers.waiting == 0)
        gate.open.set()
        first.join()
        assert gate.passes == 1


def test_a_client_that_leaves_during_its_upload():
    with running(model("flat")) as server:
        connection = raw(server, [FORM, "Content-Length: 100000"], PART + bytes(1000))
        server.until(server.files)
        connection.close()
        server.until(lambda: not server.files())
        assert server.is_alive()


def test_two_gigabytes_are_refused_before_they_are_sent(monkeypatch):
    monkeypatch.setattr(linger, "LINGER_S", 0.2)
    length = "Content-Length: 2147483648"
    with running(model("flat")) as server:
        for head in ([length], [length, "Expect: 100-continue"]):
            assert status_of(raw(server, [FORM, *head])) == 413
        assert not server.files()


def test_an_endless_chunked_upload_is_refused_at_the_limit(monkeypatch):
    monkeypatch.setattr(linger, "LINGER_S", 0.2)
    first = b"%x\r\n" % len(PART) + PART + b"\r\n"
    with running(model("flat")) as server:  # which takes 1 MB
        sent = 0
        connection = raw(server, [FORM, "Transfer-Encoding: chunked"], first)
        with closing(connection), suppress(OSError):  # the server closes
            while sent < 2**31:
                connection.sendall(b"10000\r\n" + bytes(65536) + b"\r\n")
                sent += 65536
        assert sent < 2**30
        server.until(lambda: any(line.get("status") == 413 for line in server.lines()))
        server.until(lambda: not server.files())
        assert server.is_alive()


def test_a_client_that_still_sends_sees_the_answer():
    with running(model("flat")) as server:
        answer = server.predict(bytes(2_000_000))
        assert (answer.status_code, answer.headers["connection"]) == (413, "close")
        assert answer.json()["expected"] == "at most 1 MB"


def test_uploads_that_trickle_or_stop_are_ended(monkeypatch):
    monkeypatch.setattr(linger, "LINGER_S", 1.0)  # the client is done with sending by then
    with running(model("flat"), upload_timeout=0.5) as server:
        connection = raw(server, [FORM, "Content-Length: 100000"], PART)
        for _ in range(6):
            time.sleep(0.1)
            connection.sendall(b"x")
        assert status_of(connection) == 408
    monkeypatch.setattr(upload, "_LONGEST_PAUSE_S", 0.2)
    with running(model("flat")) as server:
        assert status_of(raw(server, [FORM, "Content-Length: 100000"], PART)) == 408
        assert not server.files()


def test_headers_that_do_not_come_end_the_connection(monkeypatch):
    monkeypatch.setattr(protocol, "HEADERS_S", 0.2)
    with running(model("flat")) as server:
        for start in (b"", b"GET /health HTTP/1.1\r\nHost: "):
            with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
                connection.sendall(start)
                assert connection.recv(1) == b""
        assert server.is_alive()


def test_all_uploads_together_fill_no_disk():
    with running(model("flat")) as server:
        server.service.spool.take(8_000_000 - 10)
        answer = server.predict(png())
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
        server.service.spool.give(8_000_000 - 10)
        assert server.predict(png()).status_code == 200


def test_sizes_are_refused_by_the_header_alone():
    with running(model("flat", most=1000)) as server:
        answer = server.predict(huge_png(20_000, 10_000))
        assert answer.status_code == 413
        assert "20000x10000" in answer.json()["found"]
        answer = server.predict(png(np.zeros((40, 50), np.uint8)))
        assert (answer.status_code, answer.json()["found"]) == (413, "40x50x1 values")


def test_a_network_that_fails_is_a_500_without_details():
    class Broken(Gate):
        def forward(self, images):
            raise RuntimeError("PATIENT")

    class Full(Gate):
        def forward(self, images):
            raise MemoryError

    with running(model("broken", network=Broken()), model("full", network=Full())) as server:
        answer = server.predict(png(), model="broken")
        assert (answer.status_code, answer.json()["type"]) == (
            500,
            "urn:lightm-unet:problem:failed",
        )
        (line,) = [line for line in server.lines() if line["event"] == "work failed"]
        assert line["error"].startswith("RuntimeError at test_limits.py:")
        assert "PATIENT" not in answer.text + server.log.getvalue()
        assert server.predict(png(), model="full").status_code == 413
        server.until(lambda: not server.files())
        assert server.is_alive()
