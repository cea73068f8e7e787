"""Settings that the stacks of builds and the generated buildspecs share. This module needs no package besides the standard library."""

from __future__ import annotations

from typing import Final, Literal, get_args

from exasol_ci_setup.core.text import nearest

DEFAULT_BUILDSPECS: Final = {
    "ci": "aws-code-build/ci/buildspec.yaml",
    "release": "aws-code-build/release/buildspec.yaml",
}
"""The batch file in the repository that the project reads, for each kind of build."""

DEFAULT_BATCH_LIMIT: Final = 100
"""The maximum number of builds in one batch. CodeBuild enforces it as the project's ``BatchRestrictions.MaximumBuildsAllowed``: a batch
with more fails. AWS's page of quotas (https://docs.aws.amazon.com/codebuild/latest/userguide/limits.html) has no number for it;
100 is the restriction of the projects in AWS's examples
(https://docs.aws.amazon.com/cli/latest/reference/codebuild/start-build-batch.html)."""

DEFAULT_DOCKER_SECRET: Final = "Dockerhub"  # noqa: S105 - the name of a secret, not a secret
NO_DOCKER_SECRET: Final = "none"  # noqa: S105 - no secret
"""The name of the secret of builds that do not log in to Docker Hub."""

ComputeType = Literal[
    "BUILD_GENERAL1_SMALL",
    "BUILD_GENERAL1_MEDIUM",
    "BUILD_GENERAL1_LARGE",
    "BUILD_GENERAL1_XLARGE",
    "BUILD_GENERAL1_2XLARGE",
]
"""The sizes of a privileged Linux container; the Lambda compute types cannot run Docker:
https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-compute-types.html."""

_SHORT: Final[dict[str, ComputeType]] = {name.rpartition("_")[2].lower(): name for name in get_args(ComputeType)}

COMPUTE_TYPE_NAMES: Final = (*_SHORT, *get_args(ComputeType))
"""The accepted names of sizes: ``medium`` is short for ``BUILD_GENERAL1_MEDIUM``."""

COMPUTE_TYPES_IN_WORDS: Final = (
    f"{', '.join([*_SHORT][:-1])} or {[*_SHORT][-1]}, or a name of CodeBuild, such as BUILD_GENERAL1_MEDIUM"
)


def compute_type_of(name: str) -> ComputeType:
    """Return CodeBuild's name of a size, for that name or its last part, such as ``medium``. Case does not count.

    Raises ValueError with the nearest name and the rule.
    """
    last = name.lower().removeprefix("build_general1_")
    if last in _SHORT:
        return _SHORT[last]
    near = nearest(last, _SHORT)
    rule = f"use {COMPUTE_TYPES_IN_WORDS}"
    raise ValueError(f"did you mean {near}? Otherwise {rule}" if near else rule)


DEFAULT_COMPUTE_TYPE: Final[ComputeType] = "BUILD_GENERAL1_MEDIUM"
"""The size for the builds of a batch. The entries of a buildspec override that of the project, so both have this default:
https://docs.aws.amazon.com/codebuild/latest/userguide/batch-build-buildspec.html."""
