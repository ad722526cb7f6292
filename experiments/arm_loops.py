"""What a cross compiler makes of the kernels' inner loops on 64-bit ARM, without such a processor.

Each loop is compiled in a function of its own; printed are its instructions for each multiply-add
of a vector (for each state's step in the scan, for each vector elsewhere), and the cycles that
llvm-mca estimates for the same. An estimate knows the processor's pipelines, not its caches.

    python experiments/arm_loops.py csrc --compiler aarch64-linux-gnu-g++
    python experiments/arm_loops.py csrc --compiler clang++-19 --target=aarch64-linux-gnu \
        -isystem /usr/aarch64-linux-gnu/include/c++/12 \
        -isystem /usr/aarch64-linux-gnu/include/c++/12/aarch64-linux-gnu \
        -isystem /usr/aarch64-linux-gnu/include
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from pathlib import Path

PROCESSORS = ("neoverse-n1", "neoverse-v1", "apple-m1")

# Name, how much work one turn of the loop does (in terms of the kernels' constants; `fmla`: as many
# as the loop has), the function's parameters and its body.
LOOPS = (
    (
        "matrix product",
        "fmla",
        "const float *a, int64_t stride, int64_t inputs, const float *panel, float *out",
        "multiply_block<kRows, kColumns>(a, stride, inputs, panel, 0, 0,"
        " [&](int r, int64_t v, vf x) { store(out + (r * kColumns + v) * kWidth, x); });",
    ),
    (
        "outer product",
        "fmla",
        "const float *g, int64_t gs, const float *a, int64_t as, int rows, float *to, int64_t ts",
        "add_outer_block<kRows, kColumns>(g, gs, a, as, rows, to, ts);",
    ),
    (
        "full convolution",
        "fmla",
        "const StemShape *s, const float *left, const float *panel, const float *bias, float *out",
        "convolve_tokens<kRows, kColumns>(0, *s, left, panel, bias, 0,"
        " [&](int64_t t, int64_t v, vf x) { store(out + (t * kColumns + v) * kWidth, x); });",
    ),
    (
        "depthwise filter",
        "24",
        "const float *const *rows, int taps, int64_t c, int64_t x, const float *w, const vf *b,"
        " float *out",
        "filter_tokens<8>(rows, taps, c, x, w, *b,"
        " [&](int64_t t, vf v) { store(out + t * kWidth, v); });",
    ),
    (
        "scan forward",
        "kGroupOfStates",
        "const ScanInputs *in, int64_t t0, int steps, const vf *rates, vf *h, Tile *tile,"
        " const Ahead *ahead",
        "run_group<kGroupOfStates, false, false, true>"
        "(*in, 0, t0, steps, 0, rates, h, *tile, nullptr, nullptr, *ahead);",
    ),
    (
        "scan again",
        "kGroupBackward",
        "const ScanInputs *in, int64_t t0, int steps, const vf *rates, vf *h, Tile *tile,"
        " vf *decays, vf *states, const Ahead *ahead",
        "run_group<kGroupBackward, false, true, false>"
        "(*in, 0, t0, steps, 0, rates, h, *tile, decays, states, *ahead);",
    ),
    (
        "scan backward",
        "kGroupBackward",
        "const ScanInputs *in, int64_t t0, int steps, const vf *rates, const vf *decays,"
        " const vf *states, const vf *before, const vf *gy, const Tile *tile, vf *g, vf *gA,"
        " vf *sums, vf *ti, vf *td",
        "reverse_group<kGroupBackward>"
        "(*in, 0, t0, steps, 0, rates, decays, states, before, gy, *tile, g, gA, sums, ti, td);",
    ),
    (
        "softplus",
        "1",
        "const float *x, int n, float *out",
        "for (int t = 0; t < n; ++t) { const vf raw = load(x + t * kWidth);"
        " store(out + t * kWidth, vmax(vf{}, raw) + log1p_unit(exp_minus_abs(raw))); }",
    ),
    (
        "SiLU",
        "1",
        "const float *x, int n, float *out",
        "for (int t = 0; t < n; ++t) { const vf p = load(x + t * kWidth);"
        " store(out + t * kWidth, p * sigmoid(p)); }",
    ),
    (
        "maximum or NaN",
        "1",
        "const float *x, int n, float *out",
        "for (int t = 0; t < n; ++t)"
        " store(out + t * kWidth, max_or_nan(load(x + t * kWidth), load(out + t * kWidth)));",
    ),
    # Straight code, and the return from it.
    ("any lane above", "1", "const vf *a, const vf *b, bool *out", "*out = any_above(*a, *b);"),
    ("square root", "1", "const vf *a, vf *out", "*out = vsqrt(*a);"),
    ("sum of 4 lanes", "1", "const vf *a, float *out", "*out = lane_sum(*a);"),
    ("4 sums of 4 lanes", "1", "const vf *a, vf *out", "*out = sums_across_lanes(a);"),
)


def program() -> str:
    functions = [
        f'extern "C" __attribute__((noinline)) void loop{i}({parameters}) {{ {body} }}'
        for i, (_, _, parameters, body) in enumerate(LOOPS)
    ]
    constants = [
        f'extern "C" const int {name}_is = {name};' for name in ("kGroupOfStates", "kGroupBackward")
    ]
    return "\n".join(['#include "ops/all_kernels.h"', *constants, *functions, ""])


def constant(assembly: str, name: str) -> int:
    found = re.search(rf"^{name}_is:.*\n\s+\.(?:word|long)\s+(\d+)", assembly, re.MULTILINE)
    if found is None:
        raise SystemExit(f"the compiler's output has no {name}_is")
    return int(found[1])


def inner_loop(function: str) -> list[str]:
    """Instructions of the inner loop with the most multiply-adds; all where there is no loop."""
    lines = [line.split("//")[0].strip() for line in function.splitlines()]
    lines = [line for line in lines if line.endswith(":") or (line and not line.startswith("."))]
    starts = {line[:-1]: i for i, line in enumerate(lines) if line.endswith(":")}
    loops = []
    for i, line in enumerate(lines):
        branch = re.match(r"(?:b\S*|cbn?z|tbn?z)\s.*?(\.L\w+)$", line)
        if branch and starts.get(branch[1], i + 1) <= i:
            loops.append((starts[branch[1]], i))
    code = [
        [line for line in lines[first : last + 1] if not line.endswith(":")]
        for first, last in loops or [(0, len(lines) - 1)]
        if not any(first <= f and t <= last and (f, t) != (first, last) for f, t in loops)
    ]
    return max(code, key=lambda loop: (sum(line.startswith("fml") for line in loop), len(loop)))


def cycles(loop: list[str], processor: str) -> float:
    command = ["llvm-mca-19", "-mtriple=aarch64", f"-mcpu={processor}", "-iterations=200"]
    done = subprocess.run(
        command, input="\n".join(loop), capture_output=True, text=True, check=True
    )
    return int(re.search(r"Total Cycles:\s+(\d+)", done.stdout)[1]) / 200


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("csrc", type=Path)
    parser.add_argument("--compiler", default="aarch64-linux-gnu-g++")
    args, flags = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "loops.cpp"), Path(folder, "loops.s")
        source.write_text(program())
        options = ["-std=c++17", "-O3", "-ffp-contract=fast", "-w", f"-I{args.csrc}", *flags]
        subprocess.run([args.compiler, *options, "-S", source, "-o", target], check=True)
        assembly = target.read_text()
    print("| loop | instructions | on the stack |", " | ".join(PROCESSORS), "|")
    print("| --- | --- | --- |" + " --- |" * len(PROCESSORS))
    for i, (name, work, _, _) in enumerate(LOOPS):
        function = re.search(
            rf"^loop{i}:.*?\n(.*?)\.size\s+loop{i}", assembly, re.DOTALL | re.MULTILINE
        )
        loop = inner_loop(function[1])
        if work == "fmla":
            units = sum(line.startswith("fml") for line in loop)
        else:
            units = int(work) if work.isdigit() else constant(assembly, work)
        stack = sum("[sp" in line and line.startswith(("ld", "st")) for line in loop)
        estimates = [f"{cycles(loop, processor) / units:.2f}" for processor in PROCESSORS]
        print(f"| {name} | {len(loop) / units:.2f} | {stack} |", " | ".join(estimates), "|")


if __name__ == "__main__":
    main()
