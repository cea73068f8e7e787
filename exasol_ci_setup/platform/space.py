"""The verbs of spaces: containers that run under host names, on Fargate behind a load balancer that they share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup import review, secretsmanager, templates
from exasol_ci_setup.aws import translate_aws_errors
from exasol_ci_setup.constructs import space as constructs
from exasol_ci_setup.constructs.base import build
from exasol_ci_setup.errors import InputError, SpaceConflictError, SpaceRequestError, StackBusy
from exasol_ci_setup.platform import domains, load_balancer, sizes
from exasol_ci_setup.platform import space_stacks as stacks
from exasol_ci_setup.platform.place import NullReport, here
from exasol_ci_setup.platform.place import delete as delete_stack
from exasol_ci_setup.platform.space_add import add
from exasol_ci_setup.platform.space_stacks import Space

if TYPE_CHECKING:
    import builtins
    from collections.abc import Mapping, Sequence

    from exasol_ci_setup.platform.place import Place

__all__ = ["Space", "add", "create", "delete", "get", "list", "update"]

DEFAULT_CPU: Final = "250m"
DEFAULT_MEMORY: Final = "512Mi"
# How often a space is looked at anew when other runs change it meanwhile.
_TRIES: Final = 5
_OF_CONTAINER: Final = ("image", "env", "cpu", "memory", "port")


def create(
    name: str,
    *,
    image: str | None = None,
    domain: str | None = None,
    env: Mapping[str, str] | None = None,
    cpu: str | float | None = None,
    memory: str | int | None = None,
    port: int | None = None,
    secrets: Mapping[str, str] | None = None,
    certificate_arn: str | None = None,
    hosted_zone_id: str | None = None,
    containers: Sequence[Mapping[str, Any]] | None = None,
    vpc_id: str | None = None,
    subnet_ids: Sequence[str] = (),
    place: Place | None = None,
) -> Space:
    """Run a container under a host name, and return the space when it answers; the load balancer is made with the first one.

    The host is `domain` if that begins with the name and a dot, else `name.domain`; without a domain it is the name before that of the
    load balancer. `cpu` is in vCPUs (``"1"``, ``"0.5"``, ``"250m"``), `memory` in MiB or with a unit (``"512Mi"``, ``"1Gi"``); they become
    the next pair that Fargate has. `port` is the one that the container listens on (80). `secrets` are names or ARNs of secrets by the
    variables that take their values. For a domain a certificate is looked for in ACM unless `certificate_arn` gives one; in
    `hosted_zone_id` a record is made. `containers` may hold image, env, cpu, memory and port in a mapping of its own; a space has one
    container, which is called after it. `vpc_id` and `subnet_ids` say where the load balancer is made (the default VPC).

    Raises SpaceConflictError if there is a space of that name, SpaceRequestError, and the errors of a deployment.
    """
    place = here(place)
    given = _flat(containers, {"image": image, "env": env, "cpu": cpu, "memory": memory, "port": port})
    stack = stacks.find(place, name)
    if stack is not None:
        raise SpaceConflictError(
            f"space {name!r} is there already: its stack {stack.name} is in {stack.status}",
            hint=f"`exasol-ci-setup space update --name {name}` changes it, `exasol-ci-setup space get --name {name}` shows it",
        )
    if "image" not in given:
        raise SpaceRequestError(f"space {name!r} has no image to run", hint="give one with --image")
    fields = _new_fields(
        place,
        name,
        given,
        secrets=secrets,
        domain=domain,
        certificate_arn=certificate_arn,
        hosted_zone_id=hosted_zone_id,
    )
    balancer = load_balancer.wanted(
        load_balancer.find(place),
        certificate_arn=fields.get("certificate_arn"),
        vpc_id=vpc_id,
        subnet_ids=subnet_ids,
    )
    wanted = _made(balancer, fields)
    made = stacks.describe(stacks.deployed(place, wanted))
    stacks.drop_logs(place, wanted.log_group_prefix, but=made.log_group)
    _say_how_to_reach(place, made, hosted_zone_id)
    return made


def require_acceptable(
    name: str,
    *,
    domain: str | None = None,
    secrets: Mapping[str, str] | None = None,
    certificate_arn: str | None = None,
    hosted_zone_id: str | None = None,
    place: Place,
    **given: Any,
) -> None:
    """Make nothing, and raise what `create` would raise for a space with these values; whether there is one already does not matter."""
    fields = _new_fields(
        replace(place, report=NullReport()),
        name,
        _given(**given),
        secrets=secrets,
        domain=domain,
        certificate_arn=certificate_arn,
        hosted_zone_id=hosted_zone_id,
    )
    _made(constructs.LoadBalancer(), fields)


def list(*, place: Place | None = None) -> builtins.list[Space]:  # noqa: A001 - the verb's name
    """Return all spaces of the account and region, by name."""
    return sorted(map(stacks.describe, stacks.every(here(place))), key=lambda space: space.name)


def get(name: str, *, place: Place | None = None) -> Space:
    """Return the space called `name`, with its variables, its secrets' ARNs, and how many tasks run. Raises SpaceNotFound."""
    place = here(place)
    stack = stacks.require(place, name)
    found = stacks.describe(stack)
    if "ServiceName" not in stack.outputs:
        return found
    fields = stacks.record(place, stack)
    with translate_aws_errors():
        services = place.account.client("ecs").describe_services(
            cluster=stack.outputs["ClusterName"], services=[stack.outputs["ServiceName"]]
        )["services"]
    return replace(
        found,
        env=fields.get("env", {}),
        secrets=fields.get("secrets", {}),
        running=sum(service["runningCount"] for service in services),
        desired=sum(service["desiredCount"] for service in services),
    )


def update(
    name: str,
    *,
    image: str | None = None,
    domain: str | None = None,
    env: Mapping[str, str] | None = None,
    cpu: str | float | None = None,
    memory: str | int | None = None,
    port: int | None = None,
    secrets: Mapping[str, str] | None = None,
    certificate_arn: str | None = None,
    hosted_zone_id: str | None = None,
    containers: Sequence[Mapping[str, Any]] | None = None,
    unset: Sequence[str] = (),
    place: Place | None = None,
) -> Space:
    """Change what is given of a space, and nothing else; return it when the new container answers.

    `env` and `secrets` add or replace the variables that they name, and `unset` removes variables of either kind. With another `domain` a
    certificate is looked for again unless one is given. A processor alone keeps the memory as far as Fargate has the pair, and the other
    way round. Where nothing differs, nothing is done. What another run changes of the space meanwhile stays changed.

    Raises SpaceNotFound, SpaceRequestError, and the errors of a deployment.
    """
    place = here(place)
    given = _flat(containers, {"image": image, "env": env, "cpu": cpu, "memory": memory, "port": port})
    for _ in range(_TRIES):
        stack = stacks.require(place, name)
        before = stacks.record(place, stack)
        careful = replace(place, report=stacks.Unchanged(place, stack, before))
        try:
            return _updated(
                careful,
                before,
                {**given, **_variables(place, before, given.get("env", {}), secrets or {}, unset)},
                domain=domain,
                certificate_arn=certificate_arn,
                hosted_zone_id=hosted_zone_id,
            )
        except stacks.OutdatedError:
            place.report.say(f"space {name} was changed by another run meanwhile: looking at it anew")
    raise StackBusy(f"space {name} is changed again and again by others", stack_name=stack.name)


def _updated(
    place: Place,
    before: Mapping[str, Any],
    given: Mapping[str, Any],
    *,
    domain: str | None,
    certificate_arn: str | None,
    hosted_zone_id: str | None,
) -> Space:
    """Change what is given of the space whose fields are `before`, and return it."""
    if given.keys() & {"cpu", "memory"}:
        size = _size(place, given.get("cpu", before["cpu"] / sizes.UNITS), given.get("memory", before["memory"]))
        given = {**given, **size}
    fields = {
        **before,
        **given,
        **_given(domain=domain, certificate_arn=certificate_arn, hosted_zone_id=hosted_zone_id),
    }
    moved = fields.get("domain") != before.get("domain")
    look_up = moved and certificate_arn is None
    if look_up:
        fields.pop("certificate_arn", None)
    zone = fields.get("hosted_zone_id") if moved or hosted_zone_id is not None else None
    fields = _with_host(place, fields, look_up=look_up, zone=zone)
    balancer = load_balancer.wanted(load_balancer.find(place), certificate_arn=fields.get("certificate_arn"))
    wanted = _made(balancer, fields)
    if fields.get("secrets") != before.get("secrets"):
        place = replace(place, report=stacks.Granted(place.report, _granted(balancer, before, fields)))
    same_listener = _made(balancer, before).listener_output == wanted.listener_output
    made = stacks.describe(stacks.deployed(place, wanted, keep_priority=same_listener))
    if "certificate_arn" in before and before["certificate_arn"] != wanted.certificate_arn:
        stacks.drop_certificate(place, before["certificate_arn"])
    if moved:
        _say_how_to_reach(place, made, wanted.hosted_zone_id)
    return made


def _granted(balancer: constructs.LoadBalancer, before: Mapping[str, Any], fields: Mapping[str, Any]) -> set[str]:
    """Return what the secrets among `fields` alone give more access to than the space had, in the words of a plan."""
    # A variable of the same name would be refused, and gives no access.
    with_secrets = {**before, "secrets": fields.get("secrets", {}), "env": {}}
    old, new = (templates.parse(templates.render(_made(balancer, each)).body) for each in (before, with_secrets))
    return {each.message for each in review.review(old, new)}


def delete(name: str, *, place: Place | None = None) -> int:
    """Delete a space with all that is its own, and return how many spaces there still are. The load balancer stays.

    Raises SpaceNotFound, and DeleteFailed.
    """
    place = here(place)
    stack = stacks.require(place, name)
    delete_stack(place, stack.name)
    stacks.clean_up(place, stack)
    return sum(1 for _ in stacks.every(place))


def _new_fields(
    place: Place,
    name: str,
    given: Mapping[str, Any],
    *,
    secrets: Mapping[str, str] | None,
    certificate_arn: str | None,
    hosted_zone_id: str | None,
    **more: Any,
) -> dict[str, Any]:
    """Return the fields of a space that is not there yet."""
    fields = {
        "name": name,
        **given,
        **_size(place, given.get("cpu", DEFAULT_CPU), given.get("memory", DEFAULT_MEMORY)),
        **_given(certificate_arn=certificate_arn, hosted_zone_id=hosted_zone_id, **more),
        **_given(secrets=_arns(place, secrets)),
    }
    return _with_host(place, fields, look_up=certificate_arn is None, zone=hosted_zone_id)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _flat(containers: Sequence[Mapping[str, Any]] | None, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is given of the container, be it by itself or in the list of containers."""
    flat = _given(**values)
    if containers is None:
        return flat
    if len(containers) != 1:
        raise SpaceRequestError(
            f"a space has one container, and {len(containers)} are given", hint="make a space for each"
        )
    inside = _given(**{key: value for key, value in containers[0].items() if key != "name"})
    if unknown := inside.keys() - set(_OF_CONTAINER):
        raise SpaceRequestError(
            f"a container has no {min(unknown)!r}", hint=f"it has: name, {', '.join(_OF_CONTAINER)}"
        )
    if twice := flat.keys() & inside.keys():
        raise SpaceRequestError(f"{min(twice)} is given twice, in the container and beside it")
    return inside


def _size(place: Place, cpu: str | float, memory: str | int) -> dict[str, int]:
    """Return the pair that Fargate has for what is asked, and tell it."""
    size = sizes.fargate(sizes.cpu_units(cpu), sizes.mebibytes(memory))
    place.report.say(f"cpu {cpu} and memory {memory}: Fargate's next size is {size}")
    return {"cpu": size.cpu, "memory": size.memory}


def _variables(
    place: Place, before: Mapping[str, Any], env: Mapping[str, str], secrets: Mapping[str, str], unset: Sequence[str]
) -> dict[str, dict[str, str]]:
    """Return the variables and secrets of a space with the fields `before`, after these are set, and those `unset` are removed.

    A name is a variable or a secret: one that is set as the one is removed from the other. Raises SpaceRequestError.
    """
    if both := (env.keys() | secrets.keys()) & set(unset):
        raise SpaceRequestError(f"{min(both)} is set and unset at once", hint="omit one of the two")
    if unknown := set(unset).difference(before["env"], before["secrets"]):
        raise SpaceRequestError(
            f"space {before['name']} has no variable {min(unknown)!r}",
            hint=f"`exasol-ci-setup space get --name {before['name']}` shows the variables and secrets it has",
        )
    gone = {*unset, *env, *secrets}
    kept = {
        kind: {name: text for name, text in before[kind].items() if name not in gone} for kind in ("env", "secrets")
    }
    return {"env": {**kept["env"], **env}, "secrets": {**kept["secrets"], **(_arns(place, secrets) or {})}}


def _arns(place: Place, secrets: Mapping[str, str] | None) -> dict[str, str] | None:
    """Return the secrets with their names replaced by full ARNs."""
    if secrets is None:
        return None
    client = place.account.client("secretsmanager")
    return {
        variable: secret if secret.startswith("arn:") else secretsmanager.team_arn_of(client, secret, option="--secret")
        for variable, secret in secrets.items()
    }


def _with_host(place: Place, fields: dict[str, Any], *, look_up: bool, zone: str | None) -> dict[str, Any]:
    """Check the fields before anything is made, and return them with the certificate that ACM has for the host, if it is to be looked up."""
    host = _made(constructs.LoadBalancer(), fields).host
    if host is None:
        return fields
    if zone is not None:
        domains.require_zone(place.account, zone, host)
    if look_up:
        found = domains.certificate_for(place.account, host)
        place.report.say(
            f"HTTPS with the certificate {found}, found in ACM for {host}"
            if found
            else f"HTTP alone: ACM has no issued certificate for {host} in {place.account.region}"
        )
        return {**fields, **_given(certificate_arn=found)}
    return fields


def _made(balancer: constructs.LoadBalancer, fields: Mapping[str, Any]) -> constructs.Space:
    try:
        return build(constructs.Space, load_balancer=balancer, **fields)
    except InputError as error:
        raise SpaceRequestError(error.message, hint=error.hint) from None


def _say_how_to_reach(place: Place, space: Space, hosted_zone_id: str | None) -> None:
    if not space.url:
        place.report.say(
            f"no domain leads to {space.name} yet; to try it: curl -H 'Host: {space.host}' http://{space.dns_name}/"
        )
    elif hosted_zone_id is None:
        place.report.say(f"let {space.host} lead to the load balancer: a CNAME record with {space.dns_name}")
