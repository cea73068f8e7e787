"""Invalid values are reported with the names of command-line options."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from exasol_ci_setup.constructs import CiBuild, ReleaseBuild, SourceCredentials, build
from exasol_ci_setup.core.errors import InputError

URL = "https://github.com/exasol/script-languages-release"


def error_of(**values: object) -> str:
    with pytest.raises(InputError) as caught:
        build(CiBuild, **{"project": "Slc", "project_url": URL, **values})
    return caught.value.message


def test_one_invalid_value_is_one_line():
    assert error_of(project="a b: c") == (
        "--project 'a b: c' is invalid: use letters, digits and hyphens, the first a letter,"
        " at most 121 characters, since stacks and CodeBuild projects are named after it"
    )


def test_several_invalid_values_have_one_line_each():
    lines = error_of(project="1", stack_name="a_b", timeout_in_minutes=4).splitlines()
    assert lines[0] == "3 options are invalid:"
    assert [line.split(":")[0] for line in lines[1:]] == [
        "  --stack-name 'a_b'",
        "  --project '1'",
        "  --timeout-in-minutes 4",
    ]


def test_missing_value_is_reported():
    with pytest.raises(InputError) as caught:
        build(SourceCredentials, secret_name="github", secret_user_key="user", secret_token_key=None)
    assert caught.value.message == "--secret-token-key is invalid: it is required"


def test_unknown_value_is_reported():
    assert error_of(color="red") == "--color is invalid: unknown option"


def test_value_outside_of_list_is_reported_with_list():
    assert error_of(cache="disk") == "--cache 'disk' is invalid: use 'none', 'docker', 'source' or 's3'"


def test_text_is_not_converted_to_number():
    assert error_of(timeout_in_minutes="60") == "--timeout-in-minutes '60' is invalid: use a whole number"


def test_number_is_not_converted_to_text():
    assert error_of(image=7) == "--image 7 is invalid: use text"


def test_error_does_not_repeat_credentials_of_url():
    message = error_of(project_url="https://me:ghp_secret@github.com/exasol/slc")
    assert "ghp_secret" not in message
    assert "'https://****@github.com/exasol/slc'" in message


def test_error_chain_has_no_raw_input():
    with pytest.raises(InputError) as caught:
        build(CiBuild, project="Slc", project_url="https://me:ghp_secret@github.com/exasol/slc")
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_error_shortens_long_value():
    assert len(error_of(project="x" * 10_000)) < 400


@pytest.mark.parametrize("field", ["project", "project_url", "branch_filter", "image", "docker_secret", "stack_name"])
@pytest.mark.parametrize("character", ["\n", "\x00", "\x7f", "\x85", "\u2028", "\ud800"])
def test_control_characters_are_rejected_in_every_field(field: str, character: str):
    message = error_of(**{field: f"Slc{character}"})
    assert message.endswith("is invalid: control characters are not allowed")
    assert character not in message


@pytest.mark.parametrize("field", ["branch_filter", "image", "project", "project_url"])
def test_dynamic_reference_is_rejected_in_every_field(field: str):
    assert "'{{resolve:' is not allowed" in error_of(**{field: "{{resolve:ssm:x}}"})


def test_none_means_not_set():
    assert build(CiBuild, project="Slc", project_url=URL, image=None) == CiBuild(project="Slc", project_url=URL)


def test_construct_is_immutable():
    construct = CiBuild(project="Slc", project_url=URL)
    with pytest.raises(ValidationError, match="frozen"):
        construct.project = "Other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("construct", "stack", "tags"),
    [
        (
            CiBuild(project="Slc", project_url=URL),
            "Slc",
            {"exasol-ci-setup:construct": "CiBuild", "exasol-ci-setup:project": "Slc"},
        ),
        (
            ReleaseBuild(project="Slc", project_url=URL),
            "SlcRelease",
            {"exasol-ci-setup:construct": "ReleaseBuild", "exasol-ci-setup:project": "Slc"},
        ),
        (
            SourceCredentials(secret_name="github", secret_user_key="user", secret_token_key="token"),
            "SLCSourceCredentials",
            {"exasol-ci-setup:construct": "SourceCredentials"},
        ),
    ],
)
def test_stack_name_and_tags_derive_from_construct(construct, stack, tags):
    assert construct.stack_name == stack
    assert construct.tags == tags


@pytest.mark.parametrize(
    "construct",
    [
        CiBuild(project="Slc", project_url=URL, stack_name="SlcCIBuild"),
        ReleaseBuild(project="Slc", project_url=URL, stack_name="SlcCIBuild"),
        SourceCredentials(
            secret_name="github", secret_user_key="user", secret_token_key="token", stack_name="SlcCIBuild"
        ),
    ],
)
def test_stack_name_can_be_set(construct):
    assert construct.stack_name == "SlcCIBuild"
