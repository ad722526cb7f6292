"""One inference of a network under ONNX Runtime.

The export runs in its own process, so this process never loads torch, and its memory is that of a
program that only runs the network.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from lightm_unet.benchmark.bench_case import BenchCase
from lightm_unet.errors import LightMUNetError, UsageError
from lightm_unet.system.extras import require_extra
from lightm_unet.system.json_codec import to_json
from lightm_unet.system.memory import forget_peak, peak_bytes, resident_bytes
from lightm_unet.system.subprocesses import Child, ChildError, python_module

MODEL, IMAGE, LOGITS = "network.onnx", "image.npy", "logits.npy"
EXPORTER = "lightm_unet.benchmark.onnx_export"
TOLERANCE = 1e-3
"""Largest difference from torch's logits, as a share of the largest logit."""


class OnnxPass:
    """An exported network in its own session, checked against torch; call it for one pass.

    Raises:
        UsageError: another device than the CPU, or training, was asked for.
        MissingPartError: onnx or onnxruntime is not installed.
        LightMUNetError: the network cannot be exported, or its ONNX form computes something else.
    """

    def __init__(self, case: BenchCase) -> None:
        if case.device != "cpu" or case.job != "forward":
            raise UsageError("ONNX Runtime is measured in inference on the CPU only")
        require_extra("onnx", "ONNX Runtime", "onnx", "onnxruntime")
        import onnxruntime

        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            self.parameters = _export(case, folder)
            self.image = np.load(folder / IMAGE, allow_pickle=False)
            self._expected = np.load(folder / LOGITS, allow_pickle=False)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = case.threads
            options.inter_op_num_threads = 1
            # Threads may spin within a run, as by default, but not on into others' turns.
            options.add_session_config_entry("session.force_spinning_stop", "1")
            self.session = onnxruntime.InferenceSession(
                folder / MODEL, options, providers=["CPUExecutionProvider"]
            )
        forget_peak()
        self.idle_bytes = resident_bytes()

    def __call__(self) -> np.ndarray:
        """Do one pass; returns the logits, of which the first are checked."""
        logits = self.session.run(None, {"image": self.image})[0]
        if self._expected is not None:
            check_agreement(logits, self._expected)
            self._expected = None
        return logits

    def peak_bytes(self) -> int:
        """Peak memory of this process so far."""
        # Linux counts some pages late: the peak may be read a few pages below what was held before.
        return max(peak_bytes(), self.idle_bytes)


def check_agreement(logits: np.ndarray, expected: np.ndarray) -> None:
    """Check that the ONNX form computes the same as the network.

    Raises:
        LightMUNetError: the shapes differ, or a value by more than `TOLERANCE`.
    """
    if logits.shape != expected.shape:
        raise LightMUNetError(f"ONNX gives logits of {logits.shape}, torch of {expected.shape}")
    difference = float(np.abs(logits - expected).max() / np.abs(expected).max())
    if not difference <= TOLERANCE:  # so that NaN is refused too
        raise LightMUNetError(
            f"ONNX and torch differ by {difference:.2g} of the largest logit; "
            f"expected {TOLERANCE:g} at most"
        )


def _export(case: BenchCase, folder: Path) -> int:
    """Export the network into a folder; returns the number of its parameters."""
    # This process's memory is watched too: its parent could not see why the exporter was ended.
    with Child(python_module(EXPORTER, folder), watch_memory=False) as exporter:
        try:
            return exporter.ask(to_json(case))["parameters"]
        except ChildError as error:
            raise LightMUNetError(str(error)) from error
