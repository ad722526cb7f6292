"""Grey JPEG of 12 bits and lossless JPEG for pydicom, whose own decoders read neither.

pydicom finds this module by the names below, see its guide on decoder plugins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lightm_unet.system.extras import is_installed

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.pixels.decoders.base import DecodeRunner

DECODER_DEPENDENCIES = dict.fromkeys(
    ("1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"),
    ("imagecodecs",),
)
"""JPEG Extended, Lossless, and Lossless of first-order prediction."""
_PLUGIN = "lightm-unet"


def is_available(uid: str) -> bool:
    """Whether the decoder of a transfer syntax can be used."""
    return uid in DECODER_DEPENDENCIES and is_installed("imagecodecs")


def plugin_for(dataset: Dataset) -> str:
    """Register this decoder with pydicom; its name where it is the one to use, else empty."""
    from pydicom.pixels import get_decoder

    syntax = dataset.file_meta.TransferSyntaxUID
    if not is_available(syntax) or dataset.get("SamplesPerPixel") != 1:
        return ""
    decoder = get_decoder(syntax)
    if _PLUGIN not in decoder.available_plugins:
        decoder.add_plugin(_PLUGIN, (__name__, "decode_frame"))
    return _PLUGIN


def decode_frame(source: bytes, runner: DecodeRunner) -> bytearray:
    """One frame's grey levels."""
    import imagecodecs

    levels = imagecodecs.jpeg8_decode(source)
    runner.set_option("bits_allocated", 8 * levels.dtype.itemsize)
    return bytearray(levels.tobytes())
