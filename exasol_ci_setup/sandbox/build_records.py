"""Assemble the records of builds and batches: settings with overrides, and phases."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.sandbox.api import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from exasol_ci_setup.sandbox.private import Values

# A token makes a request idempotent for five minutes: API_StartBuild, API_StartBuildBatch.
_TOKEN_SECONDS: Final = 300

# Members of StartBuild and StartBuildBatch, and the member of the project that each replaces.
_OVERRIDES: Final = {
    "secondarySourcesOverride": "secondarySources",
    "secondarySourcesVersionOverride": "secondarySourceVersions",
    "artifactsOverride": "artifacts",
    "secondaryArtifactsOverride": "secondaryArtifacts",
    "cacheOverride": "cache",
    "serviceRoleOverride": "serviceRole",
    "timeoutInMinutesOverride": "timeoutInMinutes",
    "buildTimeoutInMinutesOverride": "timeoutInMinutes",
    "queuedTimeoutInMinutesOverride": "queuedTimeoutInMinutes",
    "encryptionKeyOverride": "encryptionKey",
    "logsConfigOverride": "logsConfig",
}
_SOURCE_OVERRIDES: Final = {
    "sourceTypeOverride": "type",
    "sourceLocationOverride": "location",
    "sourceAuthOverride": "auth",
    "gitCloneDepthOverride": "gitCloneDepth",
    "gitSubmodulesConfigOverride": "gitSubmodulesConfig",
    "buildspecOverride": "buildspec",
    "insecureSslOverride": "insecureSsl",
    "reportBuildStatusOverride": "reportBuildStatus",
    "reportBuildBatchStatusOverride": "reportBuildStatus",
}
_ENVIRONMENT_OVERRIDES: Final = {
    "environmentTypeOverride": "type",
    "imageOverride": "image",
    "computeTypeOverride": "computeType",
    "certificateOverride": "certificate",
    "privilegedModeOverride": "privilegedMode",
    "registryCredentialOverride": "registryCredential",
    "imagePullCredentialsTypeOverride": "imagePullCredentialsType",
}
_COPIED: Final = (
    "secondarySources",
    "secondarySourceVersions",
    "secondaryArtifacts",
    "cache",
    "serviceRole",
    "queuedTimeoutInMinutes",
    "vpcConfig",
    "encryptionKey",
    "fileSystemLocations",
)


def settings(project: Mapping[str, Any], request: Mapping[str, Any]) -> Values:
    """Return the members of a project with the overrides of a StartBuild or StartBuildBatch request."""
    found: Values = dict(project)
    found.update({ours: request[theirs] for theirs, ours in _OVERRIDES.items() if theirs in request})
    found["source"] = {**project["source"], **_chosen(request, _SOURCE_OVERRIDES)}
    found["environment"] = with_environment(
        project["environment"],
        {
            **_chosen(request, _ENVIRONMENT_OVERRIDES),
            "environmentVariables": request.get("environmentVariablesOverride", []),
        },
    )
    found["sourceVersion"] = request.get("sourceVersion") or project.get("sourceVersion", "")
    if "buildBatchConfigOverride" in request:
        found["buildBatchConfig"] = {**project.get("buildBatchConfig", {}), **request["buildBatchConfigOverride"]}
    return found


def with_environment(environment: Mapping[str, Any], override: Mapping[str, Any]) -> Values:
    """Return `environment` with the members of `override`, and variables replaced by name.

    Values of the types SECRETS_MANAGER and PARAMETER_STORE remain references.
    """
    variables = {
        variable["name"]: {"type": "PLAINTEXT", **variable}
        for layer in (environment, override)
        for variable in layer.get("environmentVariables", [])
    }
    return {**environment, **override, "environmentVariables": list(variables.values())}


def common(project: Mapping[str, Any], initiator: str) -> Values:
    """Return the members that builds and batches copy from `project`, the result of `settings`."""
    return {
        "startTime": time.time(),
        "sourceVersion": project["sourceVersion"] or None,
        "projectName": project["name"],
        "phases": [],
        "source": project["source"],
        "artifacts": artifacts(project["artifacts"]),
        "environment": project["environment"],
        "initiator": initiator,
        **{name: project[name] for name in _COPIED if project.get(name) is not None},
        "secondaryArtifacts": [artifacts(entry) for entry in project.get("secondaryArtifacts", [])],
    }


def artifacts(configured: Mapping[str, Any]) -> Values:
    """Return the location of a project's artifacts as a build shows it. No artifacts are uploaded."""
    kept = ("overrideArtifactName", "encryptionDisabled", "artifactIdentifier", "bucketOwnerAccess")
    shown = {name: configured[name] for name in kept if name in configured}
    if configured.get("type") != "S3":
        return {"location": "", **shown}
    path = "/".join(filter(None, [configured["location"], configured.get("path"), configured.get("name")]))
    return {"location": f"arn:aws:s3:::{path}", **shown}


def enter(record: Values, phase: str) -> None:
    """Begin a phase of a build or a batch. A phase in progress has no status, as on AWS."""
    record["phases"].append({"phaseType": phase, "startTime": time.time()})
    record["currentPhase"] = phase


def leave(record: Values, status: str, code: str = "", message: str = "") -> None:
    """End the phase in progress, if any."""
    phase = record["phases"][-1] if record["phases"] else None
    if phase is None or "endTime" in phase:
        return
    now = time.time()
    phase.update(
        {
            "phaseStatus": status,
            "endTime": now,
            "durationInSeconds": int(now - phase["startTime"]),
            "contexts": [{"statusCode": code, "message": message}],
        }
    )


def public(record: Mapping[str, Any]) -> Values:
    """Return a record without members that are not part of the API."""
    return {name: value for name, value in record.items() if not name.startswith("_") and value is not None}


def find(records: Any, request: Values, kind: str) -> Values:
    """Return the build or batch that a request names. Raises ApiError if it does not exist."""
    name = str(request.get("id", ""))
    record: Values | None = records.get(bare_id(name))
    if record is None:
        raise ApiError("ResourceNotFoundException", f"{kind} cannot be found: {name}")
    return record


def find_repeated(records: Any, request: Values) -> Values | None:
    """Return the build or batch that a request with the same token has started. Raises ApiError if that request differs."""
    token = str(request.get("idempotencyToken", ""))
    for record in records.values() if token else ():
        known: Values = record.get("_request", {})
        if known.get("idempotencyToken") == token and time.time() - record["startTime"] < _TOKEN_SECONDS:
            if known != request:
                raise ApiError("InvalidInputException", f"Parameter mismatch: {token} came with another request")
            found: Values = record
            return found
    return None


def batch_get(records: Any, request: Values, name: str, describe: Callable[[Values], Values]) -> Values:
    """Return the builds or batches with the ids or ARNs of a request as the member `name`, and the missing ones."""
    found = {each: records.get(bare_id(each)) for each in request.get("ids", [])}
    return {
        name: [describe(record) for record in found.values() if record],
        f"{name}NotFound": [each for each, record in found.items() if not record],
    }


def bare_id(identifier: str) -> str:
    """Return the id of a build or batch, given its id or ARN."""
    return identifier.rpartition("/")[2] if identifier.startswith("arn:") else identifier


def next_number(records: Iterable[Mapping[str, Any]], project: str, name: str) -> int:
    """Return the number of the next record of a project. `name` is the member with the number."""
    return 1 + max((record[name] for record in records if record["projectName"] == project), default=0)


def _chosen(request: Mapping[str, Any], names: Mapping[str, str]) -> Values:
    return {ours: request[theirs] for theirs, ours in names.items() if theirs in request}
