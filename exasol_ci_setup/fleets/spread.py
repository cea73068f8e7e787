"""Compare the stacks of a StackSet with the wanted ones, and plan the operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.core.stacks import ABSENT, Setting, Stack
from exasol_ci_setup.stacks.preview import between_templates
from exasol_ci_setup.template.render import has_transform, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from exasol_ci_setup.core.stacks import Plan
    from exasol_ci_setup.fleets.model import StackSet
    from exasol_ci_setup.stacks.request import Request

# AWS excludes the management account from every operation.
_EXCLUDED: Final = frozenset({"INOPERABLE", "SKIPPED_SUSPENDED_ACCOUNT"})
_NOTE: Final = "planned from the templates alone: AWS has no change sets for StackSets"


@dataclass(frozen=True, slots=True)
class Batch:
    """The units, accounts (empty for all of the units) and regions of one operation."""

    units: Sequence[str]
    accounts: Sequence[str]
    regions: Sequence[str]

    @property
    def targets(self) -> Any:
        """The parameter DeploymentTargets: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DeploymentTargets.html."""
        only = {"Accounts": list(self.accounts), "AccountFilterType": "INTERSECTION"} if self.accounts else {}
        return {"OrganizationalUnitIds": list(self.units), **only}


@dataclass(frozen=True, slots=True)
class DeployedStackSet:
    """An existing StackSet: its description, and its stacks in accounts and regions."""

    description: Mapping[str, Any]
    instances: Sequence[Mapping[str, Any]]

    @property
    def tags(self) -> dict[str, str]:
        """The tags of the set, which its stacks have too."""
        return {each["Key"]: each["Value"] for each in self.description.get("Tags", [])}

    @property
    def template(self) -> dict[str, Any]:
        """The parsed template."""
        return parse(self.description.get("TemplateBody", "{}"))

    @property
    def units(self) -> list[str]:
        """The organizational units of previous operations."""
        return list(self.description.get("OrganizationalUnitIds", []))

    @property
    def regions(self) -> list[str]:
        """The regions with stacks."""
        return list(self.description.get("Regions", []))

    @property
    def auto_deployment(self) -> dict[str, bool]:
        """The parameter AutoDeployment, with all keys."""
        found = self.description.get("AutoDeployment", {})
        return _auto(on=bool(found.get("Enabled")), retain=bool(found.get("RetainStacksOnAccountRemoval")))

    @property
    def outdated(self) -> list[Mapping[str, Any]]:
        """The stacks that are not current, and that AWS would update."""
        return [
            each
            for each in self.instances
            if each.get("Status") not in {"CURRENT", *_EXCLUDED}
            and each.get("StackInstanceStatus", {}).get("DetailedStatus") not in _EXCLUDED
        ]

    def missing(self, wanted: StackSet) -> Iterator[Batch]:
        """Yield the new regions, and the new accounts or units in the regions that have stacks."""
        units, accounts = wanted.organizational_units, wanted.accounts
        if new_regions := [each for each in wanted.regions if each not in self.regions]:
            yield Batch(units, accounts, new_regions)
        old_regions = [each for each in wanted.regions if each in self.regions]
        if not old_regions:
            return
        have = {each.get("Account") for each in self.instances}
        if more := [each for each in accounts if each not in have]:
            yield Batch(units, more, old_regions)
        elif not accounts and (new_units := [each for each in units if each not in self.units]):
            yield Batch(new_units, (), old_regions)

    def as_stack(self, name: str) -> Stack:
        """Return the StackSet in the form of a stack."""
        return Stack(name, str(self.description.get("StackSetARN", "")), "CREATE_COMPLETE", tags=self.tags)


@dataclass(frozen=True, slots=True)
class StackSetPlan:
    """The difference between `wanted` and an existing StackSet, or none."""

    wanted: StackSet
    there: DeployedStackSet | None

    @property
    def auto_deployment(self) -> dict[str, bool]:
        """The wanted parameter AutoDeployment."""
        return _auto(on=self.wanted.auto_deployment, retain=self.wanted.retain_stacks)

    def is_changed(self, request: Request) -> bool:
        """Return whether the set itself differs, and so all of its stacks."""
        return self.there is not None and (
            has_transform(self.there.template)
            or self.there.template != parse(request.template.body)
            or self.there.tags != dict(request.tags)
            or self.there.auto_deployment != self.auto_deployment
        )

    @property
    def outdated(self) -> Batch | None:
        """The stacks that are not current, such as those whose last operation failed."""
        outdated = self.there.outdated if self.there is not None else []
        if not outdated:
            return None
        accounts, regions = (
            list(dict.fromkeys(str(each.get(key, "")) for each in outdated)) for key in ("Account", "Region")
        )
        return Batch(self.wanted.organizational_units, accounts, regions)

    @property
    def missing(self) -> list[Batch]:
        """The places where stacks are missing."""
        wanted = self.wanted
        if self.there is None:
            return [Batch(wanted.organizational_units, wanted.accounts, wanted.regions)]
        return list(self.there.missing(wanted))

    def plan(self, request: Request) -> Plan:
        """Return the changes that the template and the description of the set show."""
        return between_templates(
            request,
            self.there.template if self.there is not None else None,
            {},
            stack_id=self.there.as_stack(request.name).id if self.there is not None else "",
            settings=tuple(self._settings(request)),
            notes=(_NOTE, *self._undeclared_notes()),
        )

    def _settings(self, request: Request) -> Iterator[Setting]:
        if self.there is None:
            yield Setting("organizational units", ABSENT, list(self.wanted.organizational_units))
            if self.wanted.accounts:
                yield Setting("accounts", ABSENT, list(self.wanted.accounts))
            yield Setting("regions", ABSENT, list(self.wanted.regions))
            return
        for batch in self.missing:
            where = ", ".join(batch.accounts or batch.units)
            yield Setting(f"stacks in {where}", ABSENT, list(batch.regions))
        if self.there.auto_deployment != self.auto_deployment:
            yield Setting("automatic deployment", self.there.auto_deployment, self.auto_deployment)
        if self.there.tags != dict(request.tags):
            yield Setting("tags", self.there.tags, dict(request.tags))
        if self.there.outdated:
            yield Setting("stacks that are not current", len(self.there.outdated), 0)

    def _undeclared_notes(self) -> Iterator[str]:
        """Yield notes on existing stacks that are not declared."""
        if self.there is None:
            return
        for what, there, wanted in (
            ("units", self.there.units, self.wanted.organizational_units),
            ("regions", self.there.regions, self.wanted.regions),
        ):
            if extra := [each for each in there if each not in wanted]:
                yield f"{what} that are not declared keep their stacks: {', '.join(extra)}"

    def preferences(self, regions: Sequence[str]) -> Any:
        """Return the parameter OperationPreferences, with the operation's regions in the order of the file.

        Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_StackSetOperationPreferences.html.
        """
        wanted = self.wanted
        given = {
            "FailureToleranceCount": wanted.failure_tolerance,
            "FailureTolerancePercentage": wanted.failure_tolerance_percentage,
            "MaxConcurrentCount": wanted.max_concurrent,
            "MaxConcurrentPercentage": wanted.max_concurrent_percentage,
        }
        first = [each for each in wanted.regions if each in regions]
        return {
            "RegionConcurrencyType": wanted.region_concurrency.upper(),
            "RegionOrder": [*first, *(each for each in regions if each not in first)],
            "ConcurrencyMode": f"{wanted.concurrency_mode.upper()}_FAILURE_TOLERANCE",
            **{name: value for name, value in given.items() if value is not None},
        }


def _auto(*, on: bool, retain: bool) -> dict[str, bool]:
    # The retention of stacks in accounts that leave can be set only if AWS deploys automatically.
    return {"Enabled": True, "RetainStacksOnAccountRemoval": retain} if on else {"Enabled": False}
