import pytest

from lightm_unet.errors import DataError, UsageError
from lightm_unet.inference.cases import find_cases


@pytest.fixture
def make_files(tmp_path):
    """Empty files, which is enough: listing cases opens none."""

    def make(*names, folder="in"):
        files = [tmp_path / folder / name for name in names]
        for file in files:
            file.parent.mkdir(exist_ok=True)
            file.touch()
        return files

    return make


def listed(cases):
    return {case.output.name: [file.name for file in case.files] for case in cases}


@pytest.mark.parametrize(
    ("name", "mask"),
    [
        ("a.nii.gz", "a.nii.gz"),
        ("a.nii", "a.nii"),
        ("a.b.nii.gz", "a.b.nii.gz"),
        ("a.png", "a.png"),
        ("a.JPG", "a.png"),
        ("a.tiff", "a.png"),
        ("a.bmp", "a.png"),
        ("a_0000.png", "a.png"),
        ("a_0000.nii.gz", "a.nii.gz"),
        ("IMG_1234.jpg", "IMG_1234.png"),
        ("MCUCXR_0001_0.png", "MCUCXR_0001_0.png"),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_one_file_gives_one_mask_named_after_it(make_files, tmp_path, name, mask, channels):
    make_files(name)
    assert listed(find_cases([tmp_path / "in"], tmp_path / "out", channels)) == {mask: [name]}


def test_channels_of_one_case_are_grouped_in_order(make_files, tmp_path):
    make_files("b_0001.nii.gz", "b_0000.nii.gz", "a_0000.nii.gz", "a_0001.nii.gz")
    assert listed(find_cases([tmp_path / "in"], tmp_path / "out", channels=2)) == {
        "a.nii.gz": ["a_0000.nii.gz", "a_0001.nii.gz"],
        "b.nii.gz": ["b_0000.nii.gz", "b_0001.nii.gz"],
    }


def test_numbered_images_for_a_model_of_one_channel_keep_their_names(make_files, tmp_path):
    make_files("frame_0000.png", "frame_0001.png")
    assert listed(find_cases([tmp_path / "in"], tmp_path / "out", channels=1)) == {
        "frame_0000.png": ["frame_0000.png"],
        "frame_0001.png": ["frame_0001.png"],
    }


def test_a_cameras_numbers_are_not_channels(make_files, tmp_path):
    make_files("IMG_0417.jpg", "IMG_0418.jpg", "IMG_0419.jpg")
    cases = find_cases([tmp_path / "in"], tmp_path / "out", channels=3)
    assert [case.name for case in cases] == ["IMG_0417", "IMG_0418", "IMG_0419"]


def test_a_missing_channel_is_named(make_files, tmp_path):
    make_files("a_0000.nii.gz", "a_0002.nii.gz")
    (case,) = find_cases([tmp_path / "in"], tmp_path / "out", channels=3)
    with pytest.raises(DataError, match="found the channels 0000, 0002 of a; expected 0000, 0001"):
        case.read(channels=3)


def test_a_file_given_twice_is_one_case(make_files, tmp_path):
    (file,) = make_files("a.png")
    assert len(find_cases([file, tmp_path / "in", file], tmp_path / "out", channels=1)) == 1


def test_two_inputs_for_one_mask_are_refused(make_files, tmp_path):
    make_files("a.png", "a.jpg")
    with pytest.raises(UsageError, match=r"a\.jpg and .*a\.png would both write .*a\.png"):
        find_cases([tmp_path / "in"], tmp_path / "out", channels=1)


def test_same_name_in_two_folders_is_refused(make_files, tmp_path):
    make_files("a.png")
    make_files("a.png", folder="more")
    with pytest.raises(UsageError, match="would both write"):
        find_cases([tmp_path / "in", tmp_path / "more"], tmp_path / "out", channels=1)


def test_a_mask_never_replaces_an_input(make_files, tmp_path):
    make_files("a.png")
    with pytest.raises(UsageError, match="would replace an input"):
        find_cases([tmp_path / "in"], tmp_path / "elsewhere" / ".." / "in", channels=1)


def test_no_input_is_refused(tmp_path):
    with pytest.raises(UsageError, match="at least one image"):
        find_cases([], tmp_path / "out", channels=1)


def test_a_missing_input_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.png"):
        find_cases([tmp_path / "nowhere.png"], tmp_path / "out", channels=1)


def test_a_series_is_asked_for_where_no_dicom_is(make_files, tmp_path):
    make_files("a.png", "b.nii.gz")
    with pytest.raises(UsageError, match="series is for DICOM, and none is among the images"):
        find_cases([tmp_path / "in"], tmp_path / "out", 1, series="2")
