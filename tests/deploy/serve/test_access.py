"""Who may ask a server, and how its answers are protected."""

import pytest

from lightm_unet.deploy.serve.token import VARIABLE, read_token
from lightm_unet.errors import DataError, UsageError
from serving import model, png, running

TOKEN = "0123456789abcdef"


@pytest.fixture(scope="module")
def open_server():
    with running(model("flat")) as server:
        yield server


@pytest.fixture(scope="module")
def guarded():
    with running(model("flat"), token=TOKEN) as server:
        yield server


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8000", "[::1]:8000", "LOCALHOST"])
def test_names_of_this_computer(open_server, host):
    assert open_server.client.get("/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[", "localhost@x"])
def test_other_names_are_refused_against_dns_rebinding(open_server, host):
    response = open_server.client.get("/v1/models", headers={"host": host})
    assert (response.status_code, response.json()["status"]) == (421, 421)


def test_pages_of_other_sites_are_refused(open_server):
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        assert open_server.predict(png(), {"origin": origin}).status_code == 403
    assert open_server.predict(png(), {"origin": open_server.address}).status_code == 200
    response = open_server.client.get("/v1/models")
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    "authorization", [None, "", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer", "Bearer é"]
)
def test_without_the_token_nothing_is_told(guarded, authorization):
    headers = {} if authorization is None else {"authorization": authorization.encode()}
    for method, path in (("GET", "/v1/models"), ("GET", "/metrics"), ("POST", "/v1/predict")):
        response = guarded.client.request(method, path, headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Bearer")
    assert TOKEN not in guarded.log.getvalue()


def test_with_the_token_any_host_and_origin_is_served(guarded):
    headers = {"authorization": f"bearer {TOKEN}", "host": "clinic.example"}
    assert guarded.client.get("/v1/models", headers=headers).status_code == 200
    headers["origin"] = "https://clinic.example"
    assert guarded.predict(png(), headers).status_code == 200


def test_health_answers_to_head(guarded):
    for path in ("/health", "/health/ready"):
        response = guarded.client.head(path)
        assert (response.status_code, response.content) == (200, b"")


def test_health_needs_no_token(guarded):
    assert guarded.client.get("/health").status_code == 200
    assert guarded.client.get("/health/ready").status_code == 200


def test_every_answer_has_a_number_and_is_kept_from_other_sites(open_server):
    for path in ("/health", "/v1/models", "/nothing", "/openapi.json"):
        headers = open_server.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert len(headers["x-request-id"]) == 16


def test_other_addresses_need_a_token(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    for host in ("127.0.0.1", "::1", "localhost"):
        assert read_token(None, host) is None
    with pytest.raises(UsageError, match=r"needs a token.*--token-file"):
        read_token(None, "0.0.0.0")


def test_a_token_from_a_file_or_the_environment(monkeypatch, tmp_path, listen):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\nsecond line\n")
    file.chmod(0o600)
    monkeypatch.setenv(VARIABLE, "from the environment")
    said = []
    with listen(said.append):
        assert read_token(file, "0.0.0.0") == TOKEN
        assert said == []
        file.chmod(0o644)
        assert read_token(file, "0.0.0.0") == TOKEN
    assert "other users" in said[0]
    monkeypatch.setenv(VARIABLE, TOKEN[::-1])
    assert read_token(None, "127.0.0.1") == TOKEN[::-1]


@pytest.mark.parametrize(
    "text", ["", "short", "with a blank in it", "ünïcödé-ünïcödé-ünïcödé", "\n" * 20]
)
def test_weak_tokens_are_refused(text, tmp_path):
    (tmp_path / "token").write_text(text)
    with pytest.raises(UsageError, match="expected at least 16"):
        read_token(tmp_path / "token", "127.0.0.1")
    (tmp_path / "token").unlink()
    with pytest.raises(DataError):
        read_token(tmp_path / "token", "127.0.0.1")
