"""The case's side: answers to requests, and reasons instead of silence."""

import io
import json

import numpy as np
import pytest
import torch

from lightm_unet.benchmark.bench_case import BenchCase
from lightm_unet.benchmark.onnx_pass import check_agreement
from lightm_unet.benchmark.torch_pass import TorchPass
from lightm_unet.benchmark.worker import serve, take_turn
from lightm_unet.errors import LightMUNetError
from lightm_unet.system.json_codec import to_json

TINY = "lightm-unet:width=4:encoder_layers=[1]:bottleneck_layers=1"


def answers(*requests):
    out = io.StringIO()
    serve(io.StringIO("".join(json.dumps(request) + "\n" for request in requests)), out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def build(network=TINY, **who):
    return {"do": "build", "case": to_json(BenchCase(network, (8, 8), **who))}


@pytest.mark.parametrize("job", ["forward", "train"])
def test_it_builds_and_takes_turns(job):
    built, turn = answers(build(job=job), {"do": "turn", "seconds": 0})
    assert built["parameters"] > 100
    assert len(turn["seconds"]) == 1
    assert turn["peak_bytes"] >= built["idle_bytes"] > 10**7


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (build("no-such-network"), "network must be one of lightm-unet, "),
        (build("lightm-unet:width=0"), "width needs a positive whole number"),
        (build(engine="onnxruntime", job="train"), "in inference on the CPU only"),
        ({"do": "turn", "seconds": 0}, "TypeError"),
    ],
)
def test_what_fails_is_answered_with_its_reason_and_nothing_after_it(request_, reason):
    (answer,) = answers(request_, {"do": "turn", "seconds": 0})
    assert reason in answer["error"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_device_that_is_not_there_is_named():
    (answer,) = answers(build(device="cuda"))
    assert "finds no device 'cuda' here; use --device cpu" in answer["error"]


def test_a_turn_repeats_passes_until_its_time_is_over_one_at_least():
    assert len(take_turn(lambda: None, 0.0)) == 1
    assert len(take_turn(lambda: None, 0.01)) > 1


def test_a_training_step_changes_the_network_and_an_inference_does_not():
    for job, changes in (("train", True), ("forward", False)):
        do_pass = TorchPass(BenchCase(TINY, (8, 8), job=job))
        before = [p.detach().clone() for p in do_pass.network.parameters()]
        do_pass()
        after = do_pass.network.parameters()
        assert changes != all(torch.equal(b, a) for b, a in zip(before, after, strict=True))


def test_an_onnx_form_that_computes_something_else_is_refused():
    logits = np.array([[1.0, -2.0]])
    check_agreement(logits * 1.0009, logits)
    for wrong in (logits * 1.01, logits * np.nan, logits[:, :1]):
        with pytest.raises(LightMUNetError, match="ONNX"):
            check_agreement(wrong, logits)
