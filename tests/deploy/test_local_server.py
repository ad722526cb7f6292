import urllib.error
import urllib.request

import pytest

from lightm_unet.deploy.local_server import serve_folder
from lightm_unet.errors import UsageError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "site" / "model").mkdir(parents=True)
    (tmp_path / "site" / "index.html").write_text("the page")
    (tmp_path / "site" / "a.wasm").write_bytes(b"\0asm")
    (tmp_path / "secret.txt").write_text("secret")
    return tmp_path / "site"


def get(address):
    with urllib.request.urlopen(address) as answer:
        return answer.read(), answer.headers


def test_files_come_with_the_headers_that_threads_need(folder):
    with serve_folder(folder) as address:
        content, headers = get(address)
        _, of_wasm = get(f"{address}a.wasm")
    assert content == b"the page"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert of_wasm["Content-Type"] == "application/wasm"


@pytest.mark.parametrize("path", ["model/", "../secret.txt", "%2e%2e/secret.txt", "missing"])
def test_nothing_else_is_served(folder, path):
    with serve_folder(folder) as address, pytest.raises(urllib.error.HTTPError) as refused:
        get(address + path)
    assert refused.value.code == 404
    refused.value.close()


def test_only_this_computer_reaches_it(folder):
    with serve_folder(folder) as address:
        assert address.startswith("http://127.0.0.1:")


def test_a_port_in_use_is_said(folder):
    with serve_folder(folder) as address:
        port = int(address.rstrip("/").rpartition(":")[2])
        with (
            pytest.raises(UsageError, match=f"port {port} cannot be used"),
            serve_folder(folder, port),
        ):
            pass
    with pytest.raises(UsageError, match="port 99999 cannot be used"), serve_folder(folder, 99999):
        pass
