"""DICOM's pixels to intensities, each frame checked before memory is taken for it.

What is applied: the rescale of the modality, for each frame its own (in CT it gives Hounsfield
units), and MONOCHROME1, in which white is 0. What is not: the window, which only says how a screen
shows the image.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from lightm_unet.errors import DataError, MissingPartError, TooLargeError
from lightm_unet.imaging.dicom import jpeg
from lightm_unet.imaging.dicom.codestream import has_end, stated_size
from lightm_unet.imaging.dicom.frames import Attributes, functional_groups, kind
from lightm_unet.imaging.dicom.parse import broken_is_an_error, count, number, text
from lightm_unet.imaging.dicom_source import BROKEN, DicomFile
from lightm_unet.system.extras import install_command
from lightm_unet.system.logs import log_once

if TYPE_CHECKING:
    from pydicom import Dataset

_log = logging.getLogger(__name__)

MOST_VALUES = 150_000_000
"""Pixels times channels of one frame, as in other pictures."""
PIXEL_NAMES = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_MEANINGS = (
    *("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB"),
    *("YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"),
)
"""What pixels may mean. pydicom gives the numbers of others as they are, whatever their colours."""
_UNITS = ("CT", "PT")
"""Modalities whose values have units, which MONOCHROME1 does not turn."""


def intensities(dataset: Dataset, file: DicomFile) -> Iterator[np.ndarray]:
    """The frames of a data set, in its own order.

    Yields:
        float32 `(channels, rows, columns)`, 1 or 3 channels.

    Raises:
        DataError: no pixels, too few, more than the header says, a transfer syntax or a
            compression that cannot be read.
        MissingPartError: no package reads the compression.
    """
    total = count(dataset, "NumberOfFrames", file, default=1)
    groups = functional_groups(dataset, total, file)
    for index, samples in enumerate(stored_frames(dataset, file)):
        yield _to_intensities(samples, dataset, groups[index], file)


def stored_frames(dataset: Dataset, file: DicomFile) -> Iterator[np.ndarray]:
    """The numbers that are stored, frame by frame: `(rows, columns)` or `(rows, columns, 3)`.

    Raises:
        DataError: as `intensities`.
    """
    from pydicom.pixels import get_decoder

    total = count(dataset, "NumberOfFrames", file, default=1)
    _check_has_pixels(dataset, file)
    syntax = dataset.file_meta.TransferSyntaxUID
    with broken_is_an_error(file):
        try:
            decoder = get_decoder(syntax)
        except NotImplementedError as error:
            raise _unknown_syntax(dataset, file) from error
        plugin = jpeg.plugin_for(dataset)
    _check_pixels(dataset, total, file)
    if not decoder.is_available:
        raise MissingPartError(
            f"{file.shown}: reading {syntax.name} needs a package that is not installed; "
            f"{install_command('dicom')}"
        )
    if number(dataset, "BitsAllocated", file, default=0) == 1 and not syntax.is_encapsulated:
        yield from _single_bits(dataset, total, file)
        return
    done = 0
    frames = decoder.iter_array(dataset, raw=False, decoding_plugin=plugin)
    while done < total:
        with broken_is_an_error(file):
            found = next(frames, None)
        if found is None:
            raise _truncated(f"the pixels of {done} frames", total, file)
        done += 1
        yield found[0]


def _single_bits(dataset: Dataset, total: int, file: DicomFile) -> Iterator[np.ndarray]:
    """Frames of one bit for each pixel. They follow each other without a gap, so that a frame may
    begin within a byte, which pydicom does not read frame by frame."""
    shape = count(dataset, "Rows", file), count(dataset, "Columns", file)
    size, data = shape[0] * shape[1], np.frombuffer(dataset.PixelData, np.uint8)
    for start in range(0, total * size, size):
        first, skipped = divmod(start, 8)
        part = np.unpackbits(data[first : -(-(start + size) // 8)], bitorder="little")
        yield part[skipped : skipped + size].reshape(shape)


def _unknown_syntax(dataset: Dataset, file: DicomFile) -> DataError:
    syntax = dataset.file_meta.TransferSyntaxUID
    return DataError(
        file.shown,
        f"the transfer syntax {syntax.name}",
        "no compression, deflate, RLE, JPEG, JPEG-LS or JPEG 2000",
        "convert it to Explicit VR Little Endian, for example with dcmtk's dcmconv or gdcmconv",
    )


def _truncated(found: str, total: int, file: DicomFile) -> DataError:
    return DataError(file.shown, found, f"those of {total}: it is cut off", BROKEN)


def _check_has_pixels(dataset: Dataset, file: DicomFile) -> None:
    if not any(name in dataset for name in PIXEL_NAMES):
        raise DataError(
            file.shown, f"no pixels ({kind(dataset)})", "an image", "choose the image's own file"
        )


def _check_pixels(dataset: Dataset, total: int, file: DicomFile) -> None:
    """Compare the header with the length of the pixels, before memory is taken."""
    names = [name for name in PIXEL_NAMES if name in dataset]
    rows, columns = count(dataset, "Rows", file), count(dataset, "Columns", file)
    channels = count(dataset, "SamplesPerPixel", file)
    if channels not in (1, 3):
        found = f"{channels} samples for each pixel"
        raise DataError(file.shown, found, "1 or 3", "convert it to grey or RGB")
    values = rows * columns * channels
    if values > MOST_VALUES:
        raise TooLargeError(
            file.shown,
            f"frames of {columns}x{rows} pixels, {values / 1e6:.0f} million values",
            f"at most {MOST_VALUES / 1e6:.0f} million",
            "cut or reduce the image",
        )
    _check_meaning(dataset, names[0], file)
    with broken_is_an_error(file):
        pixels = dataset[names[0]].value or b""
        syntax = dataset.file_meta.TransferSyntaxUID
        compressed = syntax.is_encapsulated
    if not compressed or syntax == "1.2.840.10008.1.2.5":  # RLE packs words as they are
        _check_place_of_bits(dataset, file)
    if compressed:
        _check_compressed(pixels, syntax, total, (rows, columns), file)
        return
    if dataset[names[0]].is_undefined_length:  # in parts, as only compressed pixels are
        raise DataError(
            file.shown,
            "compressed pixels in a file that says they are not",
            "the transfer syntax of the pixels",
            BROKEN,
        )
    default_bits = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}.get(names[0])
    bits = count(dataset, "BitsAllocated", file, default=default_bits)
    if text(dataset, "PhotometricInterpretation") == "YBR_FULL_422":
        values = values * 2 // 3
    needed = (values * total * bits + 7) // 8
    if len(pixels) < needed:
        raise DataError(
            file.shown,
            f"{len(pixels)} bytes of pixels",
            f"{needed} for {total} frame(s) of {columns}x{rows}: it is cut off",
            BROKEN,
        )


def _check_meaning(dataset: Dataset, name: str, file: DicomFile) -> None:
    meaning = text(dataset, "PhotometricInterpretation")
    if meaning not in _MEANINGS:
        raise DataError(
            file.shown,
            f"pixels that mean {meaning or 'nothing that is said'}",
            "grey, a palette, RGB or YBR",
            "convert it to grey or RGB",
        )
    if name != "PixelData":
        return
    allocated, stored = (count(dataset, f"Bits{which}", file) for which in ("Allocated", "Stored"))
    if stored > allocated:
        raise DataError(file.shown, f"the BitsStored {stored}", f"1 to {allocated}", BROKEN)
    sign = number(dataset, "PixelRepresentation", file)
    if sign not in (0, 1):
        raise DataError(file.shown, f"the PixelRepresentation {sign:g}", "0 or 1", BROKEN)


def _check_place_of_bits(dataset: Dataset, file: DicomFile) -> None:
    """Refuse numbers that do not lie at the low end of their words, which pydicom passes over."""
    stored = number(dataset, "BitsStored", file, default=0)
    highest = number(dataset, "HighBit", file, default=stored - 1)
    if stored and highest != stored - 1:
        raise DataError(
            file.shown,
            f"{stored:g} bits stored with the high bit {highest:g}",
            f"the high bit {stored - 1:g}",
            "export the image again: only old files lie so",
        )


def _check_compressed(
    pixels: bytes, syntax: str, total: int, size: tuple[int, int], file: DicomFile
) -> None:
    from pydicom.encaps import generate_frames

    found = 0
    with broken_is_an_error(file):
        for frame in generate_frames(pixels, number_of_frames=total):
            _check_frame(frame, syntax, size, file)
            found += 1
    if found < total:
        raise _truncated(f"{found} compressed frame(s)", total, file)


def _check_frame(frame: bytes, syntax: str, size: tuple[int, int], file: DicomFile) -> None:
    """Refuse a frame of another size than the header's, and one that is cut off."""
    from pydicom.uid import JPEGTransferSyntaxes, RLELossless

    if syntax == RLELossless:  # it states neither, and its decoder counts the pixels
        return
    if not has_end(frame):
        expected = "a whole one: it is cut off"
        raise DataError(file.shown, "a compressed frame without its end", expected, BROKEN)
    stated = stated_size(frame)
    if stated is not None and stated != size:
        raise DataError(
            file.shown,
            f"a compressed frame of {stated[1]}x{stated[0]} pixels",
            f"{size[1]}x{size[0]}, as the header says",
            BROKEN,
        )
    if syntax in JPEGTransferSyntaxes and jpeg.runs_out(frame):
        raise DataError(
            file.shown,
            "a compressed frame that ends before its last pixel",
            "all of its pixels",
            BROKEN,
        )


def _to_intensities(
    samples: np.ndarray, dataset: Dataset, attributes: Attributes, file: DicomFile
) -> np.ndarray:
    """Stored numbers to float32 `(channels, rows, columns)`."""
    from pydicom.pixels import apply_color_lut, apply_modality_lut

    meaning = text(dataset, "PhotometricInterpretation")
    if meaning == "PALETTE COLOR":
        with broken_is_an_error(file):
            samples = apply_color_lut(samples, dataset)
    if samples.ndim == 3:
        return np.moveaxis(samples, -1, 0).astype(np.float32)
    if meaning == "MONOCHROME1" and text(dataset, "Modality") not in _UNITS:
        samples = _turned(samples, dataset, file)
        log_once(
            _log,
            f"MONOCHROME1 in {file.path.parent}",
            f"{file.shown}: white is 0 in it (MONOCHROME1); turned, as a viewer shows it (said "
            "once for all files of this folder)",
        )
    if "ModalityLUTSequence" in dataset:
        with broken_is_an_error(file):
            table = dataset.ModalityLUTSequence[0]
            entries, first, bits = table.LUTDescriptor
            if 8 < bits < 16:  # some write how many bits count; the levels take 16 all the same
                table.LUTDescriptor = [entries, first, 16]
            return apply_modality_lut(samples, dataset)[None].astype(np.float32)
    slope = (attributes.numbers("RescaleSlope", 1) or (1.0,))[0]
    intercept = (attributes.numbers("RescaleIntercept", 1) or (0.0,))[0]
    if slope == 0:
        raise DataError(file.shown, "a rescale slope of 0", "another number", BROKEN)
    if (slope, intercept) == (1, 0):
        return samples[None].astype(np.float32)
    with np.errstate(over="ignore"):  # infinite values are refused later
        return (samples[None].astype(np.float64) * slope + intercept).astype(np.float32)


def _turned(samples: np.ndarray, dataset: Dataset, file: DicomFile) -> np.ndarray:
    """Stored numbers with white at their highest level."""
    if samples.dtype.kind == "f":
        return -samples
    bits = count(dataset, "BitsStored", file)
    signed = number(dataset, "PixelRepresentation", file, default=0) == 1
    highest = -1 if signed else 2**bits - 1
    return highest - samples.astype(np.int64)
