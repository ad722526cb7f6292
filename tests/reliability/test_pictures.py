"""Pictures are read with every level, as one rule says, or refused by name."""

import json
import re
import struct
import zlib

import numpy as np
import png
import pytest
import tifffile
from PIL import Image as Picture

import lightm_unet
from faults import fault
from lightm_unet.errors import DataError
from lightm_unet.imaging.image import read_image, read_labels, read_mask
from lightm_unet.system.logs import forget_remarks

LABELS = np.zeros((6, 8), np.uint16)
LABELS[1:3, 1:4], LABELS[4:, 5:] = 1, 2


def write_png(path, array, bits):
    height, width, samples = array.shape
    writer = png.Writer(
        width, height, greyscale=samples < 3, alpha=samples in (2, 4), bitdepth=bits
    )
    with path.open("wb") as file:
        writer.write(file, array.reshape(height, -1).tolist())
    return path


def write_tiff(path, array, **options):
    tifffile.imwrite(path, array, **options)
    return path


def paletted(indices, palette, path):
    picture = Picture.fromarray(np.asarray(indices, np.uint8)).convert("P")
    picture.putpalette(np.asarray(palette, np.uint8).ravel().tolist())
    picture.save(path)
    return path


def outcome(read, path):
    """What was read, or the sentence of the refusal between "found" and "expected"."""
    try:
        return read(path)
    except DataError as error:
        return error.found


def verdict(expected, paths, read=lambda path: read_labels(path)[0]):
    """`all right`, or the names of the files that gave something else."""
    found = {path.name: outcome(read, path) for path in paths}
    wrong = [
        name
        for name, one in found.items()
        if isinstance(one, str) or one.shape != expected.shape or (one != expected).any()
    ]
    return f"wrong: {', '.join(wrong)}" if wrong else f"all {len(paths)} right"


@fault(
    "Pictures",
    "labels 0, 1, 2 in 16-bit RGB, RGBA and grey + alpha PNG, and in 16-bit RGB TIFF, planar too",
    "all 5 right",
)
def test_sixteen_bits_keep_their_low_byte(tmp_path):
    colour, opaque = np.repeat(LABELS[..., None], 3, axis=2), np.full((6, 8, 1), 65535, np.uint16)
    return verdict(
        LABELS,
        [
            write_png(tmp_path / "rgb.png", colour, 16),
            write_png(tmp_path / "rgba.png", np.concatenate([colour, opaque], axis=2), 16),
            write_png(
                tmp_path / "grey_alpha.png", np.concatenate([LABELS[..., None], opaque], 2), 16
            ),
            write_tiff(tmp_path / "rgb.tif", colour, photometric="rgb"),
            write_tiff(
                tmp_path / "planar.tif",
                np.moveaxis(colour, 2, 0),
                photometric="rgb",
                planarconfig="separate",
            ),
        ],
    )


@fault(
    "Pictures",
    "a 12-bit image in 16-bit TIFF: grey, RGB, planar; none, LZW and deflate; strips and tiles",
    "4096 levels in each of 24 files",
)
def test_all_levels_are_kept(tmp_path):
    levels, files = np.arange(4096, dtype=np.uint16).reshape(64, 64), []
    forms = (
        (levels, {"photometric": "minisblack"}),
        (np.stack([levels] * 3, -1), {"photometric": "rgb", "planarconfig": "contig"}),
        (np.stack([levels] * 3), {"photometric": "rgb", "planarconfig": "separate"}),
        (levels, {"photometric": "minisblack", "byteorder": ">"}),
    )
    for array, options in forms:
        for compression in (None, "lzw", "zlib"):
            for layout in ({}, {"tile": (32, 32)}):
                path = tmp_path / f"{len(files)}.tif"
                options = {**options, **layout, "compression": compression}
                files.append(write_tiff(path, array, predictor=compression is not None, **options))
    counts = {len(np.unique(read_image(path).array)) for path in files}
    right = all((read_image(path).array == levels).all() for path in files)
    return f"{counts.pop()} levels in each of {len(files)} files" if right else str(counts)


@fault(
    "Pictures",
    "one mask as PNG and as two kinds of TIFF, with each of the eight orientation notes",
    "Dice 1 of all 24 pairs; a line of the log says that the note is not followed",
)
def test_a_note_on_orientation_changes_no_mask(tmp_path, listen):
    mask, dice, lines = np.zeros((20, 20), np.uint8), [], []
    mask[2:9, 2:7] = 1
    plain = tmp_path / "plain.png"
    Picture.fromarray(mask).save(plain)
    with listen(lines.append):
        for orientation in range(1, 9):
            exif = Picture.Exif()
            exif[274] = orientation
            turned = [tmp_path / f"{orientation}.{ending}" for ending in ("png", "tif", "lzw.tif")]
            Picture.fromarray(mask).save(turned[0], exif=exif)
            Picture.fromarray(mask).save(turned[1], tiffinfo={274: orientation})
            Picture.fromarray(mask).save(
                turned[2], tiffinfo={274: orientation}, compression="tiff_lzw"
            )
            for path in turned:
                forget_remarks()
                lines.clear()
                dice.append(lightm_unet.evaluate(path, plain).mean("dice"))
                said = any("pixels are stored" in line for line in lines)
                if said != (orientation > 1):
                    return f"orientation {orientation}: said {said}"
    one = f"Dice {min(dice):.0f} of all {len(dice)} pairs"
    return f"{one}; a line of the log says that the note is not followed"


@fault(
    "Pictures",
    "a grey label map stored with a palette of greys in any order: PNG, TIFF, BMP",
    "all 3 right",
)
def test_grey_palettes_give_greys(tmp_path):
    order = np.random.default_rng(0).permutation(256)
    palette = np.repeat(np.argsort(order)[:, None], 3, axis=1)
    paths = [tmp_path / f"a.{ending}" for ending in ("png", "tif", "bmp")]
    return verdict(LABELS, [paletted(order[LABELS], palette, path) for path in paths])


@fault(
    "Pictures",
    "a black-and-white mask stored with a palette, white first and black first: PNG, TIFF, BMP",
    "all 6 right",
)
def test_black_and_white_palettes_give_0_and_1(tmp_path):
    mask, paths = (LABELS > 0).astype(np.uint8), []
    for ending in ("png", "tif", "bmp"):
        paths.append(paletted(mask, [[0] * 3, [255] * 3], tmp_path / f"black_first.{ending}"))
        paths.append(paletted(1 - mask, [[255] * 3, [0] * 3], tmp_path / f"white_first.{ending}"))
    return verdict(mask, paths)


@fault(
    "Pictures",
    "a label map stored as the indices of a coloured palette: PNG, TIFF, BMP",
    "all 3 right",
)
def test_coloured_palettes_give_indices(tmp_path):
    palette = [[0, 0, 0], [255, 0, 0], [0, 0, 255]]
    paths = [tmp_path / f"a.{ending}" for ending in ("png", "tif", "bmp")]
    return verdict(LABELS, [paletted(LABELS, palette, path) for path in paths])


@fault(
    "Pictures",
    "a label map as JPEG, as JPEG named .png, as MPO, and as JPEG within TIFF",
    "4 refused: JPEG compression changes label values",
)
def test_lossy_label_maps_are_refused(tmp_path):
    picture = Picture.fromarray(LABELS.astype(np.uint8))
    picture.save(tmp_path / "a.jpg")
    picture.save(tmp_path / "b.png", "JPEG")
    picture.save(tmp_path / "c.jpg", "MPO", save_all=True, append_images=[picture])
    picture.save(tmp_path / "d.tif", compression="jpeg")
    found = [str(outcome(read_mask, path)) for path in sorted(tmp_path.iterdir())]
    refused = sum("JPEG compression" in one and "changes label values" in one for one in found)
    return f"{refused} refused: JPEG compression changes label values"


@fault(
    "Pictures",
    "a mask whose labels lie in the opacity, or that is transparent anywhere: PNG and TIFF",
    "4 refused: transparent pixels",
)
def test_labels_in_the_opacity_are_refused(tmp_path):
    black, labels = np.zeros((6, 8), np.uint8), LABELS.astype(np.uint8)
    one_clear = np.full_like(black, 255)
    one_clear[0, 0] = 0
    files = {
        "labels.png": np.stack([black, black, black, 255 * (labels > 0)], -1),
        "clear.png": np.stack([labels, labels, labels, one_clear], -1),
        "grey.png": np.stack([labels, one_clear], -1),
        "clear.tif": np.stack([labels, labels, labels, one_clear], -1),
    }
    for name, array in files.items():
        Picture.fromarray(array.astype(np.uint8)).save(tmp_path / name)
    found = [str(outcome(read_mask, tmp_path / name)) for name in files]
    return f"{sum('transparent pixels' in one for one in found)} refused: transparent pixels"


@fault(
    "Pictures",
    "a TIFF in which white is 0, of 1, 8 and 16 bits",
    "an image as a viewer shows it, labels as they are stored; one line says so",
)
def test_white_at_zero(tmp_path, listen):
    for dtype in (bool, np.uint8, np.uint16):
        array, lines = LABELS.astype(dtype), []
        path = write_tiff(tmp_path / "a.tif", array, photometric="miniswhite")
        shown = (1 if dtype is bool else np.iinfo(dtype).max) - array.astype(int)
        forget_remarks()
        with listen(lines.append):
            labels = read_labels(path)[0]
        if (read_image(path).array[0] != shown).any() or (labels != array).any() or len(lines) != 1:
            return f"another one, of {np.dtype(dtype)}"
    return "an image as a viewer shows it, labels as they are stored; one line says so"


@fault(
    "Pictures",
    "CMYK, 5 channels, several pages, an animation, 16-bit BMP, an unknown packing, a GIF",
    "7 refused by name",
)
def test_what_cannot_be_kept_is_refused_by_name(tmp_path):
    grey = LABELS.astype(np.uint8)
    colour = Picture.fromarray(np.stack([grey] * 3, -1))
    colour.convert("CMYK").save(tmp_path / "a.tif")
    channels = np.zeros((6, 8, 5), np.uint8)
    write_tiff(tmp_path / "b.tif", channels, photometric="minisblack", planarconfig="contig")
    write_tiff(tmp_path / "c.tif", np.zeros((3, 60, 80), np.uint8), photometric="minisblack")
    frames = [Picture.fromarray(np.full((6, 8), value, np.uint8)) for value in (1, 2)]
    frames[0].save(tmp_path / "d.png", save_all=True, append_images=frames[1:])
    head = struct.pack(
        "<2sIHHIIiiHHIIiiII", b"BM", 86, 0, 0, 54, 40, 4, 4, 1, 16, 0, 32, 0, 0, 0, 0
    )
    (tmp_path / "e.bmp").write_bytes(head + bytes(32))
    write_tiff(tmp_path / "f.tif", grey, compression="zstd")
    frames[0].save(tmp_path / "g.png", "GIF")
    words = ("CMYK", "5 samples", "3 frames", "2 frames", "16 bits", "ZSTD", "a GIF")
    found = [str(outcome(read_image, path)) for path in sorted(tmp_path.iterdir())]
    return f"{sum(word in one for word, one in zip(words, found, strict=True))} refused by name"


@fault(
    "Pictures",
    "200 million pixels in a PNG of 25 kB; pixel data that inflate to 100 MB for 5x5 pixels",
    "refused, refused",
)
def test_bombs_are_refused(tmp_path):
    def chunk(kind, content):
        crc = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + crc

    for name, size, amount in (("a", (20_000, 10_000), 25_000_000), ("b", (5, 5), 100_000_000)):
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8 if name == "b" else 1, 0, 0, 0, 0))
        pixels = chunk(b"IDAT", zlib.compress(bytes(amount)))
        content = b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")
        (tmp_path / f"{name}.png").write_bytes(content)
    found = [outcome(read_image, tmp_path / f"{name}.png") for name in "ab"]
    return ", ".join("refused" if isinstance(one, str) else "read" for one in found)


@fault(
    "Pictures",
    "a PNG with one wrong bit, or with fewer rows than its header says, or cut short",
    "3 refused: a broken picture",
)
def test_broken_pngs_are_refused(tmp_path):
    path = tmp_path / "a.png"
    Picture.fromarray(LABELS.astype(np.uint8)).save(path)
    data = path.read_bytes()
    flipped, taller = bytearray(data), bytearray(data)
    flipped[len(data) // 2] ^= 4
    taller[20:24] = struct.pack(">I", 7)
    taller[29:33] = struct.pack(">I", zlib.crc32(taller[12:29]))
    refused = 0
    for spoilt in (flipped, taller, data[: len(data) // 2]):
        path.write_bytes(spoilt)
        refused += "a broken picture" in str(outcome(read_image, path))
    return f"{refused} refused: a broken picture"


@pytest.mark.slow
@fault(
    "Pictures",
    "X-rays stored in colour with equal channels, for a model of one channel",
    "check-dataset, train, predict, evaluate end with 0, 0, 0, 0; one line of each run says that "
    "they are read as grey",
)
def test_grey_stored_in_colour_works_in_every_command(run, tmp_path):
    root, run_folder, masks = tmp_path / "data", tmp_path / "run", tmp_path / "masks"
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True)
    for index in range(5):
        labels = np.zeros((32, 32), np.uint8)
        labels[4 + index : 20, 6:18] = 1
        image = np.repeat((60 + 120 * labels)[..., None], 3, axis=2)
        Picture.fromarray(image).save(root / "imagesTr" / f"case_{index}_0000.png")
        Picture.fromarray(labels).save(root / "labelsTr" / f"case_{index}.png")
    (root / "dataset.json").write_text(
        json.dumps(
            {
                "channel_names": {"0": "X-ray"},
                "labels": {"background": 0, "square": 1},
                "numTraining": 5,
                "file_ending": ".png",
            }
        )
    )
    tiny = ("--size", "32x32", "--epochs", 1, "--network", "lightm-unet:width=4", "--device", "cpu")
    results = [
        run("check-dataset", root),
        run("train", root, "--output", run_folder, *tiny),
        run("predict", run_folder, root / "imagesTr", "--output", masks, "--device", "cpu"),
    ]
    (root / "labelsTr" / "case_0.png").replace(tmp_path / "case_0.png")
    results.append(run("evaluate", masks / "case_0.png", tmp_path / "case_0.png"))
    codes = ", ".join(str(code) for code, _, _ in results)
    lines = [len(re.findall("read as grey", error)) for _, _, error in results[:3]]
    said = "one line of each run says" if lines == [1, 1, 1] else f"{lines} lines say"
    ends = f"check-dataset, train, predict, evaluate end with {codes}"
    return f"{ends}; {said} that they are read as grey"


@fault(
    "Pictures",
    "a colour photograph for a model of one channel",
    "refused: a colour picture, 3 channels that differ; convert it to grey",
)
def test_colour_for_one_channel_is_refused_with_the_remedy(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Picture.fromarray(array).save(tmp_path / "a.png")
    with pytest.raises(DataError) as caught:
        read_image(tmp_path / "a.png", channels=1)
    return f"refused: {caught.value.found}; {caught.value.advice.split(',')[0]}"
