"""The check of account IDs before a fleet is deployed."""

from __future__ import annotations

import pytest

from exasol_ci_setup.core.errors import CredentialsInvalidError, InputError, WrongAccountError
from exasol_ci_setup.fleets import identified, load
from exasol_ci_setup.programs import Connections
from tests.answers import ACCOUNT_ID, AwsError

FILE = """
targets:
  one: {{region: eu-central-1, profile: one, allowed_accounts: {allowed}}}
  two: {{region: eu-central-1, profile: two, allowed_accounts: {two}}}
projects:
  A: {{project_url: https://github.com/a/a, ci: , target: one}}
  B: {{project_url: https://github.com/a/b, {stack}, target: two}}
"""


@pytest.fixture
def guard(tmp_path, clock, answers):
    def check(
        *,
        allowed: str = "null",
        stack: str = "ci: ",
        two: str = "null",
        select: tuple[str, ...] = (),
        guarded: bool = True,
    ):
        path = tmp_path / "fleet.yaml"
        path.write_text(FILE.format(allowed=allowed, two=two, stack=stack), encoding="utf-8")
        connect = Connections(clock, lambda _scope: answers.account)
        return identified(load(path).selected(select), connect, guarded=guarded)

    return check


def answer(answers, account: str = ACCOUNT_ID) -> None:
    answers.on("sts", "GetCallerIdentity", {"Account": account, "Arn": f"arn:aws:iam::{account}:user/a"})


def test_allowed_account_is_accepted(guard, answers):
    answer(answers)

    assert guard(allowed=f'["{ACCOUNT_ID}"]') == {"one": ACCOUNT_ID, "two": ACCOUNT_ID}
    assert answers.names() == ["GetCallerIdentity"] * 2


@pytest.mark.parametrize("allowed", ['["999999999999"]', "[]"])
def test_other_account_is_rejected_with_both_ids(guard, answers, allowed):
    answer(answers)

    with pytest.raises(
        WrongAccountError, match=f"target one leads to account {ACCOUNT_ID}, but .* allows (9+|none)"
    ) as caught:
        guard(allowed=allowed)
    assert caught.value.exit_code == 4


def test_unselected_target_is_not_checked(guard, answers):
    answer(answers)

    assert guard(allowed='["999999999999"]', select=("B",)) == {"two": ACCOUNT_ID}


def test_invalid_credentials_are_reported_with_target(guard, answers):
    answers.on("sts", "GetCallerIdentity", AwsError("ExpiredToken", "The security token has expired", status=403))

    with pytest.raises(CredentialsInvalidError, match="target one: AWS rejected the credentials"):
        guard()


def test_same_stack_in_two_targets_of_one_account_is_rejected(guard, answers):
    answer(answers)

    with pytest.raises(
        InputError, match=f"one/A and two/A are the same stack: both targets lead to account {ACCOUNT_ID}"
    ):
        guard(stack="ci: {stack_name: A}")


def test_all_wrong_targets_are_reported_together(guard, answers):
    answer(answers)

    with pytest.raises(WrongAccountError, match=r"target one leads to .*: nothing was done\ntarget two leads to"):
        guard(allowed='["999999999999"]', two='["888888888888"]')
