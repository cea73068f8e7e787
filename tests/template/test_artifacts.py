"""Local files in templates: found, packed with equal bytes, and replaced."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.template.artifacts import (
    PROPERTIES,
    PackagedTemplate,
    StoredObject,
    find_artifacts,
    package,
)
from exasol_ci_setup.template.render import Template, parse
from exasol_ci_setup.template.replacement import replace_values


class MemoryStore:
    """A bucket in memory."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.writes = 0

    def put(self, key, write, /, *, for_plan=False) -> StoredObject:  # noqa: ARG002 - as in ArtifactStore
        is_new = key not in self.objects
        if is_new:
            self.writes += 1
            content = io.BytesIO()
            write(content)
            self.objects[key] = content.getvalue()
        return StoredObject("b", key, f"https://b.example/{key}", is_new)


def packaged(body: str, folder: Path, store: MemoryStore | None = None) -> PackagedTemplate:
    template = Template("t.yaml", body)
    return package(find_artifacts(template, parse(body), folder, root=folder), store or MemoryStore())


def resource(kind: str, path: tuple[str, ...], value: object) -> str:
    for key in reversed(path):
        value = {key: value}
    return json.dumps({"Resources": {"R": {"Type": kind, "Properties": value}}})


CASES = [(kind, each) for kind, several in PROPERTIES.items() for each in several]


@pytest.mark.parametrize(("kind", "each"), CASES, ids=lambda value: value if isinstance(value, str) else value.path[-1])
def test_local_path_in_every_property_is_uploaded(tmp_path, kind, each):
    (tmp_path / "a.txt").write_text(json.dumps({"Resources": {"T": {"Type": "AWS::SNS::Topic"}}}))
    store = MemoryStore()

    value = parse(packaged(resource(kind, each.path, "a.txt"), tmp_path, store).template.body)["Resources"]["R"]

    for key in ("Properties", *each.path):
        value = value[key]
    (key,) = store.objects
    bucket_and_key = dict(zip(each.members, ("b", key), strict=False))
    assert value == (bucket_and_key or (f"https://b.example/{key}" if each.is_https else f"s3://b/{key}"))
    assert key.endswith({"zip": ".zip", "template": ".template", "file": ".txt"}[each.content])


@pytest.mark.parametrize(
    "value",
    [
        "s3://bucket/key",
        "https://bucket.s3.amazonaws.com/key",
        {"S3Bucket": "b", "S3Key": "k"},
        {"ZipFile": "print()"},
        {"Fn::Sub": "s3://${Bucket}/key"},
        "${Each}",
        "",
    ],
)
def test_remote_value_is_unchanged(tmp_path, value):
    body = resource("AWS::Lambda::Function", ("Code",), value)

    assert packaged(body, tmp_path).template.body == body


def test_comments_and_layout_are_kept(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("x")
    body = (
        "# first\nResources:\n  F:\n    Type: AWS::Lambda::Function\n    Properties:\n"
        "      Code: ./src # here\n      Version: 2012-10-17\n      Flag: no\n      Role: !GetAtt R.Arn\n"
    )

    text = packaged(body, tmp_path).template.body

    assert text.replace(text[text.index("{") : text.index("}") + 1], "./src") == body


@pytest.mark.parametrize(
    "body",
    [
        "Code: &a ./src\nOther: *a\n",
        "Code: >-\n  ./src\nOther: x\n",
        "Code:\n  ./src\nOther: {b: !Ref x}\n",
        '{"Code": "./src",\n\t"Other": "\\ud83d\\ude00"}',
        "x: &x {Code: ./src}\nCode: ./src\nOther: {<<: *x}\n",
        "{Code: ./src, Other: !If [a, 012, yes]}",
    ],
)
def test_rest_of_template_keeps_its_meaning(body):
    text = replace_values(body, {("Code",): {"S3Bucket": "b", "S3Key": "k"}})

    assert parse(text) == {**parse(body), "Code": {"S3Bucket": "b", "S3Key": "k"}}


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.text() | st.lists(st.text()), min_size=1))
def test_replacement_changes_one_value_only(data):
    key = next(iter(data))

    assert parse(replace_values(json.dumps(data), {(key,): "new"})) == {**data, key: "new"}


def test_includes_globals_metadata_and_loops_are_found(tmp_path):
    for name in "abcd":
        (tmp_path / name).write_text(name)
    body = json.dumps(
        {
            "Transform": ["AWS::Serverless-2016-10-31", {"Name": "AWS::Include", "Parameters": {"Location": "a"}}],
            "Globals": {"Function": {"CodeUri": "b"}},
            "Metadata": {"AWS::ServerlessRepo::Application": {"ReadmeUrl": "c"}},
            "Resources": {
                "Fn::ForEach::All": [
                    "X",
                    ["1"],
                    {"F${X}": {"Type": "AWS::Serverless::Function", "Properties": {"CodeUri": "d"}}},
                ],
                "T": {"Fn::Transform": {"Name": "AWS::Include", "Parameters": {"Location": "a"}}},
            },
        }
    )

    assert list(packaged(body, tmp_path).objects) == [
        "Fn::ForEach::All.2.F${X}.CodeUri",
        "Globals.Function.CodeUri",
        "Metadata.AWS::ServerlessRepo::Application.ReadmeUrl",
        "Transform.1.Parameters.Location",
        "T.Fn::Transform.Parameters.Location",
    ]


def test_short_transform_is_replaced_in_text(tmp_path):
    (tmp_path / "a").write_text("a")
    body = "Resources:\n  R: !Transform {Name: AWS::Include, Parameters: {Location: a}} # kept\n"

    assert "# kept" in packaged(body, tmp_path).template.body


def test_equal_content_is_uploaded_once_and_named_alike(tmp_path):
    store = MemoryStore()
    bodies = []
    for name in "ab":
        folder = tmp_path / name
        (folder / "src" / "__pycache__").mkdir(parents=True)
        (folder / "src" / "__pycache__" / "x.pyc").write_text(name)
        (folder / "src" / "x.py").write_text("x")
        os.utime(folder / "src" / "x.py", (ord(name), ord(name)))
        bodies.append(packaged(resource("AWS::Lambda::Function", ("Code",), "src"), folder, store).template.body)

    assert bodies[0] == bodies[1]
    assert store.writes == 1


def test_archive_has_fixed_times_and_modes(tmp_path):
    (tmp_path / "src" / "bin").mkdir(parents=True)
    (tmp_path / "src" / "bin" / "run").write_text("run")
    (tmp_path / "src" / "bin" / "run").chmod(0o700)
    (tmp_path / "src" / "link").symlink_to("bin/run")
    store = MemoryStore()

    packaged(resource("AWS::Lambda::Function", ("Code",), "src"), tmp_path, store)

    (content,) = store.objects.values()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert [(each.filename, oct(each.external_attr >> 16), each.date_time) for each in archive.infolist()] == [
            ("bin/run", "0o100755", (1980, 1, 1, 0, 0, 0)),
            ("link", "0o120777", (1980, 1, 1, 0, 0, 0)),
        ]
        assert archive.read("link") == b"bin/run"


def test_existing_archive_is_uploaded_unchanged(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.jar", "w") as archive:
        archive.writestr("x", "y")
    store = MemoryStore()

    packaged(resource("AWS::Lambda::Function", ("Code",), "a.jar"), tmp_path, store)

    assert list(store.objects.values()) == [(tmp_path / "a.jar").read_bytes()]


def test_nested_templates_are_packaged_relative_to_themselves(tmp_path):
    (tmp_path / "inner" / "src").mkdir(parents=True)
    (tmp_path / "inner" / "src" / "x.py").write_text("x")
    (tmp_path / "inner" / "t.yaml").write_text(resource("AWS::Lambda::Function", ("Code",), "src"))
    store = MemoryStore()

    found = packaged(resource("AWS::CloudFormation::Stack", ("TemplateURL",), "inner/t.yaml"), tmp_path, store)

    assert list(found.objects) == ["R.TemplateURL/R.Code", "R.TemplateURL"]
    nested = parse(store.objects[found.objects["R.TemplateURL"].key].decode())
    assert nested["Resources"]["R"]["Properties"]["Code"] == {
        "S3Bucket": "b",
        "S3Key": found.objects["R.TemplateURL/R.Code"].key,
    }


def test_all_unusable_paths_are_reported_together(tmp_path):
    folder = tmp_path / "folder"
    (folder / "empty").mkdir(parents=True)
    (folder / "links").mkdir()
    (folder / "links" / "out").symlink_to("../../secret")
    (tmp_path / "secret").write_text("x")
    (folder / "link").symlink_to("../secret")
    (folder / "itself.yaml").write_text(resource("AWS::CloudFormation::Stack", ("TemplateURL",), "itself.yaml"))
    (folder / "bad.yaml").write_text("a: 1\nb: ]\n")
    os.mkfifo(folder / "pipe")
    paths = ["missing", "../secret", "/etc/passwd", "link", "empty", "links", "pipe", "a\0b", "x" * 5000]
    nested = ["itself.yaml", "bad.yaml", "empty"]
    resources = {
        f"F{n}": {"Type": "AWS::Lambda::Function", "Properties": {"Code": path}} for n, path in enumerate(paths)
    } | {
        f"N{n}": {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": path}}
        for n, path in enumerate(nested)
    }

    with pytest.raises(InputError, match="12 local artifacts cannot be used") as caught:
        packaged(json.dumps({"Resources": resources}), folder)

    for rule, expected in zip(
        caught.value.message.splitlines()[1:],
        [
            *("does not exist", "is outside of", "is outside of", "is outside of", "contains no files"),
            *("contains a link that leads out of it: out", "is neither a file nor a folder"),
            *("is not the name of a file", "is not the name of a file", "contains itself", ":2 cannot be read"),
            "is a folder, not a template",
        ],
        strict=True,
    ):
        assert expected in rule


# The first example can wait for the disk.
@settings(deadline=None)
@given(st.text(min_size=1))
def test_no_path_raises_other_error(tmp_path_factory, name):
    folder = tmp_path_factory.getbasetemp()

    try:
        body = packaged(resource("AWS::Lambda::Function", ("Code",), name), folder / "artifacts").template.body
    except InputError:
        return

    assert parse(body) == parse(resource("AWS::Lambda::Function", ("Code",), name))


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20)


@settings(deadline=None)
@given(NAMES.filter(lambda name: name not in {".", ".."}))
def test_no_file_name_changes_structure(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp("names")
    (folder / f"f{name}").write_text("x")

    found = packaged(resource("AWS::Glue::Job", ("Command", "ScriptLocation"), f"./f{name}"), folder)

    (stored,) = found.objects.values()
    assert parse(found.template.body) == parse(
        resource("AWS::Glue::Job", ("Command", "ScriptLocation"), f"s3://b/{stored.key}")
    )
    assert set(stored.key) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./")
