"""The page that segments images in a browser: as a folder for any web server, or as one file.

page/ has its sources; what `make page` builds from them lies in site/, beside this module. An
export adds the model: its files as they are, byte for byte, so float16 weights stay float16.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import zlib
from pathlib import Path

from lightm_unet.deploy.engine_limits import refuse_unless_runs
from lightm_unet.deploy.model_card import card_html
from lightm_unet.deploy.writer import Exported
from lightm_unet.errors import MissingPartError, UsageError
from lightm_unet.models.model_folder import CARD, WEIGHTS, ModelFolder
from lightm_unet.system.files import new_folder, read_bytes, refuse_used, write_bytes

SITE = Path(__file__).parent / "site"
"""The built page, without a model."""
BUILD = "build.json"
"""What the built page was made from."""
INDEX, ONE_FILE, SERVICE_WORKER = "index.html", "one_file.html", "sw.js"


def check_folder(output: Path) -> None:
    """Refuse an output that the page's folder cannot become.

    Raises:
        UsageError: something is there already.
        MissingPartError: the page has not been built.
    """
    _require_built()
    refuse_used(output)


def check_file(output: Path) -> None:
    """Refuse an output that the page's one file cannot become.

    Raises:
        UsageError: another ending than .html.
        MissingPartError: the page has not been built.
    """
    _require_built()
    if output.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{output}: expected a name ending in .html, so that browsers open it")


def write_folder(model: ModelFolder, output: Path) -> Exported:
    """Write the page and a model as a static folder, all or nothing.

    Args:
        model: a LightM-UNet that the engine runs.
        output: must not exist, or be an empty folder.

    Raises:
        UsageError: the engine cannot run the model; something is at `output` already.
    """
    files = page_files(model)
    with new_folder(output) as folder:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return Exported(output, sum(map(len, files.values())), _checked(files[f"model/{WEIGHTS}"]))


def write_file(model: ModelFolder, output: Path) -> Exported:
    """Write the page and a model of flat images as one HTML file, which opens from a disk.

    Raises:
        UsageError: a model of volumes; the engine cannot run the model.
    """
    refuse_unless_runs(model)
    if model.preprocessing.spatial_dims != 2:
        raise UsageError(
            f"{model.path}: one file is for models of flat images, and this one segments volumes, "
            "whose viewer is several files; use --format web"
        )
    weights = read_bytes(model.path / WEIGHTS)
    blocks = {CARD: read_bytes(model.path / CARD), WEIGHTS: weights}
    # A page from a disk is never given threads.
    for path in sorted((SITE / "engine").glob("*.wasm")):
        if "threads" not in path.stem:
            blocks[path.name] = path.read_bytes()
    page = _filled((SITE / ONE_FILE).read_text("utf-8"), model)
    content = page.replace("{{blocks}}", "\n    ".join(map(_block, blocks, blocks.values())))
    write_bytes(content.encode(), output)
    return Exported(output, len(content.encode()), _checked(weights))


def _require_built() -> None:
    if not (SITE / BUILD).is_file():
        raise MissingPartError(
            "the browser page has not been built; run `make page` in a checkout of the repository"
        )


def page_files(model: ModelFolder, server_name: str = "") -> dict[str, bytes]:
    """Every file of the folder by its path in it.

    Args:
        model: a LightM-UNet that the engine runs.
        server_name: what a server that runs the model too calls it; empty without such a server.

    Raises:
        UsageError: the engine cannot run the model.
        MissingPartError: the page has not been built.
    """
    _require_built()
    refuse_unless_runs(model)
    names = [path.relative_to(SITE).as_posix() for path in SITE.rglob("*") if path.is_file()]
    left_out = (BUILD, ONE_FILE, SERVICE_WORKER)
    files = {name: (SITE / name).read_bytes() for name in sorted(names) if name not in left_out}
    files[INDEX] = _filled(files[INDEX].decode(), model, server_name).encode()
    for name in (CARD, WEIGHTS, "README.md"):
        if (path := model.path / name).is_file():
            files[f"model/{name}"] = read_bytes(path)
    files[SERVICE_WORKER] = _service_worker(files)
    return files


def _service_worker(files: dict[str, bytes]) -> bytes:
    """The service worker with what it keeps: other files make another version of it."""
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    site = json.dumps({"version": digest.hexdigest()[:16], "files": list(files)})
    return f"const SITE = {site};\n".encode() + (SITE / SERVICE_WORKER).read_bytes()


def _filled(page: str, model: ModelFolder, server_name: str = "") -> str:
    """A page with the model's card, a title that shows before anything is loaded, and its server's
    name for the model."""
    about = model.card.get("about", {})
    title = html.escape(str(about.get("purpose", ", ".join(model.label_names[1:]))))
    page = page.replace("{{server}}", html.escape(server_name))
    return page.replace("{{card}}", card_html(model)).replace("{{title}}", title)


def _block(name: str, content: bytes) -> str:
    """Bytes within the page, which page/src/app/site.ts reads."""
    text = base64.b64encode(zlib.compress(content, 9)).decode()
    return f'<script type="application/zlib" data-name="{name}">{text}</script>'


def _checked(weights: bytes) -> str:
    return (
        f"weights as they are in the model, SHA-256 {hashlib.sha256(weights).hexdigest()[:12]}..."
    )
