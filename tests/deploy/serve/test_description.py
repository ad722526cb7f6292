"""What the description promises is what the server does: schemathesis tries it."""

import subprocess
import sys

import pytest

from serving import dark_profile, model, running


@pytest.mark.slow
@pytest.mark.parametrize("token", [None, "0123456789abcdef"])
def test_no_request_makes_it_fail_and_every_answer_is_as_described(token, tmp_path):
    models = model("flat"), model("solid", spatial_dims=3), model("wary", profile=dark_profile())
    words = [sys.executable, "-m", "schemathesis.cli", "run"]
    words += ["--max-examples", "40", "--seed", "1", "--no-color"]
    # Any bytes are a file to the description; most are no image.
    words += ["--exclude-checks", "positive_data_acceptance"]
    if token:
        words += ["--header", f"Authorization: Bearer {token}"]
    with running(*models, token=token, queue=32) as server:
        done = subprocess.run(
            [*words, f"{server.address}/openapi.json"],
            cwd=tmp_path,  # where it keeps notes
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stdout
        statuses = {line.get("status") for line in server.lines()}
        assert statuses >= {200, 405, 415, 422}
        assert not any(status and status >= 500 for status in statuses)
        assert not any(line["level"] == "error" for line in server.lines())
        server.until(lambda: not server.files())
        assert server.is_alive()
