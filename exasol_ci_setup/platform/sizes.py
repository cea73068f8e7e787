"""CPU and memory of a container: parse the units of a user, and choose the next size of Fargate."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Final, get_args

from exasol_ci_setup.constructs.service import MEMORY, Cpu
from exasol_ci_setup.core.errors import SpaceRequestError

UNITS: Final = 1024
"""CPU units of one vCPU in ECS."""

_MIB: Final = Decimal(1024 * 1024)
# Bytes by the suffixes of https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/; a number alone is in MiB.
_BYTES: Final = {"Mi": _MIB, "Gi": 1024 * _MIB, "M": Decimal(10**6), "G": Decimal(10**9), "": _MIB}
_CPU_RULE: Final = "write vCPUs, such as 1, 0.5 or 250m"
_MEMORY_RULE: Final = "write MiB, or a number with its unit, such as 512Mi or 1Gi"


@dataclass(frozen=True, slots=True)
class Size:
    """A size that Fargate supports: `cpu` in units of 1/1024 vCPU, `memory` in MiB."""

    cpu: Cpu
    memory: int

    def __str__(self) -> str:
        return f"{self.cpu / UNITS:g} vCPU and {self.memory} MiB"


def cpu_units(text: str | float) -> int:
    """Parse an amount of CPU, vCPUs (``1``, ``0.5``) or millicores (``250m``), and return units of 1/1024 vCPU, rounded up.

    Raises SpaceRequestError.
    """
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)(m?)", str(text).strip())
    if not found or not Decimal(found[1]):
        raise SpaceRequestError(f"invalid amount of CPU: {text!r}", hint=_CPU_RULE)
    return _round_up(Decimal(found[1]) * UNITS / (1000 if found[2] else 1))


def mebibytes(text: str | int) -> int:
    """Parse an amount of memory, MiB or a number with a unit (``512Mi``, ``1Gi``, ``1G``), and return MiB, rounded up.

    Raises SpaceRequestError.
    """
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(Mi|Gi|M|G|)", str(text).strip())
    if not found or not Decimal(found[1]):
        raise SpaceRequestError(f"invalid amount of memory: {text!r}", hint=_MEMORY_RULE)
    return _round_up(Decimal(found[1]) * _BYTES[found[2]] / _MIB)


def fargate(cpu: int, memory: int) -> Size:
    """Return the smallest size of Fargate with at least `cpu` units and `memory` MiB; CPU is minimized first, then memory.

    Raises SpaceRequestError if Fargate has no such size.
    """
    for units in get_args(Cpu):
        enough = next((mib for mib in MEMORY[units] if mib >= memory), None)
        if units >= cpu and enough is not None:
            return Size(units, enough)
    most = max(MEMORY)
    raise SpaceRequestError(
        f"{cpu / UNITS:g} vCPU and {memory} MiB exceed the largest size of Fargate",
        hint=f"the maximum is {most / UNITS:g} vCPU and {max(MEMORY[most])} MiB; {_CPU_RULE}",
    )


def _round_up(amount: Decimal) -> int:
    return int(amount.to_integral_value(ROUND_CEILING))
