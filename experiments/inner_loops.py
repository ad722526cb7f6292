"""How many cycles do a kernel's innermost loops take on processors that are not at hand?

Compiles the kernels of an instruction set, takes the innermost loops of a function apart, and asks
llvm-mca for each of them. Needs g++, objdump, and llvm-mca 19: the Zen 3 of LLVM 14 starts half as
many multiply-adds in a cycle as the real one. All data is taken to be in the first-level cache.
Where nothing is printed, the compiler left the loop in a function of its own.

    python experiments/inner_loops.py run_tile --set avx2
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from pathlib import Path

CSRC = Path(__file__).parents[1] / "csrc"
FLAGS = {
    "portable": [],
    "avx2": ["-mavx2", "-mfma"],
    "avx512": ["-mavx512f", "-mavx512dq", "-mfma", "-mprefer-vector-width=512"],
}
COMMON = ["-std=c++17", "-O3", "-fPIC", "-ffp-contract=fast", "-Wno-psabi", "-DLIGHTM_X86"]
PROCESSORS = {
    "portable": ("znver3", "znver2", "haswell", "skylake"),
    "avx2": ("znver3", "znver2", "haswell", "skylake"),
    "avx512": ("znver4", "skylake-avx512"),
}
ITERATIONS = 300


def output_of(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def instructions(name: str, function: str) -> list[tuple[int, str]]:
    """Address and text of each instruction of the functions of this name."""
    with tempfile.TemporaryDirectory() as folder:
        target = f"{folder}/kernels.o"
        source = str(CSRC / "ops" / f"kernels_{name}.cpp")
        output_of("g++", *COMMON, *FLAGS[name], f"-I{CSRC}", "-c", source, "-o", target)
        listing = output_of("objdump", "-d", "-C", "--no-show-raw-insn", target)
    found, inside = [], False
    for line in listing.splitlines():
        if header := re.match(r"[0-9a-f]+ <(.*)>:", line):
            inside = function in header[1].split("(lightm")[0]
        elif inside and (step := re.match(r"\s*([0-9a-f]+):\s+([^#<]*)", line)):
            found.append((int(step[1], 16), step[2].strip()))
    return found


def innermost_loops(code: list[tuple[int, str]]) -> list[list[str]]:
    place = {address: i for i, (address, _) in enumerate(code)}
    ends = [
        (place[int(jump[1], 16)], i)
        for i, (_, text) in enumerate(code)
        if (jump := re.match(r"j\w+\s+([0-9a-f]+)$", text))
        and place.get(int(jump[1], 16), len(code)) <= i
    ]
    inner = [
        (first, last)
        for first, last in ends
        if not any(first <= a and b <= last for a, b in ends if (a, b) != (first, last))
    ]
    return [[text for _, text in code[first : last + 1]] for first, last in inner]


def cycles(loop: list[str], processor: str) -> float:
    """Of one round of the loop."""
    body = [re.sub(r"^(j\w+)\s.*", r"\1 .Lloop", text) for text in loop]
    with tempfile.NamedTemporaryFile("w", suffix=".s") as file:
        file.write(".Lloop:\n" + "\n".join(body) + "\n")
        file.flush()
        found = output_of(
            "llvm-mca-19", f"-mcpu={processor}", f"-iterations={ITERATIONS}", file.name
        )
    total = next(line for line in found.splitlines() if line.startswith("Total Cycles:"))
    return int(total.split()[-1]) / ITERATIONS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("function", help="a part of its name, such as run_tile")
    parser.add_argument("--set", choices=FLAGS, default="avx2", help="instruction set")
    parser.add_argument("--least", type=int, default=20, help="multiplications of a loop, at least")
    arguments = parser.parse_args()
    for loop in innermost_loops(instructions(arguments.set, arguments.function)):
        multiplications = sum(bool(re.match(r"v?(f[n]?m|mul)", text)) for text in loop)
        if multiplications < arguments.least or any(text.startswith("call") for text in loop):
            continue
        on_stack = sum("mm" in text and bool(re.search(r"\(%r[sb]p", text)) for text in loop)
        print(
            f"{len(loop)} instructions, {multiplications} multiplications, {on_stack} on stack:",
            ", ".join(f"{p} {cycles(loop, p):.1f}" for p in PROCESSORS[arguments.set]),
        )


if __name__ == "__main__":
    main()
