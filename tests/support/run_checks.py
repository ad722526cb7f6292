"""What a training run has left in its folder, and whether two runs have learnt the same."""

import csv

import torch
from safetensors.torch import load_file


def log_of(run):
    with (run / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def results_of(run):
    """The log without what depends on the clock."""
    of_this_process = ("seconds", "peak_memory_mb")
    return [{name: row[name] for name in row if name not in of_this_process} for row in log_of(run)]


def last_weights(run):
    content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    return content["state_dict"]


def model_weights(run):
    return load_file(run / "model" / "model.safetensors")


def assert_same_training(one, other):
    assert results_of(one) == results_of(other)
    for of in (last_weights, model_weights):
        weights, others = of(one), of(other)
        assert weights.keys() == others.keys()
        for name, tensor in weights.items():
            assert torch.equal(tensor, others[name]), name
