"""JPEG: grey frames of 12 bits and lossless ones, which pydicom's own decoders do not read; and
whether a frame of any JPEG holds all of its pixels.

pydicom finds this module by the names below, see its guide on decoder plugins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lightm_unet.imaging.dicom.codestream import END
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
_OTHER_DATA = b"\xaa" * 16


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


def runs_out(stream: bytes) -> bool:
    """Whether a JPEG's data end before its last pixel, although it has its end marker.

    Decoders then go on with zeros. So other bytes in front of the end marker change the picture,
    whereas no decoder looks at them once it has all pixels.
    """
    import imagecodecs

    end = stream.rindex(END)
    longer = stream[:end] + _OTHER_DATA + stream[end:]
    return not np.array_equal(imagecodecs.jpeg8_decode(stream), imagecodecs.jpeg8_decode(longer))
