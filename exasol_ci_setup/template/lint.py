"""Run cfn-lint on a template in this process, for its region, unless the result is cached."""

from __future__ import annotations

import re
from dataclasses import replace
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any, cast

from exasol_ci_setup.core.errors import InputError, TemplateRejectedError
from exasol_ci_setup.core.errors.details import Finding, Level
from exasol_ci_setup.core.text import suggestion
from exasol_ci_setup.template import lint_cache

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from exasol_ci_setup.core.reporter import Reporter
    from exasol_ci_setup.template.render import Template


_RUNNERS: dict[tuple[str, ...], Any] = {}
_ONE_RUN = Lock()
# cfn-lint writes all values that a schema allows, such as more than 1,000 types of instances.
_CHOICE = re.compile(r"(?P<value>'[^']*') is not one of \[(?P<allowed>'[^\]]*')\](?P<place> in '[^']*')?")
_MOST_ALLOWED = 20
_LEVELS: dict[str, Level] = {"E": "error", "F": "error", "W": "warning", "I": "info"}


def lint(template: Template, region: str) -> list[Finding]:
    """Return cfn-lint's findings in `template` for `region`, sorted by line; text that is no template has one, E0000.

    The first call loads cfn-lint's rules and schemas, which takes a second or two; later ones take some hundredths of a second. Findings
    in `lint_cache` take no time. Raises InputError for a region without schemas.
    """
    place = lint_cache.place(template.body, region)
    known = None if place is None else _known(place)
    if known is not None:
        return known
    findings = _lint(template, region)
    if place is not None:
        lint_cache.store(place, [(each.rule, each.level, each.message, each.path, each.line) for each in findings])
    return findings


def _known(place: Path) -> list[Finding] | None:
    rows = lint_cache.load(place)
    if rows is None:
        return None
    return [Finding(rule, cast("Level", level), message, path, line) for rule, level, message, path, line in rows]


def _lint(template: Template, region: str) -> list[Finding]:
    from cfnlint.helpers import REGIONS

    if region not in REGIONS:
        raise InputError(
            f"{region!r} is not a region of cfn-lint",
            hint="the form of a region is eu-central-1; for a region that is newer than the installed cfn-lint, use --no-lint",
        )
    return sorted(
        (
            Finding(
                rule=match.rule.id,
                level=_LEVELS.get(match.rule.id[:1], "error"),
                message=_CHOICE.sub(_shortened, match.message),
                path=".".join(str(part) for part in getattr(match, "path", None) or ()),
                line=match.linenumber,
            )
            for match in _matches(template.body, region)
        ),
        key=lambda finding: (finding.line, finding.rule, finding.path, finding.message),
    )


def _shortened(choice: re.Match[str]) -> str:
    """Return the text of a choice with the nearest value in place of many."""
    allowed = choice["allowed"].strip("'").split("', '")
    if len(allowed) <= _MOST_ALLOWED:
        return choice[0]
    near = suggestion(choice["value"].strip("'"), allowed)
    return f"{choice['value']} is not one of the {len(allowed)} allowed values{choice['place'] or ''}{near}"


def _matches(body: str, region: str) -> list[Any]:
    """Do the same as ``cfnlint.api.lint``, but load the rules once: loading takes ten times as long as a run."""
    from cfnlint.config import ConfigMixIn
    from cfnlint.decode.decode import decode_str

    template, errors = decode_str(body)
    if errors or template is None:
        return errors or []
    # Rules store data of the template that they check.
    with _ONE_RUN:
        return list(_runner(ConfigMixIn(regions=[region])).validate_template(template))


def _runner(config: Any) -> Any:
    """Return cfn-lint's runner for `config`: that of an earlier run unless the settings name rules or schemas in files."""
    from cfnlint.runner import Runner

    if config.custom_rules or config.registry_schemas or config.override_spec:
        return Runner(config)
    rules = tuple(config.append_rules)
    if rules not in _RUNNERS:
        _RUNNERS[rules] = Runner(config)
    runner = _RUNNERS[rules]
    runner.config = config
    return runner


def reject_errors(template: Template, findings: Sequence[Finding]) -> None:
    """Raise TemplateRejectedError, which holds all `findings`, if one of them is an error."""
    errors = [finding for finding in findings if finding.level == "error"]
    if not errors:
        return
    first = errors[0]
    more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
    raise TemplateRejectedError(
        f"{template.name} has errors: line {first.line}: {first.message} ({first.rule}){more}", findings=findings
    )


class Linter:
    """Lints each template of a command once for each region, and reports the findings. Several threads may use it.

    With `in_background` a thread loads cfn-lint from the beginning, and `start` lints a first template in it.
    """

    def __init__(self, *, in_background: bool = False) -> None:
        self._background = Background() if in_background else None
        self._started: tuple[str, str] | None = None
        self._found: dict[tuple[str, str], list[Finding]] = {}
        self._reported: set[tuple[str, str]] = set()
        # cfn-lint has global state.
        self._lock = Lock()

    def start(self, template: Template, region: str) -> None:
        """Start to lint `template` in the background, if there is a thread for it."""
        if self._background is not None:
            self._started = (template.body, region)
            self._background.start(template, region)

    def check(self, template: Template, region: str, reporter: Reporter) -> None:
        """Lint `template`, and report its findings the first time. Raises TemplateRejectedError if one is an error, and as `lint`."""
        findings = self._lint(template, region)
        with self._lock:
            key = (template.body, region)
            is_reported = key in self._reported
            self._reported.add(key)
        for finding in () if is_reported else findings:
            reporter.event(replace(finding, template=template.name))
        reject_errors(template, findings)

    def errors(self, template: Template, region: str) -> list[Finding]:
        """Return the errors in `template`, without a report. Raises as `lint`."""
        return [finding for finding in self._lint(template, region) if finding.level == "error"]

    def _lint(self, template: Template, region: str) -> list[Finding]:
        key = (template.body, region)
        with self._lock:
            if key not in self._found:
                is_started = self._background is not None and key == self._started
                self._found[key] = (
                    self._background.findings() if self._background and is_started else lint(template, region)
                )
            return self._found[key]


class Background:
    """A run of the linter in its own thread, which loads cfn-lint during calls of AWS.

    The thread does not prevent the end of the process: a deployment without changes does not wait for it.
    """

    def __init__(self) -> None:
        self._done = Event()
        self._findings: list[Finding] = []
        self._error: BaseException | None = None

    def start(self, template: Template, region: str) -> None:
        """Lint `template` for `region`. If the findings are cached, cfn-lint is not loaded, which takes 0.4 s of processor time."""
        place = lint_cache.place(template.body, region)
        known = None if place is None else _known(place)
        if known is not None:
            self._findings = known
            self._done.set()
            return
        Thread(target=self._run, args=(template, region), name="lint", daemon=True).start()

    def findings(self) -> list[Finding]:
        """Wait for the findings and return them, as `lint` does. Raises the error of the linter."""
        self._done.wait()
        if self._error is not None:
            raise self._error
        return self._findings

    def _run(self, template: Template, region: str) -> None:
        try:
            self._findings = lint(template, region)
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            self._error = error
        finally:
            self._done.set()
