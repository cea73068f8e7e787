"""How much processor and memory a container gets: the units that people write, and the next pair that Fargate has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Final, get_args

from exasol_ci_setup.constructs.service import MEMORY, Cpu
from exasol_ci_setup.errors import SpaceRequestError

UNITS: Final = 1024
"""Units of processor in one vCPU, as ECS counts them."""

_MIB: Final = Decimal(1024 * 1024)
# Bytes by the suffixes of https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/; a number alone is in MiB.
_BYTES: Final = {"Mi": _MIB, "Gi": 1024 * _MIB, "M": Decimal(10**6), "G": Decimal(10**9), "": _MIB}
_CPU_RULE: Final = "write vCPUs, such as 1, 0.5 or 250m"
_MEMORY_RULE: Final = "write MiB, or a number with its unit, such as 512Mi or 1Gi"


@dataclass(frozen=True, slots=True)
class Size:
    """A pair that Fargate has: `cpu` in units of which 1024 are one vCPU, `memory` in MiB."""

    cpu: Cpu
    memory: int

    def __str__(self) -> str:
        return f"{self.cpu / UNITS:g} vCPU and {self.memory} MiB"


def cpu_units(text: str | float) -> int:
    """Return the units of processor, 1024 of which are one vCPU, in `text`: vCPUs (``1``, ``0.5``) or thousandths of one (``250m``).

    Parts of a unit count as a whole one. Raises SpaceRequestError.
    """
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)(m?)", str(text).strip())
    if not found or not Decimal(found[1]):
        raise SpaceRequestError(f"{text!r} is no amount of processor", hint=_CPU_RULE)
    return _whole(Decimal(found[1]) * UNITS / (1000 if found[2] else 1))


def mebibytes(text: str | int) -> int:
    """Return the MiB in `text`: a number of them, or one with a unit (``512Mi``, ``1Gi``, ``1G``). Parts of a MiB count as a whole one.

    Raises SpaceRequestError.
    """
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(Mi|Gi|M|G|)", str(text).strip())
    if not found or not Decimal(found[1]):
        raise SpaceRequestError(f"{text!r} is no amount of memory", hint=_MEMORY_RULE)
    return _whole(Decimal(found[1]) * _BYTES[found[2]] / _MIB)


def fargate(cpu: int, memory: int) -> Size:
    """Return the smallest pair that Fargate has with at least `cpu` units and `memory` MiB: the least processor, then the least memory.

    Raises SpaceRequestError if that is more than Fargate has.
    """
    for units in get_args(Cpu):
        enough = next((mib for mib in MEMORY[units] if mib >= memory), None)
        if units >= cpu and enough is not None:
            return Size(units, enough)
    most = max(MEMORY)
    raise SpaceRequestError(
        f"{cpu / UNITS:g} vCPU and {memory} MiB are more than Fargate has for one task",
        hint=f"it has at most {most / UNITS:g} vCPU and {max(MEMORY[most])} MiB; {_CPU_RULE}",
    )


def _whole(amount: Decimal) -> int:
    return int(amount.to_integral_value(ROUND_CEILING))
