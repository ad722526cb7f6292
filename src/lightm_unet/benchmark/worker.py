"""The process of one case: builds the network, then runs passes on request.

    python -m lightm_unet.benchmark.worker

Each line on stdin is a request, each on stdout its answer, both JSON:

    {"do": "build", "case": {...}}   {"parameters": 2533469, "idle_bytes": 330000000}
    {"do": "turn", "seconds": 0.5}         {"seconds": [0.31, 0.30], "peak_bytes": 450000000}

A turn repeats passes until `seconds` are over, with at least one pass. After an error the process
answers {"error": "..."} and ends; it also ends when its parent process ends.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from typing import IO, Any

from lightm_unet.benchmark.bench_case import BenchCase
from lightm_unet.system.json_codec import from_json
from lightm_unet.system.subprocesses import join_parent


def build(case: BenchCase):
    """The case's pass; only what its engine needs is imported."""
    if case.engine != "torch":
        from lightm_unet.benchmark.onnx_pass import OnnxPass

        return OnnxPass(case)
    from lightm_unet.benchmark.torch_pass import TorchPass

    return TorchPass(case)


def take_turn(do_pass: Callable[[], Any], seconds: float) -> list[float]:
    """Seconds of each pass, until `seconds` are over; one at least."""
    times: list[float] = []
    begin = time.perf_counter()
    while not times or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        do_pass()
        times.append(time.perf_counter() - start)
    return times


def serve(requests: Iterable[str], answers: IO[str]) -> None:
    """Answer requests until there are no more, or one fails."""
    do_pass: Any = None  # one of the passes of `build`
    for line in requests:
        try:
            request = json.loads(line)
            if request["do"] == "build":
                do_pass = build(from_json(BenchCase, request["case"]))
                answer = {"parameters": do_pass.parameters, "idle_bytes": do_pass.idle_bytes}
            else:
                times = take_turn(do_pass, request["seconds"])
                answer = {"seconds": times, "peak_bytes": do_pass.peak_bytes()}
        except Exception as error:
            answer = {"error": _reason(error)}
        print(json.dumps(answer), file=answers, flush=True)
        if "error" in answer:
            return


def _reason(error: Exception) -> str:
    from lightm_unet.errors import LightMUNetError

    text = " ".join(str(error).split())[:300]
    if isinstance(error, LightMUNetError):
        return text
    if isinstance(error, MemoryError) or "not enough memory" in text or "out of memory" in text:
        return f"out of memory: {text}"
    return f"{type(error).__name__}: {text}"


def main() -> None:
    """Answer the requests of the parent process."""
    serve(*join_parent())


if __name__ == "__main__":
    main()
