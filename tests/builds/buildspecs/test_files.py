"""Generated files are compared with those on disk and replaced in one step."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from exasol_ci_setup.builds.buildspecs import compare, from_root, write
from exasol_ci_setup.core.errors import InputError


def test_missing_file_is_stale_and_created_with_directory(tmp_path: Path):
    (file,) = compare(tmp_path / "a/b", {"x.yaml": "1\n"})
    assert file.stale

    write(file)

    assert (tmp_path / "a/b/x.yaml").read_text() == "1\n"
    assert not compare(tmp_path / "a/b", {"x.yaml": "1\n"})[0].stale
    assert [path.name for path in (tmp_path / "a/b").iterdir()] == ["x.yaml"]


def test_new_file_has_mode_of_umask(tmp_path: Path):
    before = os.umask(0o027)
    try:
        write(compare(tmp_path, {"x": "1"})[0])
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640


def test_replaced_file_keeps_mode_and_has_new_inode(tmp_path: Path):
    path = tmp_path / "x"
    path.write_text("old")
    path.chmod(0o604)
    with path.open() as held:
        write(compare(tmp_path, {"x": "new"})[0])

        assert held.read() == "old", "a reader sees the old file or the new one, never a part"
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o604


def test_symbolic_link_is_kept(tmp_path: Path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "x").symlink_to("real")

    write(compare(tmp_path, {"x": "new"})[0])

    assert (tmp_path / "x").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_other_line_ends_are_no_difference(tmp_path: Path):
    (tmp_path / "x").write_bytes(b"1\r\n2\r\n")

    assert not compare(tmp_path, {"x": "1\n2\n"})[0].stale
    assert compare(tmp_path, {"x": "1\n3\n"})[0].diff().splitlines()[2:] == ["@@ -1,2 +1,2 @@", " 1", "-2", "+3"]
    assert compare(tmp_path, {"empty": ""})[0].stale


@pytest.mark.parametrize("found", [b"1\r", b"1", b"", b"\xff", b"1\n\n"])
def test_changed_content_is_stale_with_diff(found: bytes, tmp_path: Path):
    (tmp_path / "x").write_bytes(found)

    (file,) = compare(tmp_path, {"x": "1\n"})

    assert file.stale
    assert file.diff()


def test_diff_can_be_applied(tmp_path: Path):
    path = tmp_path / "x"
    path.write_text("a\nb\nc")
    (file,) = compare(tmp_path, {"x": "a\nB\nc\n"})

    assert file.diff().splitlines() == [
        f"--- {path} (on disk)",
        f"+++ {path} (generated)",
        "@@ -1,3 +1,3 @@",
        " a",
        "-b",
        "-c",
        "\\ No newline at end of file",
        "+B",
        "+c",
    ]


@pytest.mark.parametrize(
    ("given", "expected"), [("a/b", "a/b"), ("./a/b/", "a/b"), ("a/../b", "b"), (".", "."), ("../here/a", "a")]
)
def test_path_is_relative_to_repository_root(
    given: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    here = tmp_path / "here"
    here.mkdir()
    (tmp_path / "alias").symlink_to(here)
    monkeypatch.chdir(here)

    assert from_root(Path(given), "it") == expected
    assert from_root(here / given, "it") == expected
    assert from_root(tmp_path / "alias" / given, "it") == expected


@pytest.mark.parametrize("kind", ["directory", "file"])
def test_directory_below_root_is_rejected(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    below = tmp_path / "a b" / "c"
    below.mkdir(parents=True)
    root = tmp_path / "a b"
    (root / ".git").mkdir() if kind == "directory" else (root / ".git").write_text("gitdir: x")
    monkeypatch.chdir(below)

    with pytest.raises(InputError) as refused:
        from_root(Path("out"), "it")

    assert refused.value.message == f"{below} is below the root of its repository, {root}"
    assert f"`cd '{root}'`" in refused.value.hint
    monkeypatch.chdir(root)
    assert from_root(Path("out"), "it") == "out"


def test_submodule_is_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / ".git").mkdir()
    (tmp_path / "module").mkdir()
    (tmp_path / "module" / ".git").write_text("gitdir: ../.git/modules/module")
    monkeypatch.chdir(tmp_path / "module")

    assert from_root(Path("out"), "it") == "out"


def test_path_outside_repository_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InputError, match=r"the output path \.\./out is outside of"):
        from_root(Path("../out"), "the output path")


def test_path_with_backslash_is_rejected():
    with pytest.raises(InputError, match=r"the output path aws-code-build\\ci contains a backslash"):
        from_root(Path("aws-code-build\\ci"), "the output path")


def test_deleted_working_directory_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    with pytest.raises(InputError, match="the working directory cannot be read"):
        from_root(Path("a"), "the output path")


def test_file_in_place_of_directory_is_reported(tmp_path: Path):
    (tmp_path / "out").touch()

    with pytest.raises(InputError, match="out is not a directory"):
        compare(tmp_path / "out", {"x": "1"})


def test_directory_in_place_of_file_is_reported(tmp_path: Path):
    (tmp_path / "x").mkdir()

    with pytest.raises(InputError, match="x cannot be read: Is a directory"):
        compare(tmp_path, {"x": "1"})


def test_device_in_place_of_file_is_kept(tmp_path: Path):
    (tmp_path / "x").symlink_to(os.devnull)

    write(compare(tmp_path, {"x": "1"})[0])

    assert (tmp_path / "x").resolve() == Path(os.devnull)
    assert (tmp_path / "x").is_char_device()


def test_pipe_in_place_of_file_is_reported(tmp_path: Path):
    os.mkfifo(tmp_path / "x")

    with pytest.raises(InputError, match="x cannot be read: it is a pipe"):
        compare(tmp_path, {"x": "1"})


@pytest.mark.skipif(sys.platform != "linux", reason="no user may make files in Linux's /proc, not even root")
def test_unwritable_file_is_reported_with_hint(tmp_path: Path):
    (tmp_path / "x").symlink_to("/proc/none/x")
    (file,) = compare(tmp_path, {"x": "1"})

    with pytest.raises(InputError, match=f"{tmp_path}/x cannot be written: ") as refused:
        write(file)

    assert "\n" not in refused.value.message
    assert "--output-path" in refused.value.hint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_directory_without_permission_is_reported(tmp_path: Path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match="cannot be written: Permission denied"):
            write(compare(tmp_path, {"x": "1"})[0])
    finally:
        tmp_path.chmod(0o700)


def test_failed_write_leaves_no_temporary_file(tmp_path: Path):
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from exasol_ci_setup.builds.buildspecs import compare, write\n"
        "from exasol_ci_setup.core.errors import InputError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
        "try:\n"
        "    write(compare(Path(sys.argv[1]), {'x': 'new' * 1000})[0])\n"
        "except InputError as error:\n"
        "    print(error)\n"
    )
    (tmp_path / "x").write_text("old")

    ran = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)

    assert "cannot be written: File too large" in ran.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_text() == "old"
