"""Install this package's changes in ministack when it loads a service. Its files on disk do not change."""

from __future__ import annotations

import functools
import json
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

from exasol_ci_setup.sandbox import (
    access,
    batches,
    builds,
    checksums,
    cloudformation,
    codebuild,
    codebuild_types,
    deployment,
    drift,
    ec2_types,
    ecr,
    elb_types,
    linked_roles,
    parameter_access,
    record_types,
    refusals,
    tasks,
)
from exasol_ci_setup.sandbox.private import Reply, wrap

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_NAME: Final = "exasol_ci_setup"


class OwnState:
    """The state of the extensions, with the interface that ministack uses to save, restore and reset services."""

    def get_state(self) -> dict[str, Any]:
        """Return the state to save, by name."""
        return dict(_stores())

    def load_persisted_state(self, data: dict[str, Any]) -> None:
        """Restore saved state."""
        for name, store in _stores().items():
            store.update(data.get(name, {}))

    def reset(self) -> None:
        """Delete all state."""
        for store in _stores().values():
            store.clear()


@functools.cache
def _stores() -> dict[str, Any]:
    from ministack.core.responses import AccountRegionScopedDict

    names = ("seeded", "source_credentials", "build_batches")
    return {name: AccountRegionScopedDict() for name in names}


@functools.cache
def load_ministack() -> Any:
    """Return ministack's application module with the changes of this package. All calls return the same module."""
    import ministack.app as ministack
    from ministack.core import router

    # For an unknown service, ministack loads the models of all 434 services. This takes 3 s of CPU time, in which it answers no request. With
    # this change, it rejects such a request as unsupported.
    router._is_aws_service_name = lambda _name: True  # noqa: SLF001
    _import_lambda_without_docker()
    access.extend(ministack)
    wrap(ministack, "_get_module", _get_module)
    for service in ("cloudformation", "secretsmanager"):
        wrap(ministack.SERVICE_HANDLERS, service, _handle_with_seeds)
    wrap(ministack.SERVICE_HANDLERS, "cloudformation", _handle_with_caller)
    ministack.SERVICE_REGISTRY["exasol-ci-setup"] = {"module": _NAME}
    ministack._state_map[_NAME] = _NAME  # noqa: SLF001
    ministack._loaded_modules[_NAME] = OwnState()  # noqa: SLF001
    return ministack


def _import_lambda_without_docker() -> None:
    """Import ministack's Lambda, which nearly every service imports, as if the Docker SDK were not installed.

    The sandbox runs no function in a container. The SDK imports Paramiko and requests, which takes a fifth of the time of the start.
    """
    if "docker" in sys.modules:
        return
    sys.modules["docker"] = cast("Any", None)  # so Python marks a module that cannot be imported
    try:
        import_module("ministack.services.lambda_svc")
    finally:
        del sys.modules["docker"]


def _get_module(inner: Callable[[str], Any], name: str) -> Any:
    module = inner(name)
    if name in _EXTENSIONS:
        _EXTENSIONS[name]()
    return module


@functools.cache
def _extend_codebuild() -> None:
    service = codebuild.Service(_stores()["source_credentials"])
    single = builds.Builds(service, load_ministack()._get_module)  # noqa: SLF001
    of_batches = batches.Batches(service, single, _stores()["build_batches"])
    codebuild.extend(service, single, of_batches)


@functools.cache
def _extend_ecs() -> None:
    """Disable ministack's own containers, also if the Docker SDK is installed; `tasks` runs one-off tasks."""
    from ministack.services import ecs

    ecs._get_docker = lambda: None  # noqa: SLF001
    tasks.extend(load_ministack()._get_module)  # noqa: SLF001


_extend_ecr = functools.cache(ecr.extend)


@functools.cache
def _extend_cloudformation() -> None:
    _extend_codebuild()
    _extend_ecr()
    _extend_ecs()
    cloudformation.extend()
    deployment.extend()
    ec2_types.extend()
    elb_types.extend()
    record_types.extend()
    tasks.extend_types()
    refusals.extend()
    drift.extend()
    codebuild_types.extend(_stores()["source_credentials"])


@functools.cache
def _extend_s3() -> None:
    checksums.extend()
    access.extend_presigned()


@functools.cache
def _extend_iam() -> None:
    linked_roles.extend_calls()
    access.extend_simulation()


_EXTENSIONS: Final[dict[str, Callable[[], None]]] = {
    "cloudformation": _extend_cloudformation,
    "cloudwatch_logs": functools.cache(refusals.extend_logs),
    "codebuild": _extend_codebuild,
    "ecr": _extend_ecr,
    "ecs": _extend_ecs,
    "alb": functools.cache(elb_types.extend_calls),
    "ec2": functools.cache(ec2_types.extend_calls),
    "iam": _extend_iam,
    "s3": _extend_s3,
    "ssm": functools.cache(ec2_types.extend_parameters),
}


def end_interrupted_builds() -> None:
    """End builds that were in progress at the end of the last process."""
    why = ("FAULT", "INTERNAL_SERVICE_ERROR", "The sandbox was stopped during this build")
    module = sys.modules.get("ministack.services.codebuild")
    for build in module._builds._data.values() if module else ():  # noqa: SLF001
        if not build.get("buildComplete", True):
            builds.finish(build, *why)
    for batch in _stores()["build_batches"]._data.values():  # noqa: SLF001
        if not batch["complete"]:
            batches.finish(batch, *why)
            for group in batch["buildGroups"]:
                if group["_status"] in {"PENDING", "IN_PROGRESS"}:
                    group["_status"] = "STOPPED"


async def _handle_with_seeds(inner: Callable[..., Awaitable[Reply]], *request: Any) -> Reply:
    seeded = _stores()["seeded"]
    # Recorded, so that a secret which a user deletes is not created again.
    if "secrets" not in seeded:
        seed(load_ministack()._get_module("secretsmanager"))  # noqa: SLF001
        seeded["secrets"] = True
    return await inner(*request)


async def _handle_with_caller(inner: Callable[..., Awaitable[Reply]], *request: Any) -> Reply:
    _, _, headers, _, query = request
    parameter_access.set_caller(headers, query)
    return await inner(*request)


SECRETS: Final = {
    "Dockerhub": {"User": "sandbox-user", "AccessToken": "sandbox-access-token"},
    "github": {"user": "sandbox-user", "token": "sandbox-token"},
}
"""Name of each secret, and the keys and dummy values of the JSON object in it."""


def seed(secretsmanager: Any) -> None:
    """Create missing secrets in the account and region of the current request.

    `secretsmanager` is ministack's module of that service.
    """
    for name, values in SECRETS.items():
        request: dict[str, Any] = {
            "Name": name,
            "SecretString": json.dumps(values),
            "Description": "Dummy values of the sandbox",
        }
        secretsmanager._create_secret(request)  # noqa: SLF001
