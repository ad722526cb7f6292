"""Which DICOM files form one image: in folders, folders of folders and zip archives."""

import os
import stat
import zipfile
from dataclasses import replace

import numpy as np
import pytest

import dicom_files as dicom
from lightm_unet.errors import DataError
from lightm_unet.imaging.dicom import archive
from lightm_unet.imaging.dicom.archive import Archive
from lightm_unet.imaging.dicom.listing import has_dicom, images_in_archive, images_in_folder
from lightm_unet.imaging.dicom.parse import read_header
from lightm_unet.imaging.image import IMAGE_ENDINGS
from strategies import oriented_affine

GRID = oriented_affine((0, 1, 2), (-1, -1, 1))
RNG = np.random.default_rng(0)


def volume(slices=4):
    return RNG.integers(0, 99, (5, 4, slices), dtype=np.int16)


def picture(**attributes):
    return dicom.radiograph(RNG.integers(0, 99, (6, 7), dtype=np.uint8), **attributes)


def report():
    dataset = dicom.header("CT", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11")
    dataset.Modality = "SR"
    return dataset


def listed(images):
    """Names with how many files, or what is wrong."""
    return {image.name: str(image.problem or len(image.files)) for image in images}


def test_slices_of_a_folder_are_one_image_named_after_it(tmp_path):
    dicom.save_series(tmp_path / "ct", volume(), GRID)
    assert listed(images_in_folder(tmp_path / "ct")) == {"ct": "4"}


def test_files_are_known_by_content_whatever_they_are_called(tmp_path):
    for number, dataset in enumerate(dicom.slices(volume(), GRID)):
        dicom.save(dataset, tmp_path / "ct" / f"CT.1.2.{number}")
    (tmp_path / "ct" / "readme.txt").write_text("no DICOM at all, but long enough to be one" * 9)
    (tmp_path / "ct" / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "ct" / ".hidden.dcm").write_bytes(b"1")
    assert listed(images_in_folder(tmp_path / "ct")) == {"ct": "4"}


def test_each_radiograph_is_an_image_named_after_its_file(tmp_path):
    for name in ("a.dcm", "b.DCM", "c.ima", "d"):
        dicom.save(picture(), tmp_path / name)
    assert listed(images_in_folder(tmp_path)) == {"a": "1", "b": "1", "c": "1", "d": "1"}


def test_the_largest_series_is_taken_and_the_others_are_told(tmp_path, listen):
    dicom.save_series(tmp_path / "a", volume(6), GRID, series="1.2.6", number=6)
    dicom.save_series(tmp_path / "b", volume(4), GRID, series="1.2.4", number=4)
    dicom.save(picture(series="1.2.9", number=9), tmp_path / "c" / "capture.dcm")
    folder = tmp_path / "all"
    folder.mkdir()
    for part in "abc":
        for file in (tmp_path / part).iterdir():
            file.rename(folder / f"{part}{file.name}")
    lines = []
    with listen(lines.append):
        (image,) = images_in_folder(folder)
    assert {file.path.name[0] for file in image.files} == {"a"}
    assert lines == [
        f"{folder}: series 6 (CT, 6 images of 5x4, 1.2.6) is read, the largest; not read: "
        "series 4 (CT, 4 images of 5x4, 1.2.4), series 9 (DX, 1 image of 7x6, 1.2.9); --series "
        "takes another by its number or UID"
    ]
    for wanted, start in (("4", "b"), ("1.2.4", "b"), ("1.2.6", "a"), ("9", "c")):
        (image,) = images_in_folder(folder, wanted)
        assert {file.path.name[0] for file in image.files} == {start}
    (image,) = images_in_folder(folder, "5")
    assert "no series 5, but series 6 (CT" in str(image.problem)


def test_each_study_in_a_folder_gives_an_image(tmp_path):
    for study in ("1.5", "1.6"):
        for file in dicom.save_series(tmp_path / study, volume(), GRID, study=study, series=study):
            file.rename(tmp_path / f"{study}{file.name}")
    assert listed(images_in_folder(tmp_path)) == {
        f"{tmp_path.name}_1": "4",
        f"{tmp_path.name}_2": "4",
    }


def test_folders_of_patients_are_searched_where_there_is_no_image_above_them(tmp_path):
    dicom.save_series(tmp_path / "p1" / "s1", volume(), GRID)
    dicom.save_series(tmp_path / "p1" / "s2", volume(3), GRID)
    dicom.save(picture(), tmp_path / "p2" / "chest.dcm")
    dicom.save(report(), tmp_path / "report.dcm")
    (tmp_path / "round").symlink_to(tmp_path)
    found = listed(images_in_folder(tmp_path))
    assert {name: text for name, text in found.items() if name != "report"} == {
        "p1_s1": "4",
        "p1_s2": "3",
        "p2_chest": "1",
    }
    assert "no images (1 Basic Text SR Storage)" in found["report"]
    assert has_dicom(tmp_path / "p1")
    assert not has_dicom(tmp_path / "p1", (*IMAGE_ENDINGS, ".dcm"))


def test_multi_frame_objects_are_images_of_their_own(tmp_path):
    dicom.save(dicom.enhanced(volume(), GRID), tmp_path / "a.dcm")
    assert listed(images_in_folder(tmp_path)) == {"a": "1"}


def test_what_cannot_be_read_is_named_and_does_not_stop_the_others(tmp_path):
    dicom.save_series(tmp_path, volume(), GRID)
    (tmp_path / "x.dcm").write_bytes(b"no DICOM" * 50)
    (tmp_path / "y.dcm").write_bytes(b"")
    (tmp_path / "z.dcm").symlink_to("nowhere")
    (tmp_path / "w").write_bytes(bytes(128) + b"DICM\x02\0\0\0UL\4\0\xff\xff\xff\xff")
    found = listed(images_in_folder(tmp_path))
    assert found[tmp_path.name] == "4"
    assert "content that is no DICOM" in found["x"]
    assert "an empty file" in found["y"]
    assert "No such file" in found["z"]
    assert found["w"].count("\n") == 0


def zipped(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return path


def test_an_archive_is_read_without_unpacking_it(tmp_path):
    files = {
        f"P/DOE^JANE/IM{n}": dicom.to_bytes(d) for n, d in enumerate(dicom.slices(volume(), GRID))
    }
    files["P/other/chest"] = dicom.to_bytes(picture())
    files["__MACOSX/._IM1"] = b"x"
    files["notes.txt"] = b"notes" * 100
    before = set(tmp_path.iterdir())
    path = zipped(tmp_path / "study.zip", files)
    images = images_in_archive(path)
    assert listed(images) == {"study_1": "4", "study_2": "1"}
    assert set(tmp_path.iterdir()) - before == {path}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("../evil.dcm", "a file named '../evil.dcm'"),
        ("a/../../evil.dcm", "a file named"),
        ("/etc/evil.dcm", "a file named '/etc/evil.dcm'"),
        ("..\\evil.dcm", "a file named"),
        ("C:\\evil.dcm", "a file named"),
    ],
)
def test_archives_with_names_that_lead_out_are_refused(tmp_path, name, found):
    path = zipped(tmp_path / "a.zip", {name: dicom.to_bytes(picture()), "b.dcm": b"1"})
    (image,) = images_in_archive(path)
    assert f"an archive with {found}" in str(image.problem)
    assert "unpack it with a program that you trust" in str(image.problem)


def test_archives_with_links_are_refused(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        info = zipfile.ZipInfo("link.dcm")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(info, "/etc/passwd")
    (image,) = images_in_archive(path)
    assert "an archive with a link, 'link.dcm'" in str(image.problem)


@pytest.mark.parametrize(
    ("limit", "files", "found"),
    [
        ({"harmless_bytes": 2**20}, {"a.dcm": bytes(2**22)}, "4 MB compressed"),
        ({"files": 1}, {"a.dcm": b"1", "b.dcm": b"2"}, "2 files; expected at most 1"),
        ({"file_bytes": 0}, {"a.dcm": b"1"}, "a file of 0 MB"),
        ({"sum_bytes": 1}, {"a.dcm": b"1", "b.dcm": b"2"}, "0 MB"),
    ],
)
def test_archive_bombs_are_refused_by_their_list(tmp_path, monkeypatch, limit, files, found):
    monkeypatch.setattr(archive, "LIMITS", replace(archive.LIMITS, **limit))
    (image,) = images_in_archive(zipped(tmp_path / "a.zip", files))
    assert f"an archive with {found}" in str(image.problem)


def test_a_member_that_unpacks_to_more_than_its_list_says_is_cut_off_there(tmp_path):
    path = zipped(tmp_path / "a.zip", {"a.dcm": b"1" * 5000})
    data = path.read_bytes().replace((5000).to_bytes(4, "little"), (50).to_bytes(4, "little"))
    path.write_bytes(data)
    (file,) = Archive(path).files()
    with pytest.raises(DataError, match="Bad CRC"):
        read_header(file)


def test_damaged_archives_are_one_line(tmp_path):
    path = zipped(tmp_path / "a.zip", {"a.dcm": dicom.to_bytes(picture())})
    data = path.read_bytes()
    for spoiled in (data[:-30], data[:100], data[:60] + b"spoiled!" + data[68:]):
        path.write_bytes(spoiled)
        for image in images_in_archive(path):
            said = str(image.problem)
            assert "damaged archive" in said
            assert "\n" not in said


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a folder without rights")
def test_a_folder_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "a").mkdir(mode=0)
    with pytest.raises(DataError, match="it cannot be read"):
        images_in_folder(tmp_path)
