"""Where triton has no build, its kernels are not imported to look for doctests either."""

from importlib.util import find_spec

collect_ignore_glob = (
    [] if find_spec("triton") else ["src/lightm_unet/ops/triton_*.py", "tests/ops/triton_inter*"]
)
