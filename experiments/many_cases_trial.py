"""Many cases that are killed and restarted: every good one once, every bad one named.

    python experiments/many_cases_trial.py OUTPUT --cases 1000 --kills 5 [--ray]

Small pictures, 1 % of them broken, are predicted by a process that is killed with SIGKILL at random
moments and started again until it ends by itself; then by 8 processes that do one part each, each
killed once, and merged; with --ray on a cluster of two nodes, of which a worker and then a node is
killed. Prints what was found for each; the exit code is 1 if a good case was not done once, a bad
one not named, or a temporary file left.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import torch

import lightm_unet.inference.predict  # noqa: F401 (for the forks, which start at once)
from lightm_unet.cli import main as run_command
from lightm_unet.imaging.picture import write_picture
from lightm_unet.inference.ledger import LEDGER_NAME
from lightm_unet.inference.merge import DONE, FAILED, merge
from lightm_unet.inference.record import RECORD_NAME
from lightm_unet.models.model_folder import save_model
from lightm_unet.networks.lightm_unet import LightMUNet
from lightm_unet.preprocessing.preprocessing import Preprocessing

SIDE = 16
SHARDS = 8
BROKEN_SHARE = 0.01


class Trial:
    """The model, the pictures, and which of them are broken."""

    def __init__(self, folder: Path, cases: int, seed: int) -> None:
        torch.set_num_threads(1)  # a fork inherits no thread
        self.folder, self.random = folder, random.Random(seed)
        self.images, self.model = folder / "images", folder / "model"
        self.images.mkdir(parents=True)
        network = LightMUNet(2, 1, 2, width=4, encoder_layers=(1,), bottleneck_layers=1)
        grid = Preprocessing(spatial_dims=2, channels=1, size=(SIDE, SIDE))
        save_model(self.model, network, grid, ("background", "bright"), ("grey",), {}, {})
        numbers = np.random.default_rng(seed)
        self.names = [f"case_{number:05}" for number in range(cases)]
        broken = max(1, round(cases * BROKEN_SHARE))
        self.broken = set(self.random.sample(self.names, broken))
        for name in self.names:
            picture = numbers.integers(0, 255, (SIDE, SIDE), np.uint8)
            write_picture(picture, self.images / f"{name}.png")
            if name in self.broken:
                path = self.images / f"{name}.png"
                path.write_bytes(path.read_bytes()[:40])
        rows = "".join(f"images/{name}.png\n" for name in self.names)
        self.manifest = folder / "cases.csv"
        self.manifest.write_text("image\n" + rows)

    def begin(self, output: Path, *options: object) -> int:
        """Start a prediction in a fork; returns its number."""
        pid = os.fork()
        if pid:
            return pid
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        sys.argv = ["lightm-unet", "predict", str(self.model), *map(str, options)]
        sys.argv += ["--manifest", str(self.manifest), "--output", str(output)]
        try:
            run_command()
        except SystemExit as stop:
            os._exit(int(stop.code or 0))
        os._exit(99)

    def kill_and_restart(
        self, output: Path, kills: int, *options: object, share: float = 1.0
    ) -> int:
        """Predict, killed at so many random moments; returns how often it was really killed.

        A moment is a random number of lines in the ledger, after what was there at the start, and
        then some milliseconds.
        """
        killed = 0
        for _ in range(kills):
            pid, start = self.begin(output, *options), lines(output)
            lead = self.random.randint(1, max(2, int(2 * share * len(self.names)) // (kills + 1)))
            while lines(output) < start + lead and os.waitpid(pid, os.WNOHANG) == (0, 0):
                time.sleep(0.001)
            time.sleep(self.random.uniform(0, 0.02))
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                killed += 1
            except (ProcessLookupError, ChildProcessError):  # it had ended
                break
        _, status = os.waitpid(self.begin(output, *options), 0)
        code = os.waitstatus_to_exitcode(status)
        assert code in (0, 1), f"the last run ended by {code}"
        return killed

    def judge(self, outputs: list[Path]) -> dict[str, object]:
        """What the folders hold."""
        merged = merge(outputs, self.folder / "table.csv", self.manifest)
        ends: Counter[str] = Counter()
        for output in outputs:
            for line in (output / LEDGER_NAME).read_bytes().splitlines():
                with_sha = b'"sha256":"' in line
                if with_sha:
                    ends[json.loads(line)["case"]] += 1
        good = [name for name in self.names if name not in self.broken]
        found = Counter(path.stem for output in outputs for path in output.glob("*.png"))
        left = [path for output in outputs for path in output.rglob(".*")]
        named = {name for output in outputs for name in failed_in(output)}
        return {
            "good cases": len(good),
            "done once": sum(found[name] == 1 for name in good),
            "ledger: done": len(merged.with_outcome(DONE)),
            "ledger: done more than once": sum(count > 1 for count in ends.values()),
            "broken cases": len(self.broken),
            "named": len(named & self.broken),
            "ledger: failed": len(merged.with_outcome(FAILED)),
            "named wrongly": len(named - self.broken),
            "temporary files": len(left),
            "right": found == Counter(good)
            and set(merged.with_outcome(DONE)) == set(good)
            and set(merged.with_outcome(FAILED)) == self.broken == named
            and not merged.doubled
            and len(merged.rows) == len(self.names)
            and max(ends.values()) == 1
            and not left,
        }

    def one_process(self, kills: int) -> dict[str, object]:
        """One folder, one process at a time."""
        output = self.folder / "masks"
        return {"killed": self.kill_and_restart(output, kills), **self.judge([output])}

    def shards(self) -> dict[str, object]:
        """A folder for each part."""
        outputs = [self.folder / f"part_{number}" for number in range(1, SHARDS + 1)]
        killed = 0
        for number, output in enumerate(outputs, start=1):
            part = f"{number}/{SHARDS}"
            killed += self.kill_and_restart(output, 1, "--shard", part, share=1 / SHARDS)
        return {"killed": killed, **self.judge(outputs)}

    def ray(self) -> dict[str, object]:
        """Two nodes; a worker is killed, and then a node."""
        import ray
        from ray.cluster_utils import Cluster

        output = self.folder / "by_ray"
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        node = cluster.add_node(num_cpus=1)
        command = [sys.executable, "-m", "lightm_unet", "predict", self.model, "--output", output]
        command += ["--manifest", self.manifest, "--engine", "ray", "--ray-workers", "2"]
        try:
            process = subprocess.Popen(
                [*map(str, command), "--ray-address", cluster.address],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            wait_for(lambda: lines(output) > len(self.names) // 2, process)
            worker = self.random.choice(workers())
            worker.kill()
            wait_for(lambda: lines(output) > len(self.names), process)
            cluster.remove_node(node, allow_graceful=False)
            code = process.wait(timeout=500)
            assert code in (0, 1), f"the run ended by {code}"
        finally:
            ray.shutdown()
            cluster.shutdown()
        return {"killed": "a worker, then a node", **self.judge([output])}


def lines(output: Path) -> int:
    """Lines in a folder's ledger."""
    ledger = output / LEDGER_NAME
    return ledger.read_bytes().count(b"\n") if ledger.exists() else 0


def failed_in(output: Path) -> list[str]:
    """The cases that the record names as failed."""
    record = json.loads((output / RECORD_NAME).read_text())
    return [Path(case["input"]).stem for case in record["cases"] if case["error"]]


def workers() -> list[psutil.Process]:
    """Ray's processes that do cases."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any("ray::Worker" in word for word in process.info["cmdline"] or ())
    ]


def wait_for(condition: Callable[[], bool], process: subprocess.Popen) -> None:
    """Wait while the process runs."""
    while not condition() and process.poll() is None:
        time.sleep(0.01)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="a new folder")
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ray", action="store_true")
    options = parser.parse_args()
    trial = Trial(options.output, options.cases, options.seed)
    trials = {"one process": lambda: trial.one_process(options.kills), "8 parts": trial.shards}
    if options.ray:
        trials["ray"] = trial.ray
    wrong = 0
    for name, run in trials.items():
        start = time.perf_counter()
        found = run()
        seconds = time.perf_counter() - start
        wrong += not found["right"]
        shown = ", ".join(f"{key} {value}" for key, value in found.items())
        print(f"{name} ({seconds:.0f} s): {shown}", flush=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
