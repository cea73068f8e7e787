"""Archives: equal trees give equal bytes, without the files that git ignores."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import socket
import tarfile
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.core import archive
from exasol_ci_setup.core.archive import Entry, Tree
from exasol_ci_setup.core.errors import InputError, SetupError


def pack(tree: Tree) -> tuple[str, bytes]:
    into = io.BytesIO()
    sha256 = archive.pack(tree, into)
    return sha256, into.getvalue()


def members(packed: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as opened:
        return {member.name: member for member in opened}


def write(folder, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "source"
    path.mkdir()
    return path


def names(folder, ignorefile: str = ".gitignore") -> list[str]:
    return sorted(archive.of_folder(folder, ignorefile).entries)


def test_equal_trees_give_identical_archives(tmp_path):
    packed = []
    for number, order in enumerate((["b/c", "a", "z"], ["z", "a", "b/c"])):
        folder = tmp_path / str(number)
        write(folder, {name: f"content of {name}" for name in order})
        (folder / "z").chmod(0o755 if number else 0o700)
        (folder / "a").chmod(0o644 if number else 0o600)
        (folder / "link").symlink_to("b/c")
        os.utime(folder / "a", (1_000_000_000 + number, 1_000_000_000 + number))
        packed.append(pack(archive.of_folder(folder)))

    assert packed[0] == packed[1]
    found = members(packed[0][1])
    assert list(found) == ["a", "b/c", "link", "z"]
    assert [found[name].mode for name in ("a", "z")] == [0o644, 0o755]
    assert {(each.uid, each.gid, each.uname, each.gname) for each in found.values()} == {(0, 0, "", "")}
    assert found["link"].issym()
    assert found["link"].linkname == "b/c"


def test_changed_byte_name_or_mode_changes_hash(folder):
    write(folder, {"a": "content"})
    hashes = [pack(archive.of_folder(folder))[0]]
    (folder / "a").write_text("Content", encoding="utf-8")
    hashes.append(pack(archive.of_folder(folder))[0])
    (folder / "a").chmod(0o755)
    hashes.append(pack(archive.of_folder(folder))[0])
    (folder / "a").rename(folder / "b")
    hashes.append(pack(archive.of_folder(folder))[0])

    assert len(set(hashes)) == 4


@given(st.dictionaries(st.from_regex(r"[a-z]{1,3}é?(/[a-z]{4,120}){0,3}", fullmatch=True), st.binary(max_size=200)))
def test_packed_entries_are_sorted_by_name(files):
    tree = Tree()
    for name, content in reversed(files.items()):
        tree.add(Entry(name, partial(io.BytesIO, content)))

    sha256, packed = pack(tree)

    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as opened:
        assert {member.name: opened.extractfile(member).read() for member in opened} == files
        assert opened.getnames() == sorted(files, key=os.fsencode)
    again = Tree({name: tree.entries[name] for name in files})
    assert pack(again) == (sha256, packed)


def test_hash_is_computed_from_uncompressed_tar(folder):
    write(folder, {"a": "content"})

    sha256, packed = pack(archive.of_folder(folder))

    assert sha256 == hashlib.sha256(gzip.decompress(packed)).hexdigest()


def test_git_folder_and_ignored_files_are_omitted(folder):
    write(
        folder,
        {
            ".gitignore": "*.log\n!keep.log\n/build/\n# comment\n\ndocs/**/draft\n",
            ".git/config": "",
            "a.log": "",
            "keep.log": "",
            "build/x": "",
            "sub/build/x": "",
            "docs/a/b/draft": "",
            "docs/final": "",
            "main.py": "",
        },
    )

    assert names(folder) == [".gitignore", "docs/final", "keep.log", "main.py", "sub/build/x"]


def test_nested_ignore_file_overrides_parent(folder):
    write(
        folder,
        {".gitignore": "*.tmp\n/out\n", "sub/.gitignore": "!a.tmp\nsecret\n", "sub/a.tmp": "", "b.tmp": ""}
        | {"sub/secret": "", "secret": "", "sub/out": "", "out/.gitignore": "!*\n", "out/x": ""},
    )

    assert names(folder) == [".gitignore", "secret", "sub/.gitignore", "sub/a.tmp", "sub/out"]


def test_ignore_file_with_windows_line_ends_is_read(folder):
    write(folder, {"a.o": "", "b\x0bc": "", "c": ""})
    (folder / ".gitignore").write_bytes(b"\xef\xbb\xbf*.o\r\n/b\x0bc\r\n")

    assert names(folder) == [".gitignore", "c"]


def test_custom_ignore_file_replaces_gitignore(folder):
    write(folder, {".gitignore": "*.a\n", ".dockerignore": "*.b\n", "x.a": "", "x.b": ""})

    assert names(folder, ".dockerignore") == [".dockerignore", ".gitignore", "x.a"]


def test_missing_custom_ignore_file_is_rejected(folder):
    assert names(folder) == []
    with pytest.raises(InputError, match=r"\.dockerignore does not exist"):
        archive.of_folder(folder, ".dockerignore")


def test_source_other_than_folder_is_rejected(folder):
    with pytest.raises(InputError, match="missing is not a folder"):
        archive.of_folder(folder / "missing")


def test_sockets_and_pipes_are_skipped_and_named(folder):
    write(folder, {"a": ""})
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(folder / "socket"))
        tree = archive.of_folder(folder)

    assert tree.skipped == ["pipe", "socket"]
    assert list(tree.entries) == ["a"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", ["closed", "sub", ".gitignore"])
def test_unreadable_file_is_named(folder, name):
    write(folder, {"closed": "", "sub/x": "", ".gitignore": ""})
    (folder / name).chmod(0)
    try:
        with pytest.raises(InputError, match=f"{name} cannot be read: Permission denied"):
            pack(archive.of_folder(folder))
    finally:
        (folder / name).chmod(0o755)


def test_file_deleted_before_packing_is_named(folder):
    write(folder, {"a": "content"})
    tree = archive.of_folder(folder)
    (folder / "a").unlink()

    with pytest.raises(InputError, match="source/a cannot be read: No such file"):
        pack(tree)


def test_file_truncated_while_packing_is_named():
    class Shrinking(io.BytesIO):
        def read(self, *_: object) -> bytes:
            return b""

    with pytest.raises(SetupError, match="a could not be added to the archive: the file was shortened"):
        pack(Tree({"a": Entry("a", lambda: Shrinking(b"content"))}))


def download(entries: dict[str, bytes | None], **links: str) -> io.BytesIO:
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w:gz", pax_headers={"comment": "0" * 40}) as made:
        for name, content in entries.items():
            info = tarfile.TarInfo(name)
            if content is None:
                info.type = tarfile.DIRTYPE
            else:
                info.size, info.mode, info.mtime = len(content), 0o664, 1_700_000_000
            made.addfile(info, io.BytesIO(content or b""))
        for name, target in links.items():
            info = tarfile.TarInfo(f"top/{name}")
            info.type, info.linkname = tarfile.SYMTYPE, target
            made.addfile(info)
    return into


def test_download_equals_folder_with_same_files(folder):
    write(folder, {"a": "1", "b/c": "2"})
    (folder / "link").symlink_to("../elsewhere")
    zipped = download({"top": None, "top/b/c": b"2", "top/a": b"1", "top/empty": None}, link="../elsewhere")

    with archive.of_download(zipped) as tree:
        downloaded = pack(tree)

    assert downloaded == pack(archive.of_folder(folder))


@pytest.mark.parametrize("name", ["top/../../x", "/etc/passwd"])
def test_download_with_path_outside_is_rejected(name):
    with pytest.raises(SetupError, match="a path outside of it"), archive.of_download(download({name: b""})):
        pass


@pytest.mark.parametrize(
    "damage", [lambda whole: whole[:-20], lambda _: b"<html>", lambda whole: whole[:40] + b"x" * 40]
)
def test_truncated_download_is_rejected(damage):
    broken = io.BytesIO(damage(download({"top/a": os.urandom(5000)}).getvalue()))

    with pytest.raises(SetupError, match="downloaded archive is incomplete"), archive.of_download(broken) as tree:
        pack(tree)
