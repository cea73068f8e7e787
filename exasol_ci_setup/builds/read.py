"""Read batches and builds from CodeBuild."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws.session import ignore_aws_errors, translate_aws_errors
from exasol_ci_setup.builds.model import Batch, Build, batch_of, build_of, id_of, time_of
from exasol_ci_setup.core.errors import AccessDeniedError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mypy_boto3_codebuild import CodeBuildClient

# https://docs.aws.amazon.com/codebuild/latest/APIReference/API_BatchGetBuilds.html; the same limit applies to batches.
_IDS_PER_CALL: Final = 100
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{1,149}:[A-Za-z0-9-]{1,64}")


class Reader:
    """Reads one batch with all its builds; requests each ended build only once."""

    def __init__(self, codebuild: CodeBuildClient, batch_id: str) -> None:
        self.codebuild = codebuild
        self.batch_id = batch_id
        self._ended: dict[str, Build] = {}

    def read(self) -> Batch:
        """Return the current batch. Raises InputError if it does not exist."""
        batch = get_batch(self.codebuild, self.batch_id)
        wanted = {build.id: build for build in batch.builds if build.id and build.id not in self._ended}
        found = dict(self._ended)
        for answer in _describe(self.codebuild, list(wanted)):
            build = build_of(answer, wanted[answer["id"]])
            found[build.id] = build
            # The batch may report the end before or after the build itself does.
            if build.has_ended and wanted[build.id].has_ended:
                self._ended[build.id] = build
        return replace(batch, builds=tuple(_newer(found.get(build.id), build) for build in batch.builds))


def get_batch(codebuild: CodeBuildClient, batch_id: str) -> Batch:
    """Return the batch with this id, with the data of its builds that the batch has. Raises InputError if it does not exist."""
    batch = find_batch(codebuild, batch_id)
    if batch is None:
        raise _not_found(codebuild, batch_id)
    return batch


def find_batch(codebuild: CodeBuildClient, batch_id: str) -> Batch | None:
    """Return the batch with this id, or None if it does not exist."""
    with translate_aws_errors():
        answer = codebuild.batch_get_build_batches(ids=[batch_id])
    found = answer.get("buildBatches", [])
    return batch_of(found[0], as_of=time_of(answer)) if found else None


def find(codebuild: CodeBuildClient, name: str) -> Batch | Build:
    """Return the batch or the build with the id or ARN `name`; a batch includes the details of its builds.

    Raises InputError if `name` is neither, or if the batch or build does not exist.
    """
    wanted = parse_id(name)
    if find_batch(codebuild, wanted) is not None:
        return Reader(codebuild, wanted).read()
    found = _describe(codebuild, [wanted])
    if not found:
        raise _not_found(codebuild, wanted)
    return build_of(found[0])


def require_batch(codebuild: CodeBuildClient, name: str) -> Batch:
    """Return the batch with the id or ARN `name`. Raises InputError, which names the batch if `name` is a build's."""
    found = find(codebuild, name)
    if isinstance(found, Build):
        raise InputError(
            f"{found.id} is a single build, not a batch",
            hint=f"its batch is {found.batch_id}" if found.batch_id else "it belongs to no batch",
        )
    return found


def parse_id(name: str) -> str:
    """Return the id of a build or batch from an id or ARN. Raises InputError."""
    found = id_of(name.strip())
    if not _ID.fullmatch(found):
        raise InputError(
            f"{name!r} is not the id of a build",
            hint="an id has the form PROJECT:UUID; list the builds with `exasol-ci-setup builds`",
        )
    return found


def recent(
    codebuild: CodeBuildClient, projects: Sequence[str] | None, *, limit: int, with_builds: bool = False
) -> list[Batch]:
    """Return the newest batches, at most `limit`, newest first: those of `projects`, or of the whole account for None.

    The builds in a batch have few values, unless `with_builds` requests their details too.
    """
    newest = []
    for project in projects if projects is not None else [None]:
        with translate_aws_errors():
            newest += _get_batches(codebuild, list(islice(_ids(codebuild, project), limit)))
    newest.sort(key=lambda batch: batch.started.timestamp() if batch.started else 0.0, reverse=True)
    return _with_builds(codebuild, newest[:limit]) if with_builds else newest[:limit]


def _with_builds(codebuild: CodeBuildClient, batches: Sequence[Batch]) -> list[Batch]:
    """Return the batches with the details of their builds."""
    summaries = {build.id: build for batch in batches for build in batch.builds if build.id}
    found = {
        answer["id"]: build_of(answer, summaries[answer["id"]]) for answer in _describe(codebuild, list(summaries))
    }
    return [
        replace(batch, builds=tuple(_newer(found.get(build.id), build) for build in batch.builds)) for batch in batches
    ]


def repository_of(codebuild: CodeBuildClient, project: str) -> str:
    """Return the URL of the repository that a CodeBuild project builds; empty if it does not exist, or the caller must not read it."""
    return repositories_of(codebuild, [project]).get(project, "")


def repositories_of(codebuild: CodeBuildClient, projects: Sequence[str]) -> dict[str, str]:
    """Return the URLs of the repositories of CodeBuild projects, by project, without those that cannot be read."""
    found: dict[str, str] = {}
    for start in range(0, len(projects), _IDS_PER_CALL):
        # https://docs.aws.amazon.com/codebuild/latest/APIReference/API_BatchGetProjects.html
        with suppress(AccessDeniedError), translate_aws_errors():
            answer = codebuild.batch_get_projects(names=projects[start : start + _IDS_PER_CALL])
            found |= {each["name"]: each.get("source", {}).get("location", "") for each in answer["projects"]}
    return found


def _ids(codebuild: CodeBuildClient, project: str | None) -> Iterable[str]:
    if project is None:
        for page in codebuild.get_paginator("list_build_batches").paginate(sortOrder="DESCENDING"):
            yield from page.get("ids", [])
        return
    of_project = codebuild.get_paginator("list_build_batches_for_project")
    with ignore_aws_errors("ResourceNotFoundException"):
        for found in of_project.paginate(projectName=project, sortOrder="DESCENDING"):
            yield from found.get("ids", [])


def _get_batches(codebuild: CodeBuildClient, ids: Sequence[str]) -> list[Batch]:
    found: list[Batch] = []
    for start in range(0, len(ids), _IDS_PER_CALL):
        answer = codebuild.batch_get_build_batches(ids=ids[start : start + _IDS_PER_CALL])
        found += [batch_of(entry, as_of=time_of(answer)) for entry in answer.get("buildBatches", [])]
    return found


def _describe(codebuild: CodeBuildClient, ids: Sequence[str]) -> list[Any]:
    found: list[Any] = []
    for start in range(0, len(ids), _IDS_PER_CALL):
        with translate_aws_errors():
            found += codebuild.batch_get_builds(ids=ids[start : start + _IDS_PER_CALL]).get("builds", [])
    return found


def _newer(details: Build | None, summary: Build) -> Build:
    """Return the more recent data of a build: its details, unless only the batch reports its end."""
    if details is None:
        return summary
    if summary.has_ended and not details.has_ended:
        return replace(details, status=summary.status)
    return details


def _not_found(codebuild: CodeBuildClient, wanted: str) -> InputError:
    return InputError(
        f"build {wanted} does not exist in {codebuild.meta.region_name}",
        hint="list the builds with `exasol-ci-setup builds`; check --region and --aws-profile",
    )
