"""Option types for parts of constructs: a service, a rule of a security group."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any, Final

import click

from exasol_ci_setup.constructs import Container, Egress, Ingress, PolicyStatement, PortMappings, Service, build  # noqa: TID253 - the options are those of the models
from exasol_ci_setup.constructs.image import image_parts  # noqa: TID253 - the options are those of the models
from exasol_ci_setup.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

_SERVICE: Final = "write name=NAME,image=IMAGE[,port=PORT][,count=N][,cpu=N][,memory=MIB][,command=WORDS][,env.NAME=VALUE][,secret.NAME=ARN]"
_RULE: Final = "write PROTOCOL:PORT:CIDR, such as tcp:443:10.0.0.0/8, with PORT-PORT for a range and * for all ports"
_NUMBERS: Final = ("cpu", "memory", "count")
_SINGLE: Final = frozenset({"name", "image", "command", *_NUMBERS})
_ALL_PORTS: Final = {"tcp": (0, 65_535), "udp": (0, 65_535)}
_ALL_ICMP_TYPES: Final = (-1, -1)

# Names of the models' fields in the option's value, as an error of `build` names them.
_FIELD_NAMES: Final = {
    "--source": "image",
    "--tag": "image",
    "--container-port": "port",
    "--start-command": "command",
    "--env-vars": "env",
    "--protocol": "the protocol",
    "--from-port": "the port",
    "--to-port": "the port",
    "--cidr-ip": "the block of addresses",
}


def _with_field_names(error: InputError) -> str:
    """Return the message of an error of `build` with the names of the option's value."""
    return re.sub(
        r"(--[a-z-]+)((?:\.\w+)*)",
        lambda match: _FIELD_NAMES.get(match[1], match[1].removeprefix("--")) + match[2],
        error.message,
    )


class ServiceType(click.ParamType):  # type: ignore[type-arg] # generic only in newer releases of click
    """A service as NAME=VALUE pairs, separated by commas; a value that contains a comma needs quotation marks."""

    name = "service"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Service:
        """Return the service."""
        try:
            return self._service(str(value))
        except InputError as error:
            self.fail(_with_field_names(error), param, ctx)
        except ValueError as error:
            self.fail(f"{error}: {_SERVICE}", param, ctx)

    def _service(self, text: str) -> Service:
        single: dict[str, str] = {}
        groups: dict[str, dict[str, str]] = {"env": {}, "secret": {}}
        ports = []
        for key, value in _pairs(text):
            kind, dot, name = key.partition(".")
            if key == "port":
                ports.append(build(PortMappings, container_port=_number(key, value)))
                continue
            if dot and name and kind in groups:
                target, entry = groups[kind], name
            elif key in _SINGLE:
                target, entry = single, key
            else:
                raise ValueError(f"a service has no field {key!r}")
            if entry in target:
                raise ValueError(f"duplicate key {key!a}")
            target[entry] = value
        if not {"name", "image"} <= single.keys():
            raise ValueError("a service needs a name and an image")
        source, tag = image_parts(single["image"])
        return build(
            Service,
            name=single["name"],
            container=build(
                Container, source=source, tag=tag, start_command=single.get("command"), port_mappings=ports
            ),
            env_vars=groups["env"],
            secrets=groups["secret"],
            **{key: _number(key, single[key]) for key in _NUMBERS if key in single},
        )


def _pairs(text: str) -> list[tuple[str, str]]:
    words = shlex.shlex(text, posix=True, punctuation_chars=False)
    words.whitespace = ","
    words.whitespace_split = True
    words.commenters = ""
    pairs = [word.partition("=") for word in words]
    if not pairs or any(not equals or not value for _, equals, value in pairs):
        raise ValueError("write NAME=VALUE")
    return [(key, value) for key, _, value in pairs]


def _number(key: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError(f"{key} is not a whole number")
    return int(text)


class RuleType(click.ParamType):  # type: ignore[type-arg] # as above
    """A rule of a security group as PROTOCOL:PORT:CIDR."""

    def __init__(self, name: str, create: Callable[..., Ingress | Egress]) -> None:
        self.name = name
        self._create = create

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Ingress | Egress:
        """Return the rule."""
        match = re.fullmatch(r"([a-z0-9]+):(\*|[0-9]{1,5}(?:-[0-9]{1,5})?):(.+)", str(value))
        if not match:
            self.fail(f"{value!r} is not a rule: {_RULE}", param, ctx)
        protocol = "-1" if match[1] == "all" else match[1]
        first, _, last = match[2].partition("-")
        ports = _ALL_PORTS.get(protocol, _ALL_ICMP_TYPES) if first == "*" else (int(first), int(last or first))
        try:
            return self._create(from_port=ports[0], to_port=ports[1], protocol=protocol, cidr_ip=[match[3]])
        except InputError as error:
            self.fail(_with_field_names(error), param, ctx)


def _ingress(**values: Any) -> Ingress:
    return build(Ingress, **values)


def _egress(**values: Any) -> Egress:
    return build(Egress, **values)


class StatementsType(click.ParamType):  # type: ignore[type-arg] # as above
    """A file with a list of statements of an IAM policy."""

    name = "statements"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[PolicyStatement, ...]:
        """Return the statements of the file. Raises InputError if it cannot be read or has an invalid statement."""
        from exasol_ci_setup.template.input_files import label, parse_data, read_text

        name = label(value)
        found = parse_data(name, read_text(value))
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            self.fail(
                f"{name} is not a list of statements: write [{{...}}], the list in Statement of a policy", param, ctx
            )
        return tuple(_statement(name, number, each) for number, each in enumerate(found, 1))


def _statement(file: str, number: int, values: dict[str, Any]) -> PolicyStatement:
    try:
        return build(PolicyStatement, **values)
    except InputError as error:
        raise InputError(f"{file}: statement {number}: {_in_policy(error.message)}") from None


def _in_policy(message: str) -> str:
    """Return the message of an error of `build` with the names of a policy."""
    elements = {field: element for element, field in PolicyStatement.also_known_as.items()}
    message = message.removeprefix("the combination of values is invalid: ").replace(
        "unknown option", "unknown element"
    )
    return re.sub(
        r"--([A-Za-z-]+)",
        lambda match: elements.get(match[1].replace("-", "_"), match[1][:1].upper() + match[1][1:]),
        message,
    )


STATEMENTS: Final = StatementsType()
SERVICE: Final = ServiceType()
INGRESS: Final = RuleType("ingress", _ingress)
EGRESS: Final = RuleType("egress", _egress)
