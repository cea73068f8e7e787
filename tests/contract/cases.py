"""The names of cases, the groups that run in one process, and the cases that fail at an endpoint that differs from AWS."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE: Final = Path(__file__).parent
BUILDS: Final = frozenset({"source-credentials", "ci-build", "release-build"})
"""The kinds of stacks that use CodeBuild's one access to GitHub."""


@functools.cache
def failures(kind: str) -> Mapping[str, str]:
    """Return the reason of each case that fails at this kind of endpoint, from `expected-KIND.yaml`. AWS has none."""
    path = HERE / f"expected-{kind}.yaml"
    if not path.exists():
        return {}
    found: Mapping[str, str] = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    return found


def case_of(node_id: str) -> str:
    """Return the name of a case: that of its test without the folder, such as ``stacks: deploy[registry]``."""
    file, _, name = node_id.rpartition("/")[2].partition("::")
    return f"{file.removeprefix('test_').removesuffix('.py')}: {name.removeprefix('test_')}"


def group_of(node_id: str) -> str:
    """Return the group of a case. The cases of a group depend on each other, and run in their order."""
    file, _, name = case_of(node_id).partition(": ")
    kind = name.partition("[")[2].removesuffix("]")
    if kind in BUILDS or (file == "builds" and "image" not in name):
        return "builds"
    if file == "platform":
        return next(each for each in ("storage", "secret", "registry", "space") if each in name)
    return kind or (name if file == "builds" else file)
