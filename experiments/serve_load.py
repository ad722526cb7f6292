"""How many images a second a server segments for several clients, against `predict` on its own.

Both take turns with the same images on the same cores, `predict` with one thread and with all; the
better of the two in each round is what the server is compared with. Server and clients are on this
computer and share its cores, of which clients of a few lines need little.

    python experiments/serve_load.py --clients 8 --rounds 3
    python experiments/serve_load.py --worker-threads 2x1 1x2
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch

from lightm_unet import load_model, predict, write_phantom_dataset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="lungs")
    parser.add_argument("--images", type=Path, help="folder; by default phantoms of --size")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--count", type=int, default=24, help="images of one round")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker-threads", nargs="+", default=["2x1"], help="such as 2x1 1x2")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        images = given.images or _phantoms(Path(folder) / "data", given.size, given.count)
        files = sorted(file for file in images.iterdir() if file.is_file())[: given.count]
        model = load_model(given.model)
        servers = {each: _Server(given.model, each) for each in given.worker_threads}
        cores = torch.get_num_threads()
        alone: dict[int, list[float]] = {1: [], cores: []}
        rates: dict[str, list[float]] = {each: [] for each in servers}
        times: dict[str, list[float]] = {each: [] for each in servers}
        try:
            predict(model, files[:2], Path(folder) / "masks")
            for server in servers.values():
                server.load(files[:4], given.clients)
            for _ in range(given.rounds):
                for threads, found in alone.items():
                    torch.set_num_threads(threads)
                    start = time.perf_counter()
                    predict(model, files, Path(folder) / "masks")
                    found.append(len(files) / (time.perf_counter() - start))
                for name, server in servers.items():
                    start = time.perf_counter()
                    times[name] += server.load(files, given.clients)
                    rates[name].append(len(files) / (time.perf_counter() - start))
        finally:
            for server in servers.values():
                server.end()
    for threads, found in alone.items():
        print(
            f"predict alone, {threads} thread(s): {median(found):.1f} images/s "
            f"({min(found):.1f} to {max(found):.1f})"
        )
    best = [max(round_) for round_ in zip(*alone.values(), strict=True)]
    for name in servers:
        ratios = [rate / one for rate, one in zip(rates[name], best, strict=True)]
        p50, p95 = np.percentile(times[name], (50, 95))
        print(
            f"serve, workers x threads {name}, {given.clients} clients: "
            f"{median(rates[name]):.1f} images/s, {median(ratios):.2f} of predict "
            f"({min(ratios):.2f} to {max(ratios):.2f}); median {1000 * p50:.0f} ms, "
            f"p95 {1000 * p95:.0f} ms = {p95 / p50:.2f} medians"
        )


class _Server:
    """The command in a process of its own."""

    def __init__(self, model: str, worker_threads: str) -> None:
        workers, threads = worker_threads.split("x")
        words = [sys.executable, "-m", "lightm_unet", "serve", model, "--port", "0"]
        self._process = subprocess.Popen(
            [*words, "--workers", workers, "--threads", threads],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None  # a pipe
        self._port = int(self._process.stdout.readline().split()[0].rpartition(":")[2])

    def load(self, files: list[Path], clients: int) -> list[float]:
        """Send each file once, by so many clients at the same time; seconds of each request."""
        bodies, seconds = iter([_form(file) for file in files]), []
        lock = threading.Lock()

        def work() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", self._port)
            while True:
                with lock:
                    body = next(bodies, None)
                if body is None:
                    break
                start = time.perf_counter()
                head = {"Content-Type": "multipart/form-data; boundary=x"}
                connection.request("POST", "/v1/predict", body, head)
                response = connection.getresponse()
                response.read()
                assert response.status == 200, response.status
                seconds.append(time.perf_counter() - start)
            connection.close()

        threads = [threading.Thread(target=work) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return seconds

    def end(self) -> None:
        self._process.terminate()
        self._process.wait()


def _form(file: Path) -> bytes:
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="image"\r\n\r\n'
    return head + file.read_bytes() + b"\r\n--x--\r\n"


def _phantoms(folder: Path, size: int, count: int) -> Path:
    data = write_phantom_dataset(folder, "xray", cases=max(count, 5), size=size)
    images = folder / "images"
    images.mkdir()
    found = itertools.chain(*((data.root / part).glob("*") for part in ("imagesTr", "imagesTs")))
    for file in found:
        file.rename(images / file.name)
    return images


if __name__ == "__main__":
    main()
