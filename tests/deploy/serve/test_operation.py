"""What operators see: models, health, metrics, the description, the log; start and end."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import pytest
import torch

from lightm_unet.deploy import page
from lightm_unet.deploy.serve.served_models import load_served_models
from lightm_unet.deploy.serve.server import checked, shared_out
from lightm_unet.deploy.serve.settings import ServeSettings
from lightm_unet.deploy.serve.spool import PREFIX, Spool
from lightm_unet.errors import UsageError
from serving import model, png, running


def lungs():
    return load_served_models(["lungs"], torch.device("cpu"), 10**9)


@pytest.fixture(scope="module")
def server():
    with running(model("flat"), model("solid", spatial_dims=3)) as server:
        yield server


def test_models_are_described(server):
    answer = server.client.get("/v1/models").json()
    assert (answer["server"], answer["most_upload_bytes"]) == ("lightm-unet", 1_000_000)
    assert [each["name"] for each in answer["models"]] == ["flat", "solid"]
    assert answer["models"][0]["labels"][1] == {"value": 1, "name": "lung", "colour": "#e69f00"}


def test_metrics_count_requests_and_work(server):
    before = counters(server)
    server.predict(png(), model="flat")
    server.predict(b"text", model="flat")
    after = counters(server)
    for key in (
        'lightm_unet_requests_total{method="POST",route="/v1/predict",status="200"}',
        'lightm_unet_requests_total{method="POST",route="/v1/predict",status="415"}',
        'lightm_unet_work_seconds_count{model="flat"}',
    ):
        assert after[key] - before.get(key, 0) == 1
    assert after["lightm_unet_upload_bytes_total"] > before["lightm_unet_upload_bytes_total"]
    assert after["lightm_unet_places"] == 5


def counters(server):
    text = server.client.get("/metrics").text
    pairs = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def test_clients_cannot_fill_metrics_or_log_with_names_of_their_own(server):
    server.client.get("/MUSTERMANN")
    server.client.request("MUSTER", "/health")
    assert "MUSTER" not in server.client.get("/metrics").text + server.log.getvalue()
    assert {line["route"] for line in server.lines()} <= {
        "/",
        "/health",
        "/v1/models",
        "/metrics",
        "other",
        "/v1/predict",
    }


def test_wrong_methods_name_the_right_ones(server):
    response = server.client.get("/v1/predict")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert response.headers["content-type"] == "application/problem+json"


def test_the_description_has_examples_and_no_foreign_host(server):
    description = server.client.get("/openapi.json").json()
    predict = description["paths"]["/v1/predict"]["post"]
    assert predict["responses"]["200"]["content"]["application/json"]["example"]["labels"]
    assert set(predict["responses"]) == set(
        ["200", "400", "403", "408", "413", "415", "421", "422", "429", "500", "503", "504"]
    )
    for status, response in predict["responses"].items():
        if status != "200":
            assert list(response["content"]) == ["application/problem+json"]
    assert "securitySchemes" not in description["components"]
    for path in ("/docs", "/redoc"):
        assert server.client.get(path).status_code == 404


def test_the_description_asks_for_the_token():
    with running(model("flat"), token="x" * 16) as server:
        description = server.client.get("/openapi.json").json()
    assert description["paths"]["/v1/models"]["get"]["security"] == [{"token": []}]
    assert "401" in description["paths"]["/metrics"]["get"]["responses"]
    assert "security" not in description["paths"]["/health"]["get"]


def test_without_the_page_the_root_says_where_to_look(monkeypatch, tmp_path):
    monkeypatch.setattr(page, "SITE", tmp_path / "not built")
    with running(*lungs().values()) as server:
        assert server.client.get("/").json()["models"] == "/v1/models"


def test_the_page_comes_with_its_model_and_the_headers_that_threads_need(monkeypatch, tmp_path):
    for name, text in (("index.html", "<title>{{title}}"), ("sw.js", ""), ("build.json", "{}")):
        (tmp_path / name).write_text(text)
    (tmp_path / "engine.wasm").write_bytes(b"\0asm")
    monkeypatch.setattr(page, "SITE", tmp_path)
    served = lungs()["lungs"]
    with running(served, model("solid", spatial_dims=3)) as server:
        shown = server.client.get("/")
        assert (shown.status_code, shown.headers["content-type"][:9]) == (200, "text/html")
        assert "<title>" in shown.text
        assert "{{" not in shown.text
        assert shown.headers["cross-origin-opener-policy"] == "same-origin"
        assert shown.headers["cross-origin-embedder-policy"] == "require-corp"
        assert "connect-src 'self'" in shown.headers["content-security-policy"]
        assert "http" not in shown.headers["content-security-policy"]
        assert server.client.get("/page/lungs/").text == shown.text
        for place in ("/", "/page/lungs/"):
            weights = server.client.get(f"{place}model/model.safetensors")
            assert weights.content == (served.folder.path / "model.safetensors").read_bytes()
        wasm = server.client.get("/engine.wasm")
        assert wasm.headers["content-type"] == "application/wasm"
        assert server.client.get("/v1/predict").status_code == 405
        for path in ("/nothing", "/../settings.py", "/%2e%2e/settings.py", "/page/solid/"):
            assert server.client.get(path).status_code == 404


def test_settings_that_cannot_be_used():
    for name, value in (
        ("port", 70_000),
        ("workers", 0),
        ("threads", 1.5),
        ("queue", -1),
        ("timeout", 0),
        ("upload_mb", 0),
        ("memory_gb", float("nan")),
    ):
        with pytest.raises(UsageError, match=name):
            checked(ServeSettings(**{name: value}))


def test_workers_and_threads_share_the_cores():
    assert shared_out(None, None, "cpu", 2) == (2, 1)
    assert shared_out(None, 2, "cpu", 8) == (4, 2)
    assert shared_out(2, None, "cpu", 8) == (2, 4)
    assert shared_out(None, None, "cuda", 8) == (1, 8)


@pytest.mark.slow
def test_models_are_loaded_once_and_need_memory():
    import torch

    device = torch.device("cpu")
    loaded = load_served_models(["lungs"], device, 10**9)
    assert loaded["lungs"].describe()["purpose"] == "the lungs in frontal chest X-rays"
    assert "no medical device" in loaded["lungs"].describe()["card"]
    assert loaded["lungs"].most_values > 5_000_000
    with pytest.raises(UsageError, match="two models are called lungs"):
        load_served_models(["lungs", "lungs"], device, 10**9)
    with pytest.raises(UsageError, match="at least one model"):
        load_served_models([], device, 10**9)
    with pytest.raises(UsageError, match="set a larger memory_gb"):
        load_served_models(["lungs"], device, 10**7)


def test_a_folder_of_a_server_that_was_killed_is_removed_and_no_other():
    parent = Path(tempfile.gettempdir())
    abandoned, other = parent / f"{PREFIX}abandoned", parent / f"{PREFIX}other"
    for folder in (abandoned, other):
        folder.mkdir(exist_ok=True)
    (abandoned / "lock").touch()
    living = Spool(1000)
    another = Spool(1000)
    assert not abandoned.exists()
    assert living.folder.exists()
    assert other.exists()  # without a lock it is none of ours
    other.rmdir()
    living.close()
    another.close()


@pytest.mark.slow
def test_the_command_from_start_to_end(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    words = [sys.executable, "-m", "lightm_unet", "serve", "lungs", "--port", "0"]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            address = process.stdout.readline().split()[0]
            assert httpx.get(f"{address}/health").json()["models"] == ["lungs"]
            answer = httpx.post(
                f"{address}/v1/predict", files={"image": png()}, data={"response": "json"}
            )
            assert answer.json()["model"]["name"] == "lungs"
            assert len(list(tmp_path.glob(f"{PREFIX}*"))) == 1
        finally:
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGTERM
    lines = [json.loads(line) for line in errors.splitlines()]
    assert [line["status"] for line in lines if line["event"] == "request"] == [200, 200]
    assert list(tmp_path.glob(f"{PREFIX}*")) == []


@pytest.mark.slow
def test_a_port_that_is_taken_and_a_missing_model_are_one_line(run):
    with running(model("flat")) as server:
        code, _, error = run("serve", "--port", server.port)
        assert (code, error.count("\n")) == (2, 1)
        assert "choose another --port" in error
    assert run("serve", "nowhere", "--port", 0)[0] == 2
    code, _, error = run("serve", "--host", "0.0.0.0", "--port", 0)
    assert code == 2
    assert "needs a token" in error
