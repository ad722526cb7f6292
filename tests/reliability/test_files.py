"""Files that cannot be used end in one line."""

from faults import fault


@fault(
    "Files",
    "a text file named `image.nii.gz`",
    "exit code 3, one line that names the file",
)
def test_rubbish_is_named(run, tmp_path):
    (tmp_path / "image.nii.gz").write_text("rubbish")
    code, _, error = run("evaluate", tmp_path / "image.nii.gz", tmp_path / "image.nii.gz")
    one_line = error.count("\n") == 1 and str(tmp_path / "image.nii.gz") in error
    return f"exit code {code}, {'one line that names the file' if one_line else error}"
