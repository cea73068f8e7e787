"""Parameters of the source credentials cannot change the dynamic reference that contains them."""

from __future__ import annotations

import pytest

from exasol_ci_setup.constructs import SourceCredentials, build
from exasol_ci_setup.core.errors import InputError

GOOD = {"secret_name": "github", "secret_user_key": "user", "secret_token_key": "token"}


@pytest.mark.parametrize("field", ["secret_user_key", "secret_token_key"])
@pytest.mark.parametrize("key", ["", "a:b", "a}}", "{a", "a b", 'a"', "a\\", "${a}", "a\n"])
def test_key_that_ends_reference_is_rejected(field: str, key: str):
    with pytest.raises(InputError, match=f"--{field.replace('_', '-')} "):
        build(SourceCredentials, **{**GOOD, field: key})


@pytest.mark.parametrize("name", ["", "a:b", "a}}", "arn:aws:secretsmanager:eu-central-1:123456789012:secret:x"])
def test_secret_that_ends_reference_is_rejected(name: str):
    with pytest.raises(InputError, match="--secret-name "):
        build(SourceCredentials, **{**GOOD, "secret_name": name})


@pytest.mark.parametrize(
    "name",
    ["github", "team/github_1+=.@-", "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:team/github-AbCd12"],
)
def test_secret_name_or_full_arn_is_accepted(name: str):
    assert build(SourceCredentials, **{**GOOD, "secret_name": name}).secret_name == name
