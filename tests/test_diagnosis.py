"""What `doctor` says."""

from lightm_unet.diagnosis import describe, doctor
from lightm_unet.ops import backends, dispatch


def test_it_names_the_live_backend_and_every_other_one():
    text = "\n".join(describe(doctor()))
    assert f"selective scan on the CPU: {doctor().live_backend}" in text
    assert all(backend.name in text for backend in backends())


def test_a_missing_backend_is_named_with_the_reason_and_the_way_out(monkeypatch):
    monkeypatch.setattr(dispatch, "native", None)
    monkeypatch.setattr(dispatch, "_why_no_native", "no module named _C", raising=False)
    lines = describe(doctor())
    assert "selective scan on the CPU: torch" in lines
    line = next(line for line in lines if "MISSING" in line)
    assert "no module named _C" in line
    assert "C++17 compiler" in line


def test_a_backend_forced_by_the_environment_is_said_to_be(monkeypatch):
    monkeypatch.setenv("LIGHTM_UNET_BACKEND", "torch")
    lines = describe(doctor())
    assert "selective scan on the CPU: torch, set by LIGHTM_UNET_BACKEND" in lines
