"""Delete the declared stacks of a program, dependents first."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.core import task_graph
from exasol_ci_setup.core.errors import InUseError, StackError
from exasol_ci_setup.core.tags import TAG_PREFIX
from exasol_ci_setup.core.task_graph import End, Node
from exasol_ci_setup.programs.interrupt import InterruptibleClock
from exasol_ci_setup.programs.templates import template_of
from exasol_ci_setup.stacks import delete as deletion
from exasol_ci_setup.stacks import removed, state, users
from exasol_ci_setup.stacks.resources import of_id
from exasol_ci_setup.stacks.users import Surroundings, require_none

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.constructs.scope import Scope
    from exasol_ci_setup.core.clock import Clock
    from exasol_ci_setup.core.reporter import Reporter
    from exasol_ci_setup.core.stacks import Plan, Stack
    from exasol_ci_setup.core.task_graph import Ended
    from exasol_ci_setup.programs.declared import Declared
    from exasol_ci_setup.programs.deployment import Stacks
    from exasol_ci_setup.stacks.resources import Resource

SCOPE_TAG = f"{TAG_PREFIX}scope"


@dataclass(frozen=True, slots=True)
class ExistingStack:
    """An existing stack, its account, and its resources; `needs` are the stacks that must be deleted before it.

    `removal` is the plan that deletes it.
    `declared_tags` are those of the declared construct with its name, empty if none is declared.
    """

    account: Account
    stack: Stack
    resources: tuple[Resource, ...]
    removal: Plan
    needs: tuple[str, ...] = ()
    declared_tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def going(self) -> list[Resource]:
        """The resources that the deletion removes."""
        return removed.resources_of(self.removal)


def find_existing(declared: Stacks, connect: Callable[[Scope], Account]) -> dict[str, ExistingStack]:
    """Return the existing stacks with declared names, dependencies first.

    An empty stack that only holds a change set is skipped: the change set may belong to another process.

    Raises the errors of `translate_aws_errors`.
    """
    found: dict[str, ExistingStack] = {}

    def look(name: str) -> None:
        construct = declared.constructs[name]
        account = connect(declared.scope_of(name))
        stack = state.find(account.client("cloudformation"), construct.stack_name)
        if stack is not None and not state.is_absent(stack):
            found[name] = replace(existing_stack(account, stack), declared_tags=construct.tags)

    task_graph.read_all(declared.constructs, look)
    backwards = task_graph.order(task_graph.backwards(declared.nodes))
    # A stack that does not exist delays nothing.
    return {
        node.name: replace(found[node.name], needs=tuple(name for name in _through(node, backwards, found)))
        for node in backwards
        if node.name in found
    }


def _through(node: Node, nodes: Sequence[Node], there: Mapping[str, object]) -> list[str]:
    """Return the nearest dependencies of `node` that are in `there`, through those that are not."""
    needs = {each.name: each.needs for each in nodes}
    left, near = list(node.needs), dict[str, None]()
    while left:
        name = left.pop()
        if name in there:
            near[name] = None
        else:
            left.extend(needs[name])
    return list(near)


def undeclared(declared: Declared, connect: Callable[[Scope], Account]) -> dict[str, ExistingStack]:
    """Return the stacks of the declared constructs' scopes that no construct declares, the newest first.

    Raises the errors of `translate_aws_errors`.
    """
    found: dict[str, ExistingStack] = {}
    for scope in declared.scopes:
        account = connect(scope)
        for stack in of_scope(account, scope.name):
            if stack.name not in declared.constructs and not state.is_absent(stack):
                found[stack.name] = existing_stack(account, stack)
    return newest_first(found)


def newest_first(found: Mapping[str, ExistingStack]) -> dict[str, ExistingStack]:
    """Return the stacks in the order of their creation, the newest first."""
    by_age = sorted(found.items(), key=lambda item: item[1].stack.created or datetime.min.replace(tzinfo=timezone.utc))
    return dict(reversed(by_age))


class Removable:
    """Stacks to delete, and the stacks around them that may use them."""

    def __init__(self, going: Mapping[str, ExistingStack]) -> None:
        self._going = going
        # Two scopes may have the same account.
        accounts = {_place(each.stack): each.account for each in going.values()}
        self._around = {place: Surroundings(each.client("cloudformation")) for place, each in accounts.items()}
        for each in self._around.values():
            each.read()
        self._marks = {
            name: self._around[_place(each.stack)].marks(each.stack, each.going) for name, each in going.items()
        }

    def in_order(self) -> dict[str, ExistingStack]:
        """Return the stacks to delete, dependents first.

        The order in the program counts if it does not contradict what is deployed.
        """
        needs: dict[str, list[str]] = {name: [] for name in self._going}

        def comes_before(first: str, then: str) -> bool:
            left, seen = [then], {then}
            while left:
                more = [each for each in needs[left.pop()] if each not in seen]
                seen.update(more)
                left.extend(more)
            return first in seen

        deployed = [(name, user) for name in needs for user in needs if user != name and self._uses(user, name)]
        for name, user in [*deployed, *((name, user) for name, each in self._going.items() for user in each.needs)]:
            # A cycle must start somewhere.
            if user not in needs[name] and not comes_before(name, user):
                needs[name].append(user)
        ordered = task_graph.order(Node(name, tuple(each)) for name, each in needs.items())
        return {node.name: replace(self._going[node.name], needs=node.needs) for node in ordered}

    def require_unused(self, declared: Mapping[str, Construct], hint: Callable[[Stack], str]) -> None:
        """Raise InUseError if a remaining stack uses a deleted one; `hint` returns the remedy for that stack, empty for its deletion.

        The stacks of the constructs `declared` are checked as they will be deployed.
        """
        wanted = {name: _text(construct) for name, construct in declared.items()}
        for name, marks in self._marks.items():
            for user, text in wanted.items():
                if marks and re.search("|".join(marks), text):
                    raise InUseError(
                        f"stack {name} is not declared, but in use: {user} is declared with it",
                        hint=f"declare {name} again, or {user} without it",
                        stack_name=name,
                    )
            users = self.users(name, declared)
            require_none(f"stack {name}", users, stack_name=name, hint=hint(users[0]) if users else "")

    def users(self, name: str, declared: Collection[str] = ()) -> list[Stack]:
        """Return the stacks that use a stack to delete, without those that are deleted too, and those with `declared` names."""
        around = self._around[_place(self._going[name].stack)]
        return list(
            around.users(self._marks[name], but={*declared, *(each.stack.name for each in self._going.values())})
        )

    def _uses(self, user: str, name: str) -> bool:
        place = _place(self._going[name].stack)
        stack = self._going[user].stack
        return _place(stack) == place and self._around[place].uses(stack, self._marks[name])


def _text(construct: Construct) -> str:
    return "\n".join([*construct.static_parameters.values(), template_of(construct).template.body])


def _place(stack: Stack) -> tuple[str, ...]:
    """Return the region and the account in the ARN of a stack."""
    return tuple(stack.id.split(":")[3:5])


def require_empty(there: Mapping[str, ExistingStack], reporter: Reporter, *, hint: str) -> None:
    """Raise StackError if a bucket or repository of the stacks is not empty: AWS would refuse to delete it."""
    full: dict[str, list[str]] = {}

    def look(name: str) -> None:
        full[name] = deletion.contents(there[name].account, there[name].going, reporter.of(name).note)

    task_graph.read_all(there, look)
    found = [f"{each} (stack {name})" for name in there for each in full[name]]
    if found:
        raise StackError(f"nothing was deleted: {', '.join(found)}", hint=hint)


def of_scope(account: Account, name: str) -> list[Stack]:
    """Return the stacks of the scope of that name, in the order of AWS."""
    return [stack for stack in state.own(account.client("cloudformation")) if stack.tags.get(SCOPE_TAG) == name]


def existing_stack(account: Account, stack: Stack) -> ExistingStack:
    """Return the stack with its resources, and the plan that deletes it."""
    cfn = account.client("cloudformation")
    resources = of_id(cfn, stack.id)
    removal = removed.without_empty_log_groups(account, removed.plan_of(cfn, stack, resources))
    return ExistingStack(account, stack, tuple(resources), removal)


@dataclass
class Removal:
    """One run that deletes stacks. The reporter receives the result of each stack as `task_graph.Ended`.

    `empty`: empty their buckets and repositories first; otherwise the deletion of a stack that has some fails. With `wait`
    false, only deletions on which another one depends are followed to their end. `timeout`: of each deletion, in seconds. `role_arn`: the role that
    CloudFormation uses.
    """

    reporter: Reporter
    clock: Clock
    empty: bool = False
    wait: bool = True
    concurrency: int = task_graph.CONCURRENCY
    timeout: float | None = None
    role_arn: str = ""
    begun: set[str] = field(default_factory=set)
    """The stacks whose deletion was started and not followed."""

    def apply(self, there: Mapping[str, ExistingStack]) -> list[Ended]:
        """Delete the stacks, each after its dependents, and return the result of each deletion."""
        clock = InterruptibleClock(self.clock)
        waited_for = {name for each in there.values() for name in each.needs}

        def work(name: str) -> End:
            each = there[name]
            _require_deletable(each)
            context = Context(each.account, clock, self.reporter.of(name))
            if self.empty:
                deletion.empty(each.account, each.going, context.note)
            if self.wait or name in waited_for:
                with context.operation(name, f"deleting {each.stack.name}") as running:
                    deletion.delete(running, each.stack, role_arn=self.role_arn, timeout=self.timeout)
            else:
                deletion.begin(context.cfn, each.stack, role_arn=self.role_arn)
                self.begun.add(name)
            return End.DONE

        return task_graph.run(
            [Node(name, each.needs) for name, each in there.items()],
            work,
            concurrency=self.concurrency,
            interrupt=clock.interrupt,
            ended=self._report,
        )

    def _report(self, ended: Ended) -> None:
        # A deletion that was not followed has not ended.
        if ended.name not in self.begun:
            self.reporter.result(ended)


def find_undeletable(there: Mapping[str, ExistingStack]) -> dict[str, StackError]:
    """Return why stacks may not be deleted, by name: those of another tool, protected ones, and those of another construct than declared."""
    found = {name: _refusal(each) for name, each in there.items()}
    return {name: error for name, error in found.items() if error is not None}


def require_unused(there: Iterable[ExistingStack]) -> None:
    """Raise InUseError if another stack uses one of the existing stacks, before the first deletion.

    Call it after the deployment: until then a stack may use what it no longer declares.
    """
    of_account: dict[int, list[ExistingStack]] = {}
    for each in there:
        of_account.setdefault(id(each.account.client("cloudformation")), []).append(each)
    for group in of_account.values():
        users.require_unused(group[0].account.client("cloudformation"), [(each.stack, each.going) for each in group])


def _refusal(each: ExistingStack) -> StackError | None:
    try:
        _require_deletable(each)
    except StackError as error:
        return error
    return None


def _require_deletable(each: ExistingStack) -> None:
    deletion.require_deletable(each.stack)
    # Joined names of different scopes and constructs may give the same stack name.
    if state.is_of_another(each.stack, each.declared_tags):
        raise StackError(
            f"stack {each.stack.name} belongs to {state.owner(each.stack.tags)}, not to what is declared: "
            f"{state.owner(each.declared_tags)}",
            hint=f"choose another name for one of them; to delete the stack: `exasol-ci-setup delete {each.stack.name}`",
            stack_name=each.stack.name,
        )
