"""Refused values are told in the words of the command line."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from exasol_ci_setup.constructs import CiBuild, ReleaseBuild, SourceCredentials, build
from exasol_ci_setup.errors import InputError

URL = "https://github.com/exasol/script-languages-release"


def refused(**values: object) -> str:
    with pytest.raises(InputError) as caught:
        build(CiBuild, **{"project": "Slc", "project_url": URL, **values})
    return caught.value.message


def test_one_refused_value_is_one_line_with_option_value_and_rule():
    assert refused(project="a b: c") == (
        "--project 'a b: c' is not acceptable: use letters, digits and hyphens, the first a letter,"
        " at most 121 characters, since stacks and CodeBuild projects are named after it"
    )


def test_several_refused_values_are_told_together_each_on_a_line():
    lines = refused(project="1", stack_name="a_b", timeout_in_minutes=4).splitlines()
    assert lines[0] == "3 options are not acceptable:"
    assert [line.split(":")[0] for line in lines[1:]] == [
        "  --stack-name 'a_b'",
        "  --project '1'",
        "  --timeout-in-minutes 4",
    ]


def test_a_missing_value_is_said_to_be_required():
    with pytest.raises(InputError) as caught:
        build(SourceCredentials, secret_name="github", secret_user_key="user", secret_token_key=None)
    assert caught.value.message == "--secret-token-key is not acceptable: it is required"


def test_an_unknown_value_is_said_not_to_exist():
    assert refused(colour="red") == "--colour is not acceptable: there is no such option"


def test_a_value_outside_a_list_is_told_the_list():
    assert refused(cache="disk") == "--cache 'disk' is not acceptable: use 'none', 'docker', 'source' or 's3'"


def test_numbers_are_not_made_of_text():
    assert refused(timeout_in_minutes="60") == "--timeout-in-minutes '60' is not acceptable: use a whole number"


def test_text_is_not_made_of_numbers():
    assert refused(image=7) == "--image 7 is not acceptable: use text"


def test_credentials_in_an_url_are_not_repeated_in_the_error():
    message = refused(project_url="https://me:ghp_secret@github.com/exasol/slc")
    assert "ghp_secret" not in message
    assert "'https://****@github.com/exasol/slc'" in message


def test_the_error_does_not_carry_the_raw_input_along():
    with pytest.raises(InputError) as caught:
        build(CiBuild, project="Slc", project_url="https://me:ghp_secret@github.com/exasol/slc")
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_a_very_long_value_is_shortened_in_the_error():
    assert len(refused(project="x" * 10_000)) < 400


@pytest.mark.parametrize("field", ["project", "project_url", "branch_filter", "image", "docker_secret", "stack_name"])
@pytest.mark.parametrize("character", ["\n", "\x00", "\x7f", "\x85", "\u2028", "\ud800"])
def test_control_characters_are_refused_everywhere(field: str, character: str):
    message = refused(**{field: f"Slc{character}"})
    assert message.endswith("is not acceptable: control characters are not allowed")
    assert character not in message


@pytest.mark.parametrize("field", ["branch_filter", "image", "project", "project_url"])
def test_a_dynamic_reference_is_refused_everywhere(field: str):
    assert "'{{resolve:' is not allowed" in refused(**{field: "{{resolve:ssm:x}}"})


def test_none_means_not_given():
    assert build(CiBuild, project="Slc", project_url=URL, image=None) == CiBuild(project="Slc", project_url=URL)


def test_a_construct_cannot_be_changed():
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
def test_stacks_are_named_and_tagged_after_their_construct(construct, stack, tags):
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
def test_another_stack_name_can_be_asked_for(construct):
    assert construct.stack_name == "SlcCIBuild"


def test_every_public_name_leads_to_what_has_that_name():
    import exasol_ci_setup.constructs as room

    assert sorted(room.__all__) == sorted(room._PLACES)
    for name in room.__all__:
        assert getattr(room, name).__name__ == ("Scope" if name == "HangarScope" else name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = room.nothing
