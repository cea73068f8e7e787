"""The JSON file with the build configuration: content and errors."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.builds.config import Build, Config, Ignore, Release, load
from exasol_ci_setup.core.errors import InputError

WHOLE = {
    "build": {"ignore": {"paths": ["doc", "README.md"]}, "base_branch": "master"},
    "release": {"timeout_in_minutes": 90},
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "doc").mkdir()
    (tmp_path / "README.md").touch()
    return tmp_path


def write(data: Any) -> Path:
    path = Path("config.json")
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return path


@pytest.mark.usefixtures("here")
def test_complete_file_is_read():
    assert load(write(WHOLE)) == Config(
        build=Build(ignore=Ignore(("doc", "README.md")), base_branch="master"), release=Release(timeout_in_minutes=90)
    )


@pytest.mark.usefixtures("here")
def test_longest_timeout_is_read():
    assert load(write({"release": {"timeout_in_minutes": 44_640}})).release.timeout_in_minutes == 44_640


@pytest.mark.usefixtures("here")
def test_file_is_read_outside_repository_without_ignored_paths():
    elsewhere = {"build": {"ignore": {"paths": ["nowhere", "./doc"]}}, "release": {"timeout_in_minutes": 90}}

    assert load(write(elsewhere), check_paths=False).release.timeout_in_minutes == 90
    with pytest.raises(InputError, match="nowhere"):
        load(write(elsewhere))


@pytest.mark.usefixtures("here")
def test_missing_keys_are_named():
    assert load(write({})).absent == ("build.ignore.paths", "build.base_branch", "release.timeout_in_minutes")
    partial = load(write({"build": {"ignore": {"paths": []}}, "release": {"timeout_in_minutes": 1}}))
    assert partial.absent == ("build.base_branch",)
    assert partial.release.timeout_in_minutes == 1


@pytest.mark.usefixtures("here")
def test_byte_order_mark_is_accepted():
    assert load(write("\ufeff" + json.dumps(WHOLE))) == load(write(WHOLE))


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("data", "message"),
    [
        ('{"build":\n  {,}}', "line 2, column 4"),
        ("", "line 1, column 1"),
        ('{"build": {}, "build": {}}', "duplicate key 'build'"),
        ([], r"use an object, not \[\]"),
        ({"build_ignore": {}}, "build_ignore: unknown key; valid keys: build, release"),
        ({"build": {"ignore": {"path": []}}}, r"build\.ignore\.path: unknown key; did you mean paths\?"),
        (
            {"release": {"timeout_in_seconds": 1}},
            r"release\.timeout_in_seconds: unknown key; did you mean timeout_in_minutes",
        ),
        ({"a\nb": 1}, r"'a\\nb': unknown key"),
        ({"build": None}, "build: use an object, not null"),
        ({"build": {"base_branch": 1}}, r"build\.base_branch: use text, not 1"),
        ({"build": {"base_branch": ""}}, r"build\.base_branch: it is empty"),
        ({"build": {"ignore": {"paths": "doc"}}}, r'build\.ignore\.paths: use a list, not "doc"'),
        ({"build": {"ignore": {"paths": ["doc", 1]}}}, r"build\.ignore\.paths\[1\]: use text, not 1"),
        (
            {"build": {"ignore": {"paths": ["doc", "nowhere"]}}},
            r"build\.ignore\.paths\[1\]: 'nowhere' does not exist in ",
        ),
        ({"build": {"ignore": {"paths": ["./doc"]}}}, "does not match any path of Git; write 'doc'"),
        ({"build": {"ignore": {"paths": ["/etc"]}}}, "'/etc' does not match"),
        ({"build": {"ignore": {"paths": ["../x"]}}}, "does not match"),
        ({"build": {"ignore": {"paths": [""]}}}, "does not match"),
        ({"build": {"ignore": {"paths": ["."]}}}, "'.' does not match .* such as 'doc'"),
        ({"build": {"ignore": {"paths": ["a\u0000b"]}}}, "does not exist"),
        ({"release": {"timeout_in_minutes": "60"}}, r'release\.timeout_in_minutes: use a whole number, not "60"'),
        ({"release": {"timeout_in_minutes": 1.5}}, "use a whole number, not 1.5"),
        ({"release": {"timeout_in_minutes": True}}, "use a whole number, not true"),
        ({"release": {"timeout_in_minutes": 0}}, "use 1 or more, not 0"),
        ({"release": {"timeout_in_minutes": 44_641}}, "use at most 44640, which is 31 days, not 44641"),
        ({"release": {"timeout_in_minutes": 10**400}}, "use at most 44640, .* not 10000000000000000000$"),
        ("[" * 100_000, "cannot be read"),
    ],
)
def test_invalid_value_is_named_with_file_and_key(data: Any, message: str):
    with pytest.raises(InputError, match=message) as refused:
        load(write(data))

    assert "config.json" in refused.value.message
    assert "\n" not in refused.value.message


@pytest.mark.usefixtures("here")
def test_ignored_directory_may_end_with_slash():
    assert load(write({"build": {"ignore": {"paths": ["doc/"]}}})).build.ignore.paths == ("doc/",)


@pytest.mark.usefixtures("here")
def test_unreadable_file_is_named():
    with pytest.raises(InputError, match=r"nowhere\.json does not exist"):
        load(Path("nowhere.json"))
    with pytest.raises(InputError, match=r"doc cannot be read: Is a directory"):
        load(Path("doc"))
    os.mkfifo("pipe")
    with pytest.raises(InputError, match=r"pipe cannot be read: it is not a regular file"):
        load(Path("pipe"))
    Path("latin1.json").write_bytes(b'{"\xe4": 1}')
    with pytest.raises(InputError, match=r"latin1\.json cannot be read: it is not UTF-8"):
        load(Path("latin1.json"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["build", "release", "ignore", "paths"]), inner)
    ),
)


@given(data=JSON)
def test_any_json_is_read_or_rejected(data: Any, tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    try:
        load(path)
    except InputError as error:
        assert "any.json" in error.message  # noqa: PT017 - either way is right
