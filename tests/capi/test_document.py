"""The pieces of C in docs/deploy.md compile, and those for Android run under Java."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from c_library import CSRC
from lightm_unet.models.model_folder import load_model
from lightm_unet.models.shipped_models import FOLDER as SHIPPED
from pictures import chest

DOCUMENT = CSRC.parent / "docs" / "deploy.md"
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fPIC", f"-I{CSRC}")
SEGMENTER = """
package org.example;
import java.nio.file.*;

public class Segmenter {
  private native long open(byte[] json, byte[] weights);
  private native byte[] segment(long model, float[] grey, int height, int width);
  private native void close(long model);

  public static void main(String[] words) throws Exception {
    System.load(words[0]);
    Segmenter own = new Segmenter();
    try {
      own.open(new byte[] {'{'}, new byte[3]);
    } catch (IllegalArgumentException error) {
      System.out.println(error.getMessage());
    }
    long model = own.open(Files.readAllBytes(Path.of(words[1], "model.json")),
                          Files.readAllBytes(Path.of(words[1], "model.safetensors")));
    byte[] pixels = Files.readAllBytes(Path.of(words[2]));
    float[] grey = new float[pixels.length];
    for (int i = 0; i < grey.length; ++i) grey[i] = pixels[i] & 255;
    int height = Integer.parseInt(words[4]);
    Files.write(Path.of(words[3]), own.segment(model, grey, height, grey.length / height));
    try {
      own.segment(model, grey, height, 1);
    } catch (IllegalArgumentException error) {
      System.out.println(error.getMessage());
    }
    own.close(model);
  }
}
"""


def pieces():
    """Those in C: what the example leaves out, and what Kotlin calls."""
    found = re.findall(r"```c\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert len(found) == 2
    return found


def compiler_or_skip():
    found = shutil.which("cc")
    if found is None:
        pytest.skip("there is no C compiler")
    return found


def jdk_or_skip():
    """The folder of a Java development kit."""
    found = shutil.which("javac")
    folder = Path(found).resolve().parents[1] if found else None
    if folder is None or not (folder / "include" / "linux" / "jni_md.h").exists():
        pytest.skip("there is no JDK for Linux")
    return folder


def test_a_volume_in_c(tmp_path):
    source = tmp_path / "volume.c"
    source.write_text(pieces()[0])
    subprocess.run([compiler_or_skip(), *STRICT, "-c", source, "-o", tmp_path / "o"], check=True)


@pytest.mark.slow
def test_what_kotlin_calls_finds_the_labels_of_predict(library, tmp_path):
    compiler, jdk = compiler_or_skip(), jdk_or_skip()
    glue, java = tmp_path / "glue.c", tmp_path / "Segmenter.java"
    glue.write_text(pieces()[1])
    java.write_text(SEGMENTER)
    headers = (f"-I{jdk / 'include'}", f"-I{jdk / 'include' / 'linux'}")
    here, loaded = library.path.parent, tmp_path / "libsegmenter.so"
    linked = (f"-L{here}", "-llightm", f"-Wl,-rpath,{here}", "-shared", "-o", loaded)
    subprocess.run([compiler, *STRICT, *headers, glue, *linked], check=True)
    subprocess.run([jdk / "bin" / "javac", "-d", tmp_path, java], check=True)

    picture = chest()
    (tmp_path / "in").write_bytes(picture.tobytes())
    words = [loaded, SHIPPED / "lungs", tmp_path / "in", tmp_path / "out", len(picture)]
    done = subprocess.run(
        [jdk / "bin" / "java", "-Xcheck:jni", "-cp", tmp_path, "org.example.Segmenter"]
        + [str(word) for word in words],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert lines[0].startswith("model.json is no JSON (")
    assert lines[-1] == "height * width is another number"
    expected = load_model("lungs").predict(picture, device="cpu")
    assert (tmp_path / "out").read_bytes() == expected.tobytes()
