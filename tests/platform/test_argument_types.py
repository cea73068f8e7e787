"""Arguments of the library of other types than the annotated ones: accepted as the commands accept them, or an InputError."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import exasol_ci_setup
from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.core import errors
from exasol_ci_setup.core.errors import SetupError
from tests.answers import Answers

naas: Any = exasol_ci_setup
OTHERS = st.one_of(
    st.none(),
    st.integers(-5, 5),
    st.floats(),
    st.booleans(),
    st.lists(st.integers(), max_size=2),
    st.just({"a": {}}),
    st.binary(max_size=3),
)


@pytest.fixture(scope="module")
def context():
    """A context whose requests fail, so that only the checks before them are tested."""
    with pytest.MonkeyPatch.context() as patch:
        answers = Answers(patch)
        answers.on("cloudformation", "DescribeStacks", {"Stacks": []})
        answers.on("cloudformation", "ListStacks", {"StackSummaries": []})
        answers.on("secretsmanager", "DescribeSecret", {})
        yield Context(answers.account)


@given(value=OTHERS)
@pytest.mark.parametrize(
    ("call", "argument"),
    [
        ("space.get", "name"),
        ("space.delete", "name"),
        ("space.restart", "name"),
        ("space.releases", "name"),
        ("secret.get", "name"),
        ("registry.get", "name"),
    ],
)
def test_name_of_other_type_is_reported(context, call, argument, value):
    group, verb = call.split(".")
    with pytest.raises(SetupError):
        getattr(getattr(naas, group), verb)(**{argument: value}, context=context)


@given(value=OTHERS)
@pytest.mark.parametrize(
    "argument", ["image", "port", "env", "secrets", "cpu", "memory", "count", "domain", "containers"]
)
def test_setting_of_other_type_is_reported(context, argument, value):
    if value is None or (argument, type(value)) in {("count", int), ("port", int), ("cpu", int), ("memory", int)}:
        return
    if value in ([], {}) or (argument in {"cpu", "memory"} and isinstance(value, float)):
        return
    with pytest.raises(SetupError):
        naas.space.create("web", **{"image": "nginx:1", argument: value}, context=context)


@given(value=OTHERS)
def test_secrets_of_other_type_are_reported(context, value):
    with pytest.raises(errors.InputError):
        naas.secret.bulk_create(value, context=context)


@given(value=OTHERS)
def test_asset_id_of_other_type_is_reported(context, value):
    with pytest.raises(SetupError):
        naas.asset.get(workspace_id="123", asset_id=value, context=context)


@given(value=OTHERS)
@pytest.mark.parametrize(
    ("verb", "argument"),
    [
        *(("put_object", name) for name in ("src_file", "dst_file", "workspace_id", "storage_name")),
        *(("get_object", name) for name in ("src_file", "dst_file")),
        *(("copy_object", name) for name in ("src_file", "dst_file", "dst_storage", "dst_workspace")),
        *(("move_object", name) for name in ("src_file", "dst_file")),
        *(("list_object", name) for name in ("storage_prefix", "storage_name")),
        ("delete_object", "object_name"),
    ],
)
def test_argument_of_object_of_other_type_is_reported(context, verb, argument, value):
    names = {"delete_object": {"object_name": "a"}, "list_object": {}}.get(verb, {"src_file": __file__})
    arguments = {"workspace_id": "1", "storage_name": "s", **names, argument: value}
    with pytest.raises(SetupError):
        getattr(naas.storage, verb)(**arguments, context=context)


@pytest.mark.live
def test_numbers_are_accepted_as_by_commands(live):
    context = Context(live)
    naas.space.create("web", image="nginx:1", env={"A": 1, "B": 1.5, "C": True}, port="8080", context=context)
    naas.storage.create(workspace_id=123, storage_name="s", context=context)
    made = naas.secret.bulk_create([{"name": "a", "value": "b"}], context=context)

    found = naas.space.get("web", context=context)
    assert (found.env, found.port) == ({"A": "1", "B": "1.5", "C": "true"}, 8080)
    assert [each.name for each in naas.storage.list(workspace_id=123, context=context)] == ["s"]
    assert (
        list(naas.storage.list_object(workspace_id=123, storage_name="s", storage_prefix=None, context=context)) == []
    )
    assert [each.name for each in made] == ["a"]


def test_published_names_of_errors_are_those_of_this_tool():
    assert errors.SpaceValidationError is errors.SpaceRequestError
    assert issubclass(errors.SecretValidationError, errors.InputError)
    assert issubclass(errors.RegistryValidationError, errors.InputError)
    assert errors.BadCredentials is errors.ExpiredToken is errors.CredentialsInvalidError
    assert errors.SpaceNotFound is errors.SpaceNotFoundError
    assert errors.StorageNotFoundError.exit_code == 1
