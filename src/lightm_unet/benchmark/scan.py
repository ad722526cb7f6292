"""The selective scan against plain PyTorch and, on a GPU, against mamba_ssm; in turn, in one run.

The plain form does what mamba_ssm's pure-PyTorch reference does: channels before length, the
decays and inputs of all steps in memory at once, then a Python loop. All are float32, batch 1,
state dimension 16, with softplus, bias and skip, and give the same result before they are timed.
"""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from lightm_unet.benchmark.settings import BenchSettings
from lightm_unet.diagnosis import doctor
from lightm_unet.errors import LightMUNetError, UsageError
from lightm_unet.ops import selective_scan
from lightm_unet.reporting.formats import NO_VALUE
from lightm_unet.reporting.text_tables import markdown_table
from lightm_unet.system.device import choose_device, wait_for
from lightm_unet.system.files import new_folder, write_bytes, write_json
from lightm_unet.system.values import listed, path, text, whole_number

_log = logging.getLogger(__name__)

SHAPES = ((4096, 512), (65_536, 128), (262_144, 64))
"""Length and channels of the default rows."""
STATE = 16
LONGEST_PLAIN = 70_000
"""Beyond so many steps the plain form is left out: one pass takes half a minute."""
PLAIN_ROUNDS = 3


@dataclass(frozen=True)
class ScanRow:
    """One shape; times in seconds, medians over the rounds, None where not measured."""

    length: int
    """Steps."""
    channels: int
    """Channels."""
    forward: float
    """Ours."""
    both: float
    """Ours, forward and backward, to the gradient of every input."""
    plain: float | None
    """The plain form, forward."""
    mamba_ssm: float | None
    """mamba_ssm's CUDA kernel, forward."""

    @property
    def exponentials_per_second(self) -> float:
        """One for each step, channel and state: what bounds the forward pass."""
        return self.length * self.channels * STATE / self.forward


def bench_scan(
    shapes: Sequence[tuple[int, int]] = SHAPES,
    output: str | Path | None = None,
    *,
    threads: int = 1,
    rounds: int = BenchSettings.rounds,
    device: str = "cpu",
) -> list[ScanRow]:
    """Measure the selective scan; a line is logged for each shape that is done.

    Args:
        shapes: length and channels of each row.
        output: a new folder for bench.json and table.md.
        threads: for torch and the native kernel.
        rounds: turns of each form; the plain one takes `PLAIN_ROUNDS` at most.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".

    Returns:
        A row for each shape.

    Raises:
        UsageError: a shape, the threads or the rounds are not positive, no such kind of device, or
            `output` is not new.
        MissingPartError: the device is not available.
        LightMUNetError: two forms differ by more than rounding.
    """
    output = None if output is None else path("output", output)
    wanted = [
        tuple(whole_number("shapes", each, 1) for each in listed("shapes", shape, "(512, 32)"))
        for shape in listed("shapes", shapes, "[(512, 32)]")
    ]
    if any(len(shape) != 2 for shape in wanted):
        raise UsageError(f"the scan needs sizes of LENGTHxCHANNELS, all positive; got {wanted}")
    threads, rounds = whole_number("threads", threads, 1), whole_number("rounds", rounds, 1)
    chosen = choose_device(text("device", device, "'cpu'"))
    with ExitStack() as stack:
        folder = stack.enter_context(new_folder(output)) if output is not None else None
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(threads)
        rows = []
        for length, channels in wanted:
            rows.append(_measure(length, channels, rounds, chosen))
            _log.info(f"{length}x{channels}: done")
        if folder is not None:
            settings = {"threads": threads, "rounds": rounds, "device": str(chosen)}
            results = [asdict(row) for row in rows]
            machine = asdict(doctor())
            write_json({"machine": machine, **settings, "rows": results}, folder / "bench.json")
            write_bytes(("\n".join(show_rows(rows)) + "\n").encode(), folder / "table.md")
    return rows


def plain_recurrence(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, delta_bias: Tensor
) -> Tensor:
    """The scan as it is usually written in PyTorch.

    Args:
        u: `(batch, channels, length)`.
        delta: before bias and softplus, same shape.
        A: `(channels, state)`.
        B: `(batch, state, length)`.
        C: `(batch, state, length)`.
        D: `(channels,)`.
        delta_bias: `(channels,)`.

    Returns:
        `(batch, channels, length)`.
    """
    delta = F.softplus(delta + delta_bias[:, None])
    decay = torch.exp(torch.einsum("bdl,dn->bdln", delta, A))
    driven = torch.einsum("bdl,bnl,bdl->bdln", delta, B, u)
    h = u.new_zeros(u.shape[0], u.shape[1], A.shape[1])
    ys = []
    for t in range(u.shape[2]):
        h = decay[:, :, t] * h + driven[:, :, t]
        ys.append(torch.einsum("bdn,bn->bd", h, C[:, :, t]))
    return torch.stack(ys, dim=2) + u * D[:, None]


def take_turns(
    forms: Sequence[Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Median seconds of each form; in each round every form runs once, in order.

    Example:
        >>> ticks = iter([0, 1, 10, 13])  # the first form takes 1, the second 3
        >>> take_turns([lambda: None, lambda: None], rounds=1, clock=lambda: next(ticks))
        [1, 3]
    """
    times: list[list[float]] = [[] for _ in forms]
    for _ in range(rounds):
        for form, own in zip(forms, times, strict=True):
            start = clock()
            form()
            own.append(clock() - start)
    return [statistics.median(own) for own in times]


def _measure(length: int, channels: int, rounds: int, device: torch.device) -> ScanRow:
    inputs = [t.to(device) for t in _make_inputs(length, channels)]
    trained = [t.clone().requires_grad_() for t in inputs]
    grad = torch.ones_like(inputs[0])
    u, delta, A, B, C, D, bias = inputs
    # mamba_ssm and the plain form have the length last.
    u_last, delta_last, B_last, C_last = (t.mT.contiguous() for t in (u, delta, B, C))

    @_whole(device)
    def forward() -> Tensor:
        with torch.no_grad():
            return selective_scan(u, delta, A, B, C, D, None, bias, True)

    @_whole(device)
    def both() -> None:
        u, delta, A, B, C, D, bias = trained
        out = selective_scan(u, delta, A, B, C, D, None, bias, True)
        torch.autograd.grad(out, trained, grad)

    @_whole(device)
    def plain() -> Tensor:
        with torch.no_grad():
            return plain_recurrence(u_last, delta_last, A, B_last, C_last, D, bias)

    mamba_scan = _find_mamba_ssm(device)

    rivals = {"plain": plain} if length <= LONGEST_PLAIN else {}
    if mamba_scan is not None:

        @_whole(device)
        def mamba() -> Tensor:
            with torch.no_grad():
                return mamba_scan(u_last, delta_last, A, B_last, C_last, D, None, bias, True)

        rivals["mamba_ssm"] = mamba
    expected = forward()
    both()
    for name, rival in rivals.items():
        _check_agreement(name, rival().mT, expected)
    forward_seconds, both_seconds = take_turns([forward, both], rounds)
    seconds: dict[str, float | None] = {"plain": None, "mamba_ssm": None}
    for name, rival in rivals.items():
        limit = PLAIN_ROUNDS if name == "plain" else rounds
        _, seconds[name] = take_turns([forward, rival], min(rounds, limit))
    return ScanRow(length, channels, forward_seconds, both_seconds, **seconds)


def _make_inputs(length: int, channels: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    u, delta = (torch.randn(1, length, channels, generator=generator) for _ in range(2))
    B, C = (torch.randn(1, length, STATE, generator=generator) for _ in range(2))
    A = -torch.arange(1.0, STATE + 1).repeat(channels, 1)
    return u, delta - 3, A, B, C, torch.ones(channels), torch.zeros(channels)


def _whole(device: torch.device) -> Callable:
    """Let a form return only when the device has done its work."""

    def wrap(form: Callable) -> Callable:
        def waited():
            result = form()
            wait_for(device)
            return result

        return waited

    return wrap


def _find_mamba_ssm(device: torch.device) -> Callable | None:
    if device.type != "cuda":
        return None
    try:
        from mamba_ssm.ops.selective_scan_interface import selective_scan_fn
    except ImportError:
        return None
    return selective_scan_fn


def _check_agreement(name: str, got: Tensor, expected: Tensor) -> None:
    difference = ((got - expected).norm() / expected.norm()).item()
    if not difference < 1e-4:
        raise LightMUNetError(
            f"{name} and ours differ by {difference:.2g}, relative; expected 1e-4"
        )


def show_rows(rows: Sequence[ScanRow]) -> list[str]:
    """The rows as a Markdown table; times in milliseconds.

    mamba_ssm has columns only where it was measured.

    Example:
        >>> print(show_rows([ScanRow(4096, 512, 0.008, 0.028, 0.88, None)])[-1])
        | 4,096 x 512 | 8.0 (4.2 Gexp/s) | 28.0 | 3.5 | 880 | 110 |
    """
    rivals = [("plain", 0)]
    if any(row.mamba_ssm is not None for row in rows):
        rivals.append(("mamba_ssm", 2))
    head = [
        "length x channels",
        "forward, ms",
        "forward + backward, ms",
        "/ forward",
        *(text for name, _ in rivals for text in (f"{name}, ms", f"{name} / ours")),
    ]
    body = []
    for row in rows:
        cells = [
            f"{row.length:,} x {row.channels:,}",
            f"{row.forward * 1e3:.1f} ({row.exponentials_per_second / 1e9:.1f} Gexp/s)",
            f"{row.both * 1e3:.1f}",
            f"{row.both / row.forward:.1f}",
        ]
        for name, digits in rivals:
            rival = getattr(row, name)
            cells += (
                [NO_VALUE, NO_VALUE]
                if rival is None
                else [f"{rival * 1e3:.{digits}f}", f"{rival / row.forward:.{digits}f}"]
            )
        body.append(cells)
    return markdown_table(head, body)
