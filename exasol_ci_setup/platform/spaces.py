"""Create, show, change and delete spaces: containers that run under host names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.access import review
from exasol_ci_setup.aws.session import translate_aws_errors
from exasol_ci_setup.constructs import space as constructs
from exasol_ci_setup.constructs.base import build
from exasol_ci_setup.constructs.load_balancer import LoadBalancer
from exasol_ci_setup.core.errors import InputError, SpaceConflictError, SpaceRequestError
from exasol_ci_setup.core.reporter import NullReporter
from exasol_ci_setup.platform import (
    domains,
    load_balancer,
    load_balancer_quotas,
    sizes,
    space_images,
    space_releases,
    space_secrets,
)
from exasol_ci_setup.platform import space_stacks as stacks
from exasol_ci_setup.platform.space_releases import Release
from exasol_ci_setup.platform.space_settings import NewSpaceSettings, SpaceSettings, SpaceUpdate, require_known
from exasol_ci_setup.platform.space_stacks import Space
from exasol_ci_setup.platform.stacks import checked_tags, retry
from exasol_ci_setup.platform.stacks import delete as delete_stack
from exasol_ci_setup.template.context import default_context
from exasol_ci_setup.template.render import parse, render

if TYPE_CHECKING:
    import builtins

    from typing_extensions import Unpack

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.core.stacks import Plan, Stack

__all__ = ["Release", "Space", "create", "delete", "get", "list", "releases", "rollback", "update"]

DEFAULT_CPU: Final = "250m"
DEFAULT_MEMORY: Final = "512Mi"
DEFAULT_PORT: Final = 80
_OF_CONTAINER: Final = ("image", "env", "cpu", "memory", "port")
_OF_SERVICE: Final = (
    "domain",
    "certificate_arn",
    "hosted_zone_id",
    "count",
    "health_path",
    "health_interval",
    "grace_period",
    "extra_hosts",
    "redirect_hosts",
    "managed_policy_arns",
    "task_role_policy",
    "enable_exec",
)


def create(name: str, *, context: Context | None = None, **settings: Unpack[NewSpaceSettings]) -> Space:
    """Run a container under a host name, and return the space when it answers. The first space creates the load balancer.

    Without `domain` the space has a port of the load balancer. `cpu` and `memory` are rounded up to the next size of Fargate.
    `port` is 80 by default. For a domain the certificate is looked up in ACM unless `certificate_arn` is set. A DNS record is created in
    `hosted_zone_id`. The other settings are in `NewSpaceSettings`.

    Raises SpaceConflictError if the space exists, SpaceRequestError, TypeError for an unknown setting, and the errors of a deployment.
    """
    require_known("create", settings, NewSpaceSettings)
    context = context or default_context()
    given = _container_values(settings)
    tags = checked_tags(settings.get("tags"))
    stack = stacks.find(context, name)
    if stack is not None:
        raise SpaceConflictError(
            f"space {name!r} already exists: its stack {stack.name} is in {stack.status}",
            hint=f"`exasol-ci-setup space update --name {name}` changes it, `exasol-ci-setup space get --name {name}` shows it",
        )
    if "image" not in given:
        raise SpaceRequestError(f"space {name!r} has no image to run", hint="name one with --image")
    fields = _new_fields(context, name, given, settings)
    existing = load_balancer.find(context)
    balancer = load_balancer.wanted(
        existing,
        certificate_arn=fields.get("certificate_arn"),
        open_ports=fields.get("domain") is None,
        vpc_id=settings.get("vpc_id"),
        subnet_ids=settings.get("subnet_ids", ()),
    )
    wanted = _with_releases(_build_space(balancer, fields), ())
    stacks.require_free_hosts(context, existing, wanted)
    load_balancer_quotas.require_within_quotas(context, existing, _additions({}, wanted))
    stack = retry(context, wanted.stack_name, lambda: stacks.deploy_space(context, wanted, tags=tags))
    made = _with_fields(stacks.describe(stack), wanted.model_dump())
    _protect_image(context, wanted)
    stacks.drop_logs(context, wanted.log_group_prefix, keep=made.log_group)
    _report_address(context, made, wanted)
    return made


def require_acceptable(context: Context, name: str, settings: SpaceSettings) -> None:
    """Validate these values as `create` would, without changes; whether the space exists does not matter. Raises as `create`."""
    checked_tags(settings.get("tags"))
    fields = _new_fields(replace(context, reporter=NullReporter()), name, _container_values(settings), settings)
    _build_space(LoadBalancer(), fields)


def list(*, context: Context | None = None) -> builtins.list[Space]:  # noqa: A001 - the command's name
    """Return all spaces of the account and region, by name."""
    return sorted(map(stacks.describe, stacks.iter_stacks(context or default_context())), key=lambda space: space.name)


def get(name: str, *, context: Context | None = None) -> Space:
    """Return the space called `name`, with its variables, its secrets' ARNs, and its task counts. Raises SpaceNotFoundError."""
    context = context or default_context()
    stack = stacks.require(context, name)
    found = stacks.describe(stack)
    if "ServiceName" not in stack.outputs:
        return found
    fields = stacks.record(stacks.metadata(context, stack))
    with translate_aws_errors():
        services = context.account.client("ecs").describe_services(
            cluster=stack.outputs["ClusterName"], services=[stack.outputs["ServiceName"]]
        )["services"]
    return replace(
        _with_fields(found, fields),
        running=sum(service["runningCount"] for service in services),
        desired=sum(service["desiredCount"] for service in services),
    )


def update(name: str, *, context: Context | None = None, **settings: Unpack[SpaceUpdate]) -> Space:
    """Change only the given values of a space; return it when the new container answers.

    `env` and `secrets` add or replace the variables that they name, and `unset` removes variables of either kind. For another `domain` the
    certificate is looked up again unless one is passed. A new CPU alone keeps the memory as far as Fargate supports the size, and vice versa.
    Without differences nothing changes. Concurrent changes by other processes are kept. The other settings are in `SpaceSettings`.

    Raises SpaceNotFoundError, SpaceRequestError, TypeError for an unknown setting, and the errors of a deployment.
    """
    require_known("update", settings, SpaceUpdate)
    context = context or default_context()
    given = _container_values(settings)
    secrets, unset = settings.get("secrets") or {}, settings.get("unset") or ()

    def attempt() -> Space:
        stack = stacks.require(context, name)
        metadata = stacks.metadata(context, stack)
        before = stacks.record(metadata)
        variables = _variables(context, before, given.get("env", {}), secrets, unset)
        size: Mapping[str, int] = {}
        if given.keys() & {"cpu", "memory"}:
            size = _size(context, given.get("cpu", before["cpu"] / sizes.UNITS), given.get("memory", before["memory"]))
        return _apply_update(context, stack, metadata, {**given, **variables, **size}, settings)

    return retry(context, f"space-{name}", attempt)


def releases(name: str, *, context: Context | None = None) -> builtins.list[Release]:
    """Return the releases of a space, newest first. A change of image, variables, secrets, size or port is a release.

    The last ten are stored, or fewer if they have many variables. Raises SpaceNotFoundError.
    """
    context = context or default_context()
    stack = stacks.require(context, name)
    return space_releases.described(space_releases.stored(stack, stacks.metadata(context, stack)))


def rollback(name: str, *, to: int | None = None, context: Context | None = None) -> Space:
    """Deploy an older release of a space as a new one, and return the space when it answers; without `to` the one before the current.

    Image, variables, secrets, size and port are those of the older release. Raises SpaceNotFoundError, ReleaseNotFoundError, and the errors
    of a deployment.
    """
    context = context or default_context()

    def attempt() -> Space:
        stack = stacks.require(context, name)
        metadata = stacks.metadata(context, stack)
        release = space_releases.find(space_releases.stored(stack, metadata), to, space_name=name)
        context.note(f"rolling back to release {release.number}: {release.image}")
        return _apply_update(context, stack, metadata, release.fields, {})

    return retry(context, f"space-{name}", attempt)


def _apply_update(
    context: Context, stack: Stack, metadata: Mapping[str, Any], given: Mapping[str, Any], settings: SpaceSettings
) -> Space:
    """Apply the changes `given` to the space with the `metadata` of its template, and return it."""
    before = stacks.record(metadata)
    fields = {
        **before,
        **given,
        **_service_values(settings),
    }
    moved = any(fields.get(name, []) != before.get(name, []) for name in ("domain", "extra_hosts", "redirect_hosts"))
    look_up = moved and settings.get("certificate_arn") is None
    if look_up:
        fields.pop("certificate_arn", None)
    zone = fields.get("hosted_zone_id") if moved or settings.get("hosted_zone_id") is not None else None
    fields = _complete_host(context, fields, look_up=look_up, zone=zone)
    if fields.get("secrets", {}) != before.get("secrets", {}):
        fields["kms_keys"] = space_secrets.keys_of(context, fields["secrets"])
    existing = load_balancer.find(context)
    balancer = load_balancer.wanted(
        existing,
        certificate_arn=fields.get("certificate_arn"),
        open_ports=fields.get("domain") is None,
    )
    wanted = _with_releases(_build_space(balancer, fields), space_releases.stored(stack, metadata))
    if moved:
        stacks.require_free_hosts(context, existing, wanted)
    load_balancer_quotas.require_within_quotas(context, existing, _additions(before, wanted))
    granted = _granted_by_secrets(balancer, before, fields) if fields.get("secrets") != before.get("secrets") else set()

    def check(plan: Plan) -> Plan:
        stacks.require_unchanged(context, stack, before)
        marked = (replace(each, granted=each.message in granted) for each in plan.broadenings)
        return replace(plan, broadenings=tuple(marked))

    same_listener = _listener_of(before) == _listener_of(wanted.model_dump())
    tags = checked_tags(settings.get("tags"))
    deployed = stacks.deploy_space(context, wanted, keep_number=same_listener, check=check, tags=tags)
    made = _with_fields(stacks.describe(deployed), wanted.model_dump())
    _protect_image(context, wanted)
    if "certificate_arn" in before and before["certificate_arn"] != wanted.certificate_arn:
        stacks.drop_certificate(context, before["certificate_arn"])
    if moved:
        _report_address(context, made, wanted)
    return made


def _listener_of(fields: Mapping[str, Any]) -> str:
    """Return where the space is in the load balancer: in a listener of its own, or by a rule in one of two listeners."""
    if fields.get("domain") is not None:
        return "http" if fields.get("certificate_arn") is None else "https"
    # A space of an earlier version without a domain has no listener of its own yet.
    return "own" if "listener_port" in fields else ""


def _additions(before: Mapping[str, Any], wanted: constructs.Space) -> dict[str, int]:
    """Return what the deployment of `wanted` adds to the load balancer, compared with the fields `before` of the space, if it exists."""
    moves = not before or _listener_of(before) != _listener_of(wanted.model_dump())
    certificate = wanted.certificate_arn
    return {
        "target groups": 0 if before else 1,
        "rules": int(moves and wanted.host is not None)
        + int(bool(wanted.redirect_hosts) and (moves or not before.get("redirect_hosts"))),
        "listeners": int(moves and wanted.host is None),
        "certificates": int(certificate is not None and certificate != before.get("certificate_arn")),
        "targets": max(0, wanted.most_tasks - before.get("max_count", before.get("count", 1 if before else 0))),
    }


def _granted_by_secrets(balancer: LoadBalancer, before: Mapping[str, Any], fields: Mapping[str, Any]) -> set[str]:
    """Return the review messages for the access that only the new secrets among `fields` grant."""
    # A variable of the same name would be rejected, and grants no access.
    with_secrets = {**before, "env": {}, **{name: fields[name] for name in ("secrets", "kms_keys") if name in fields}}
    old, new = (parse(render(_build_space(balancer, each)).body) for each in (before, with_secrets))
    return {each.message for each in review.review(old, new)}


def delete(name: str, *, context: Context | None = None) -> int:
    """Delete a space with its own resources, and return the number of remaining spaces. The load balancer stays.

    Raises SpaceNotFoundError, and DeleteFailedError.
    """
    context = context or default_context()
    stack = stacks.require(context, name)
    delete_stack(context, stack.name)
    stacks.clean_up(context, stack)
    return sum(1 for _ in stacks.iter_stacks(context))


def _new_fields(context: Context, name: str, given: Mapping[str, Any], settings: SpaceSettings) -> dict[str, Any]:
    """Return the fields of a new space with the values `given` of its container."""
    given_secrets = settings.get("secrets")
    secrets = {} if given_secrets is None else space_secrets.sources_of(context, given_secrets)
    fields = {
        "name": name,
        **given,
        **_size(context, given.get("cpu", DEFAULT_CPU), given.get("memory", DEFAULT_MEMORY)),
        **_service_values(settings),
        "secrets": secrets,
    }
    # Rejects ARNs of other services before they are requested.
    _build_space(LoadBalancer(), fields)
    fields["kms_keys"] = space_secrets.keys_of(context, secrets)
    look_up = settings.get("certificate_arn") is None
    return _complete_host(context, fields, look_up=look_up, zone=settings.get("hosted_zone_id"))


def _service_values(settings: SpaceSettings) -> dict[str, Any]:
    """Return the given settings of the host and of the service. Raises SpaceRequestError for an invalid number of tasks."""
    values = _without_none(**{name: settings.get(name) for name in _OF_SERVICE})
    if "count" in values:
        least, dash, most = str(values["count"]).partition("-")
        if not least.isdecimal() or (dash and not most.isdecimal()):
            raise SpaceRequestError(
                f"invalid number of tasks: {values['count']!r}",
                hint="use a number, or the least and the greatest one, such as 1-4",
            )
        values |= {"count": int(least), "max_count": int(most) if dash else None}
    return values


def _with_releases(space: constructs.Space, before: Sequence[space_releases.StoredRelease]) -> constructs.Space:
    return space.model_copy(update={"release_history": space_releases.history(space_releases.following(before, space))})


def _protect_image(context: Context, deployed: constructs.Space) -> None:
    """Protect the image of the current release from the lifecycle policy of its registry."""
    current = space_releases.latest(deployed.release_history)
    space_images.protect(context, deployed.name, current)


def _without_none(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _container_values(settings: SpaceSettings) -> dict[str, Any]:
    """Return the values of the container, passed as arguments or in the list of containers."""
    flat = _without_none(**{name: settings.get(name) for name in _OF_CONTAINER})
    containers: object = settings.get("containers")
    if containers is None:
        return _as_typed(flat)
    if not isinstance(containers, Sequence) or not all(isinstance(each, Mapping) for each in containers):
        raise SpaceRequestError(
            "containers: use a list with one mapping", hint=f"its keys: name, {', '.join(_OF_CONTAINER)}"
        )
    if len(containers) != 1:
        raise SpaceRequestError(f"a space has one container, not {len(containers)}", hint="create a space for each")
    inside = _without_none(**{key: value for key, value in containers[0].items() if key != "name"})
    if unknown := inside.keys() - set(_OF_CONTAINER):
        raise SpaceRequestError(
            f"unknown key of a container: {min(unknown)!r}", hint=f"known keys: name, {', '.join(_OF_CONTAINER)}"
        )
    if twice := flat.keys() & inside.keys():
        raise SpaceRequestError(f"{min(twice)} is set twice: in the container and as an argument")
    return _as_typed(inside)


def _as_typed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with numbers of variables as text, and texts of a port as a number, as the commands accept them."""
    typed = dict(values)
    env, port = typed.get("env"), typed.get("port")
    if env is not None:
        if not isinstance(env, Mapping):
            raise SpaceRequestError(f"env: {env!r} is not a mapping of names and values")
        typed["env"] = {name: json.dumps(each) if isinstance(each, int | float) else each for name, each in env.items()}
    if isinstance(port, str) and port.isdecimal():
        typed["port"] = int(port)
    return typed


def _size(context: Context, cpu: str | float, memory: str | int) -> dict[str, int]:
    """Return the next size of Fargate for these amounts, and report it if it is another one."""
    wanted = sizes.cpu_units(cpu), sizes.mebibytes(memory)
    size = sizes.fargate(*wanted)
    if (size.cpu, size.memory) != wanted:
        context.note(f"cpu {cpu} and memory {memory}: the next size of Fargate is {size}")
    return {"cpu": size.cpu, "memory": size.memory}


def _variables(
    context: Context,
    before: Mapping[str, Any],
    env: Mapping[str, str],
    secrets: Mapping[str, str],
    unset: Sequence[str],
) -> dict[str, dict[str, str]]:
    """Return the variables and secrets of a space with the fields `before`, after setting and unsetting these.

    A name is either a variable or a secret: setting one kind removes the other. Raises SpaceRequestError.
    """
    if both := (env.keys() | secrets.keys()) & set(unset):
        raise SpaceRequestError(f"{min(both)} is both set and unset", hint="omit one of the two")
    if unknown := set(unset).difference(before["env"], before["secrets"]):
        raise SpaceRequestError(
            f"space {before['name']} has no variable {min(unknown)!r}",
            hint=f"list its variables and secrets with `exasol-ci-setup space get --name {before['name']}`",
        )
    gone = {*unset, *env, *secrets}
    kept = {
        kind: {name: text for name, text in before[kind].items() if name not in gone} for kind in ("env", "secrets")
    }
    return {"env": {**kept["env"], **env}, "secrets": {**kept["secrets"], **space_secrets.sources_of(context, secrets)}}


def _complete_host(context: Context, fields: dict[str, Any], *, look_up: bool, zone: str | None) -> dict[str, Any]:
    """Validate the fields before any change, and return them with the ACM certificate of the host if it is to be looked up."""
    space = _build_space(LoadBalancer(), fields)
    host, *others = (*space.hosts, *space.redirect_hosts) or (None,)
    if host is None:
        return fields
    if zone is not None:
        domains.require_zone(context.account, zone, host)
    if look_up:
        found = domains.certificate_for(context.account, host, others)
        if found is None:
            context.note(f"HTTP only: ACM has no issued certificate for {host} in {context.account.region}")
            return fields
        context.note(f"HTTPS with certificate {found.arn} of ACM for {host}")
        if found.uncovered:
            context.note(
                f"this certificate is not valid for {', '.join(found.uncovered)}: browsers show an error there"
            )
        return {**fields, "certificate_arn": found.arn}
    return fields


def _with_fields(space: Space, fields: Mapping[str, Any]) -> Space:
    """Return the space with the values that its stack's outputs do not have."""
    return replace(
        space,
        env=fields.get("env", {}),
        secrets=fields.get("secrets", {}),
        extra_hosts=tuple(fields.get("extra_hosts", ())),
        redirect_hosts=tuple(fields.get("redirect_hosts", ())),
    )


def _build_space(balancer: LoadBalancer, fields: Mapping[str, Any]) -> constructs.Space:
    # The template stores the fields with sorted names. With another order, the next update would move variables to other places.
    ordered = {
        kind: dict(sorted(fields[kind].items(), key=lambda item: str(item[0])))
        for kind in ("env", "secrets")
        if fields.get(kind)
    }
    try:
        return build(constructs.Space, load_balancer=balancer, **{**fields, **ordered})
    except InputError as error:
        raise SpaceRequestError(error.message, hint=error.hint) from None


def _report_address(context: Context, made: Space, wanted: constructs.Space) -> None:
    """Report the DNS records that the user has to create."""
    named = wanted.hosts if wanted.hosted_zone_id is None else wanted.extra_hosts
    for host in (*named, *wanted.redirect_hosts):
        context.note(f"point {host} to the load balancer: create a CNAME record with {made.dns_name}")
