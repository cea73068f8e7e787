"""Turn ministack's checks of signatures and policies on or off."""

from __future__ import annotations

import json
from contextlib import suppress
from contextvars import ContextVar
from itertools import count, takewhile
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.sandbox.private import wrap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


def extend(ministack: Any) -> None:
    """Make ministack treat all requests as encrypted, and find the stack of a change set.

    Policies that require TLS would reject these local requests.
    """
    from ministack.core import iam_actions

    wrap(ministack, "pin_request_origin", lambda inner, source_ip, _is_secure: inner(source_ip, True))
    wrap(iam_actions, "extract_resource_arn", _extract_resource_arn)


# The values of condition keys in the simulation that is evaluated.
_SIMULATED: Final[ContextVar[Mapping[str, list[str]] | None]] = ContextVar("simulated", default=None)


def extend_simulation() -> None:
    """Make ministack's SimulatePrincipalPolicy use the condition keys of the request.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
    """
    from ministack.core import iam_evaluator
    from ministack.services import iam

    def resolve(inner: Callable[..., Any], key: str, context: Any) -> Any:
        found = (_SIMULATED.get() or {}).get(key.lower())
        if found is None:
            return inner(key, context)
        return found[0] if len(found) == 1 else found

    def simulate(inner: Callable[..., Any], request: Any) -> Any:
        token = _SIMULATED.set(dict(_context_entries(iam, request)))
        try:
            return inner(request)
        finally:
            _SIMULATED.reset(token)

    wrap(iam_evaluator, "_resolve_condition_key", resolve)
    wrap(iam._IAM_HANDLERS, "SimulatePrincipalPolicy", simulate)  # noqa: SLF001


def _context_entries(iam: Any, request: Any) -> Iterator[tuple[str, list[str]]]:
    """Yield the condition keys of a simulation with their values."""
    for number in count(1):
        entry = f"ContextEntries.member.{number}"
        key = iam._p(request, f"{entry}.ContextKeyName")  # noqa: SLF001
        if not key:
            return
        values = (iam._p(request, f"{entry}.ContextKeyValues.member.{each}") for each in count(1))  # noqa: SLF001
        yield key.lower(), list(takewhile(bool, values))


def extend_presigned() -> None:
    """Make ministack's S3 accept presigned URLs of all credentials, unless access control is on."""
    from ministack.services import s3

    wrap(s3, "_verify_presigned_sigv4", _verify_presigned)


def _verify_presigned(inner: Callable[..., Any], *request: Any) -> Any:
    import ministack.app as ministack

    refused = inner(*request)
    is_signature = refused is not None and b"SignatureDoesNotMatch" in refused[2]
    return None if is_signature and not ministack.AUTH else refused


def _extract_resource_arn(inner: Callable[..., Any], service: str, *arguments: Any, **options: Any) -> Any:
    """Return the ARN against which a request is checked: of a change set, its stack; of a build, its project; of a public parameter, one without an account.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscloudformation.html
    """
    found = inner(service, *arguments, **options)
    if service == "ssm" and ":parameter/aws/service/" in str(found):
        # Public parameters belong to AWS: https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-public-parameters.html
        head, _, rest = str(found).partition(":parameter/")
        return f"{head.rpartition(':')[0]}::parameter/{rest}"
    if service == "codebuild" and found == "*":
        return _project_of_build(arguments, options) or found
    if service == "ecs":
        return _ecs_service(*arguments) or found
    if service != "cloudformation" or found != "*":
        return found
    from ministack.services.cloudformation import _change_sets

    given = next((each for each in arguments if isinstance(each, dict) and "ChangeSetName" in each), {})
    values = given.get("ChangeSetName", "")
    name = values[0] if isinstance(values, list) and values else values
    return _change_sets[name]["StackId"] if name in _change_sets else found


def _project_of_build(arguments: tuple[Any, ...], options: dict[str, Any]) -> str:
    """Return the ARN of the project of the first build or batch that a request names; empty without one.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscodebuild.html
    """
    from ministack.core.responses import get_account_id, get_region

    body = next(
        (each for each in (*arguments, *options.values()) if isinstance(each, bytes) and each[:1] == b"{"), b"{}"
    )
    request = json.loads(body)
    names = request.get("ids") or [request.get("id") or ""]
    # An ARN ends with the ID, PROJECT:UUID.
    project = str(names[0]).rpartition("/")[2].partition(":")[0]
    return f"arn:aws:codebuild:{get_region()}:{get_account_id()}:project/{project}" if project else ""


def _ecs_service(*request: Any) -> str:
    """Return the ARN of the service of a request to ECS, or an empty text; ministack checks such requests against the cluster.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html
    """
    _method, _path, _headers, body, _query, region, account_id = request
    values: dict[str, Any] = {}
    with suppress(ValueError):
        values = json.loads(body or b"{}")
    name = values.get("service") or next(iter(values.get("services") or []), "")
    cluster = str(values.get("cluster") or "default").rpartition("/")[2]
    if not name or name.startswith("arn:"):
        return str(name)
    return f"arn:aws:ecs:{region}:{account_id}:service/{cluster}/{name}"


def control(ministack: Any, *, on: bool) -> None:
    """Turn access control on or off. If it is off, all requests are allowed.

    If it is on, identity, resource, session and trust policies and permissions boundaries apply. The key of the account is its root user, which
    has all permissions.
    """
    ministack.AUTH = on
