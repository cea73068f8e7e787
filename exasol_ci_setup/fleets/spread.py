"""Where a StackSet's stacks are and where they are to be: what differs, and which accounts and regions an operation is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup import templates
from exasol_ci_setup.resolve.preview import between_templates
from exasol_ci_setup.stacks.model import ABSENT, Setting, Stack

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from exasol_ci_setup.fleets.model import StackSet
    from exasol_ci_setup.stacks.model import Plan, Request

# AWS leaves these out of every operation.
_PASSED_OVER: Final = frozenset({"INOPERABLE", "SKIPPED_SUSPENDED_ACCOUNT"})
_NOTE: Final = "AWS makes no change sets for StackSets: this is seen from the templates alone"


@dataclass(frozen=True, slots=True)
class Batch:
    """The units, accounts (empty for all of the units) and regions that one operation is for."""

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
    """A StackSet as it is: AWS's description of it, and of its stacks in accounts and regions."""

    description: Mapping[str, Any]
    instances: Sequence[Mapping[str, Any]]

    @property
    def tags(self) -> dict[str, str]:
        """The tags of the set, which its stacks have too."""
        return {each["Key"]: each["Value"] for each in self.description.get("Tags", [])}

    @property
    def template(self) -> dict[str, Any]:
        """The parsed template."""
        return templates.parse(self.description.get("TemplateBody", "{}"))

    @property
    def units(self) -> list[str]:
        """The organizational units that were asked for so far."""
        return list(self.description.get("OrganizationalUnitIds", []))

    @property
    def regions(self) -> list[str]:
        """The regions in which there are stacks."""
        return list(self.description.get("Regions", []))

    @property
    def auto_deployment(self) -> dict[str, bool]:
        """The parameter AutoDeployment, in full."""
        found = self.description.get("AutoDeployment", {})
        return _auto(on=bool(found.get("Enabled")), retain=bool(found.get("RetainStacksOnAccountRemoval")))

    @property
    def left(self) -> list[Mapping[str, Any]]:
        """The stacks that are not as the StackSet says, and that AWS would work on."""
        return [
            each
            for each in self.instances
            if each.get("Status") not in {"CURRENT", *_PASSED_OVER}
            and each.get("StackInstanceStatus", {}).get("DetailedStatus") not in _PASSED_OVER
        ]

    def as_stack(self, name: str) -> Stack:
        """Return what is known of it in the words for a stack."""
        return Stack(name, str(self.description.get("StackSetARN", "")), "CREATE_COMPLETE", tags=self.tags)


@dataclass(frozen=True, slots=True)
class StackSetPlan:
    """How `wanted` compares with a StackSet that is there, or with none."""

    wanted: StackSet
    there: DeployedStackSet | None

    @property
    def auto_deployment(self) -> dict[str, bool]:
        """The parameter AutoDeployment that is wanted."""
        return _auto(on=self.wanted.auto_deployment, retain=self.wanted.retain_stacks)

    def is_changed(self, request: Request) -> bool:
        """Return whether the set itself differs, and with it all of its stacks."""
        return self.there is not None and (
            templates.has_transform(self.there.template)
            or self.there.template != templates.parse(request.template.body)
            or self.there.tags != dict(request.tags)
            or self.there.auto_deployment != self.auto_deployment
        )

    @property
    def left(self) -> Batch | None:
        """The stacks that are not current, such as those in which the last operation failed."""
        left = self.there.left if self.there is not None else []
        if not left:
            return None
        accounts, regions = (
            list(dict.fromkeys(str(each.get(key, "")) for each in left)) for key in ("Account", "Region")
        )
        return Batch(self.wanted.organizational_units, accounts, regions)

    @property
    def missing(self) -> list[Batch]:
        """Where stacks are to be made."""
        units, accounts = self.wanted.organizational_units, self.wanted.accounts
        old_regions = [each for each in self.wanted.regions if self.there is not None and each in self.there.regions]
        new_regions = [each for each in self.wanted.regions if each not in old_regions]
        found = [Batch(units, accounts, new_regions)] if new_regions else []
        if not old_regions or self.there is None:
            return found
        have = {each.get("Account") for each in self.there.instances}
        more = [each for each in accounts if each not in have] if accounts else []
        new_units = [each for each in units if each not in self.there.units] if not accounts else []
        if more:
            found.append(Batch(units, more, old_regions))
        elif new_units:
            found.append(Batch(new_units, (), old_regions))
        return found

    def plan(self, request: Request) -> Plan:
        """Return what would change, as far as the template and the set's description tell."""
        return between_templates(
            request,
            self.there.template if self.there is not None else None,
            {},
            stack_id=self.there.as_stack(request.name).id if self.there is not None else "",
            settings=tuple(self._settings(request)),
            notes=(_NOTE, *self._left_alone()),
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
        if self.there.left:
            yield Setting("stacks that are not current", len(self.there.left), 0)

    def _left_alone(self) -> Iterator[str]:
        """Yield remarks on what is there and not declared."""
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
    # What becomes of stacks in accounts that leave can be said only where AWS looks after them.
    return {"Enabled": True, "RetainStacksOnAccountRemoval": retain} if on else {"Enabled": False}
