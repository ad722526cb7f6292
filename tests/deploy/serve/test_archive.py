"""Zips: nothing leads out of the folder, and nothing grows beyond the limit."""

import io
import re
import stat
import zipfile

import numpy as np
import pytest

import dicom_files as dicom
from lightm_unet.deploy.serve.archive import take_out
from lightm_unet.deploy.serve.problems import Problem
from lightm_unet.deploy.serve.spool import Spool
from serving import nifti, png


@pytest.fixture
def folder():
    spool = Spool(100_000_000)
    folder = spool.new_folder()
    folder.hold()
    yield folder
    folder.let_go()
    spool.close()


def refusal(folder, data, most=10_000_000):
    """Status, and what was found."""
    (folder.path / "upload").write_bytes(data)
    spool = folder.path.parent
    before = set(spool.iterdir())
    with pytest.raises(Problem) as raised:
        take_out(folder.path / "upload", folder, most)
    assert set(spool.iterdir()) == before
    assert not (spool.parent / "x.png").exists()
    return raised.value.kind.status, raised.value.members["found"]


def zipped(*members, packed=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packed) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


def test_members_get_names_of_our_own(folder):
    data = zipped(
        ("__MACOSX/._x.png", b"x"), (".DS_Store", b"x"), ("a/", b""), ("a/CON:.png", png())
    )
    (folder.path / "upload").write_bytes(data)
    (file,) = take_out(folder.path / "upload", folder, 10**7)
    assert (file.parent, file.name) == (folder.path, "channel_0000.png")
    assert file.read_bytes() == png()


def test_channels_are_sorted_by_their_numbers(folder):
    data = zipped(("x_0001.nii.gz", nifti((2, 2, 2))), ("x_0000.nii.gz", nifti((3, 3, 3))))
    (folder.path / "upload").write_bytes(data)
    files = take_out(folder.path / "upload", folder, 10**7)
    assert [file.name for file in files] == ["channel_0000.nii.gz", "channel_0001.nii.gz"]
    assert files[0].read_bytes() == nifti((3, 3, 3))


@pytest.mark.parametrize(
    "name", ["../x.png", "/etc/x.png", "a/../../x.png", "..\\x.png", "C:\\x.png"]
)
def test_names_that_lead_out_of_the_folder(folder, name):
    found = f"a zip with a file named {name!r}"
    assert refusal(folder, zipped((name, png()))) == (422, found)


def test_beside_dicom_texts_are_passed_over_as_by_predict(folder, caplog):
    volume = np.zeros((4, 4, 2), np.int16)
    slices = [dicom.to_bytes(each) for each in dicom.slices(volume, np.eye(4))]
    named = [(f"a/{number}", data) for number, data in enumerate(slices)]
    data = zipped(("README.txt", b"a letter"), *named, ("empty", b""))
    (folder.path / "upload").write_bytes(data)
    with caplog.at_level("INFO"):
        files = take_out(folder.path / "upload", folder, 10**7)
    assert [file.read_bytes() for file in files] == slices
    assert "no images were passed over: 2" in caplog.text


def test_a_text_beside_a_picture_is_named(folder):
    assert refusal(folder, zipped(("README.txt", b"a letter"), ("x.png", png()))) == (415, "a text")


def test_links(folder):
    link = zipfile.ZipInfo("x.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert refusal(folder, zipped((link, "/etc/passwd"))) == (
        422,
        "a zip with a link, 'x.png'",
    )


def test_bombs(folder):
    many_times = zipped(("x.png", bytes(9_000_000)))
    status, found = refusal(folder, many_times)
    assert status == 413
    assert re.fullmatch(r"a zip with 9 MB compressed 1\d\d\d-fold", found)
    assert refusal(folder, zipped(("x.png", png())), most=10) == (413, "a zip with a file of 0 MB")
    nested = zipped(("x.zip", zipped(("x.png", png()))))
    assert refusal(folder, nested) == (422, "a zip within a zip")
    many = zipped(*((f"{number}.png", b"x") for number in range(5001)))
    assert refusal(folder, many) == (422, "a zip with 5001 files")


def test_a_directory_that_would_fill_the_memory(folder):
    many = zipped(*((f"{'x' * 200}{number}.png", b"") for number in range(20_000)))
    assert refusal(folder, many) == (422, "a zip with an enormous directory")


def test_a_member_that_is_larger_than_the_zip_says(folder):
    data = bytearray(zipped(("x.png", bytes(1000) + png()), packed=zipfile.ZIP_STORED))
    place = data.index(b"PK\x01\x02")
    data[place + 20 : place + 28] = (500).to_bytes(4, "little") * 2  # both of its sizes
    assert refusal(folder, bytes(data))[0] == 422


@pytest.mark.parametrize("spoil", ["cut", "bit", "empty", "folders", "password", "start"])
def test_broken_zips(folder, spoil):
    data = bytearray(zipped(("x.png", png()), packed=zipfile.ZIP_STORED))
    if spoil == "cut":
        data = data[:-30]
    elif spoil == "bit":
        data[60] ^= 1
    elif spoil == "empty":
        data = zipped()
    elif spoil == "folders":
        data = zipped(("a/", b""))
    elif spoil == "password":
        data[6] |= 1
        place = data.index(b"PK\x01\x02")
        data[place + 8] |= 1
    elif spoil == "start":
        data = data[:4] + bytes(100)
    assert refusal(folder, bytes(data))[0] == 422
