"""The codes and exit codes of the errors."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from exasol_ci_setup.core import errors

PAGE = Path(__file__).parents[2] / "docs/cli.md"


def test_codes_and_exit_codes_match_page():
    """Users match them: a class that is renamed keeps its code."""
    kinds = [each for each in vars(errors).values() if inspect.isclass(each) and issubclass(each, errors.SetupError)]

    rows = re.findall(r"^\| (\d+) \|[^|]+\| (`.+`) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert {(each.code, each.exit_code) for each in kinds} == {
        (code.strip("`"), int(exit_code)) for exit_code, codes in rows for code in codes.split(", ")
    }


def test_code_is_class_name_in_kebab_case():
    class SSHKeyLostError(errors.SSHError):
        """No base class gives its code to a subclass."""

    assert SSHKeyLostError.code == "ssh-key-lost"


def test_stated_code_replaces_class_name():
    assert errors.StackNotUpdatableError.code == "stack-stuck"
    assert errors.PlanOutdatedError.code == errors.StackBusyError.code
