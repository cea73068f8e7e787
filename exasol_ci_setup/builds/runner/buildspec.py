"""Parse and check buildspec files: phases, variables, artifacts, and the builds of a batch.

The rules are those of the buildspec reference, https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html, and of the
batch build reference, https://docs.aws.amazon.com/codebuild/latest/userguide/batch-build-buildspec.html.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import yaml

from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.files import read_error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PHASES: Final = ("install", "pre_build", "build", "post_build")
VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_SHELLS: Final = {"": "sh", "sh": "sh", "/bin/sh": "sh", "bash": "bash", "/bin/bash": "bash"}
_VERSIONS: Final = ("0.1", "0.2")
_TOP: Final = frozenset({"version", "run-as", "env", "proxy", "batch", "phases", "reports", "artifacts", "cache"})
_IGNORED: Final = {
    "proxy": "proxy settings are ignored",
    "cache": "nothing is cached between runs",
    "reports": "no test reports are created",
    "run-as": "every command runs as root",
}
_IGNORED_OF_PHASE: Final = {
    "runtime-versions": "no runtime is installed; the build uses those of the image",
    "run-as": "every command runs as root",
}
_BATCHES: Final = ("build-graph", "build-list")


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase: its commands, those of `finally`, and the value of `on-failure` (empty if not set)."""

    name: str
    commands: tuple[str, ...] = ()
    finally_commands: tuple[str, ...] = ()
    on_failure: Literal["", "ABORT", "CONTINUE"] = ""


@dataclass(frozen=True, slots=True)
class Artifact:
    """One set of artifacts; `identifier` is empty for the primary set. The shell expands its texts."""

    identifier: str
    files: tuple[str, ...]
    base_directory: str = ""
    exclude_paths: tuple[str, ...] = ()
    discard_paths: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True)
class Buildspec:
    """A buildspec with phases; `notes` lists the ignored settings.

    `secrets` maps each variable that CodeBuild would fetch to its source: ``parameter-store NAME`` or ``secrets-manager
    REFERENCE``.
    """

    version: str
    shell: str
    variables: Mapping[str, str]
    secrets: Mapping[str, str]
    exported: tuple[str, ...]
    phases: tuple[Phase, ...]
    artifacts: tuple[Artifact, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BatchBuild:
    """One build of a batch: the settings that it overrides. `buildspec` is empty if it uses the phases of the batch file."""

    identifier: str
    variables: Mapping[str, str]
    buildspec: str = ""
    image: str = ""
    privileged: bool = False

    @property
    def flavors(self) -> tuple[str, ...]:
        """The flavors of the build: the words of its variables FLAVOR and FLAVORS."""
        words = " ".join(self.variables.get(name, "") for name in ("FLAVOR", "FLAVORS"))
        return tuple(re.split(r"[\s,]+", words.strip())) if words.strip() else ()

    def matches(self, identifier: str, flavor: str) -> bool:
        """Return whether the build has `identifier`, or if that is empty, the flavor; without both, every build matches."""
        if identifier:
            return self.identifier == identifier
        return not flavor or flavor in self.flavors


class Document:
    """The content of a buildspec file. Every scalar is text, so that 3.10 stays 3.10."""

    def __init__(self, path: Path, text: str) -> None:
        """Parse `text`; errors name `path`. Raises InputError if it is not a YAML mapping with a known version."""
        self.path = path
        try:
            # BaseLoader is safe: it creates text, lists and mappings only.
            data = _join_surrogates(yaml.load(text, Loader=yaml.BaseLoader))  # noqa: S506
        except yaml.YAMLError as error:
            raise InputError(f"{path} is not valid YAML: {_one_line(error)}") from None
        except UnicodeDecodeError:
            raise InputError(
                f"{path} is not valid YAML: it contains half of a surrogate pair, such as \\ud800"
            ) from None
        except RecursionError:
            raise InputError(f"{path} is not valid YAML: it is nested too deeply") from None
        except (ValueError, OverflowError):  # PyYAML does not translate these
            raise InputError(f"{path} is not valid YAML: it contains an escaped character above \\U0010FFFF") from None
        if _has_nul(data):
            raise InputError(
                f"{path} is not a buildspec: it contains the character NUL, which shells and paths do not allow"
            )
        if not isinstance(data, Mapping):
            raise InputError(
                f"{path} is not a buildspec: expected a mapping with `version` and `phases`, found {_kind(data)}"
            )
        self.data: Mapping[str, Any] = data
        self.version = str(data.get("version", ""))
        if self.version not in _VERSIONS:
            why = f"{self.version!r} is not a version of buildspecs" if self.version else "missing"
            raise self.error("version", why, hint="write `version: 0.2`")

    @classmethod
    def read(cls, path: Path) -> Document:
        """Read and parse a file. Raises InputError if that fails."""
        try:
            return cls(path, path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(
                f"buildspec not found: {path}",
                hint="name the file, or create it with `exasol-ci-setup generate-buildspec`",
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise read_error(str(path), error) from None

    def error(self, place: str, why: str, *, hint: str = "") -> InputError:
        """Return the error for the value at `place`: its keys, joined by slashes."""
        return InputError(f"{self.path}: {place}: {why}", hint=hint)

    def batch(self) -> tuple[BatchBuild, ...]:
        """Return the builds of `batch`; empty without that key. Raises InputError if they are invalid or a matrix."""
        batch = self._mapping(self.data, "batch", "batch")
        kinds = [kind for kind in _BATCHES if kind in batch]
        if not kinds:
            if "build-matrix" in batch:
                raise self.error(
                    "batch/build-matrix", "a matrix cannot run locally", hint="name the buildspec of one of its builds"
                )
            return ()
        builds: list[BatchBuild] = []
        for kind in kinds:
            entries = batch[kind]
            if not isinstance(entries, list):
                raise self.error(f"batch/{kind}", f"expected a list of builds, found {_kind(entries)}")
            builds += [self._build(entry, f"batch/{kind}/{number}") for number, entry in enumerate(entries)]
        if not builds:
            raise self.error("batch", "it has no builds")
        return tuple(builds)

    def buildspec(self) -> Buildspec:
        """Return the buildspec to run. Raises InputError if the file is not valid according to the reference."""
        notes = [f"`{key}`: {_IGNORED[key]}" for key in _IGNORED if key in self.data]
        notes += [f"`{key}` is not a key of buildspecs and is ignored" for key in self.data if key not in _TOP]
        env = self._mapping(self.data, "env", "env")
        shell = self._text(env, "shell", "env/shell")
        if shell not in _SHELLS:
            raise self.error(
                "env/shell", f"{shell!r} is not supported", hint="use sh or bash; Windows builds cannot run locally"
            )
        if env.get("git-credential-helper", "no") not in {"no", ""}:
            notes.append("`env/git-credential-helper`: git uses the credential helper of the image, if any")
        secrets = {
            name: f"{kind} {place}"
            for kind in ("parameter-store", "secrets-manager")
            for name, place in self._variables(env, kind, f"env/{kind}").items()
        }
        return Buildspec(
            version=self.version,
            shell=_SHELLS[shell],
            variables=self._variables(env, "variables", "env/variables"),
            secrets=secrets,
            exported=self._names(env, "exported-variables", "env/exported-variables"),
            phases=self._phases(notes),
            artifacts=self._artifacts(),
            notes=tuple(notes),
        )

    def _build(self, entry: object, place: str) -> BatchBuild:
        if not isinstance(entry, Mapping):
            raise self.error(place, f"expected a mapping, found {_kind(entry)}")
        identifier = self._text(entry, "identifier", f"{place}/identifier")
        env = self._mapping(entry, "env", f"{place}/env")
        return BatchBuild(
            identifier=identifier or place.rpartition("/")[2],
            variables=self._variables(env, "variables", f"{place}/env/variables"),
            buildspec=self._text(entry, "buildspec", f"{place}/buildspec"),
            image=self._text(env, "image", f"{place}/env/image"),
            privileged=self._flag(env, "privileged-mode", f"{place}/env/privileged-mode"),
        )

    def _phases(self, notes: list[str]) -> tuple[Phase, ...]:
        phases = self._mapping(self.data, "phases", "phases")
        if not phases:
            raise self.error("phases", "missing or empty")
        unknown = [name for name in phases if name not in PHASES]
        if unknown:
            raise self.error(f"phases/{unknown[0]}", "unknown phase", hint=f"phases are {', '.join(PHASES)}")
        return tuple(self._phase(phases, name, notes) for name in PHASES if name in phases)

    def _phase(self, phases: Mapping[str, Any], name: str, notes: list[str]) -> Phase:
        place = f"phases/{name}"
        phase = self._mapping(phases, name, place)
        notes += [f"`{place}/{key}`: {why}" for key, why in _IGNORED_OF_PHASE.items() if key in phase]
        on_failure = self._text(phase, "on-failure", f"{place}/on-failure")
        if on_failure.startswith("RETRY"):
            notes.append(f"`{place}/on-failure`: local builds do not retry; {on_failure} acts as ABORT")
            on_failure = "ABORT"
        if on_failure not in {"", "ABORT", "CONTINUE"}:
            raise self.error(f"{place}/on-failure", f"{on_failure!r} is not ABORT, CONTINUE or RETRY")
        return Phase(
            name,
            self._texts(phase, "commands", f"{place}/commands"),
            self._texts(phase, "finally", f"{place}/finally"),
            on_failure,  # type: ignore[arg-type] # checked above
        )

    def _artifacts(self) -> tuple[Artifact, ...]:
        primary = self._mapping(self.data, "artifacts", "artifacts")
        secondary = self._mapping(primary, "secondary-artifacts", "artifacts/secondary-artifacts")
        found = (
            [self._artifact("", primary, "artifacts")] if primary and (primary.get("files") or not secondary) else []
        )
        for identifier in secondary:
            place = f"artifacts/secondary-artifacts/{identifier}"
            if not re.fullmatch(r"[A-Za-z0-9_]+", identifier):
                raise self.error(place, "an identifier consists of letters, digits and underscores")
            found.append(self._artifact(identifier, self._mapping(secondary, identifier, place), place))
        return tuple(found)

    def _artifact(self, identifier: str, data: Mapping[str, Any], place: str) -> Artifact:
        files = self._texts(data, "files", f"{place}/files")
        if not files:
            raise self.error(f"{place}/files", "artifacts need at least one path")
        return Artifact(
            identifier,
            files,
            self._text(data, "base-directory", f"{place}/base-directory"),
            self._texts(data, "exclude-paths", f"{place}/exclude-paths"),
            self._flag(data, "discard-paths", f"{place}/discard-paths"),
            self._text(data, "name", f"{place}/name"),
        )

    def _mapping(self, data: Mapping[str, Any], key: str, place: str) -> Mapping[str, Any]:
        value = data.get(key) or {}
        if not isinstance(value, Mapping):
            raise self.error(place, f"expected a mapping, found {_kind(value)}")
        return value

    def _text(self, data: Mapping[str, Any], key: str, place: str) -> str:
        value = data.get(key, "")
        if not isinstance(value, str):
            raise self.error(place, f"expected text, found {_kind(value)}")
        return value

    def _texts(self, data: Mapping[str, Any], key: str, place: str) -> tuple[str, ...]:
        values = data.get(key) or []
        if not isinstance(values, list):
            raise self.error(place, f"expected a list, found {_kind(values)}")
        for number, value in enumerate(values):
            if not isinstance(value, str):
                raise self.error(
                    f"{place}/{number}",
                    f"expected text, found {_kind(value)}",
                    hint="YAML reads `key: value` as a mapping: put the text in quotes, or in a block after `|`",
                )
        return tuple(values)

    def _names(self, data: Mapping[str, Any], key: str, place: str) -> tuple[str, ...]:
        names = self._texts(data, key, place)
        for name in names:
            self._check_name(name, place)
        return names

    def _variables(self, data: Mapping[str, Any], key: str, place: str) -> dict[str, str]:
        values = self._mapping(data, key, place)
        for name in values:
            self._check_name(name, place)
        return {name: self._text(values, name, f"{place}/{name}") for name in values}

    def _check_name(self, name: str, place: str) -> None:
        if not VARIABLE.fullmatch(name):
            raise self.error(place, f"{name!r} is not a valid variable name")

    def _flag(self, data: Mapping[str, Any], key: str, place: str) -> bool:
        value = self._text(data, key, place).lower()
        if value not in {"", "yes", "no", "true", "false"}:
            raise self.error(place, f"{value!r} is not yes or no")
        return value in {"yes", "true"}


def choose(builds: Sequence[BatchBuild], path: Path, *, identifier: str = "", flavor: str = "") -> BatchBuild:
    """Return the build of a batch with the identifier, or for the flavor; without both, the only build.

    `path` is the batch file, named in errors. Raises InputError, with the possible choices, unless exactly one build matches.
    """
    found = [build for build in builds if build.matches(identifier, flavor)]
    if len(found) == 1:
        return found[0]
    identifiers = [build.identifier for build in builds]
    flavors = [name for build in builds for name in build.flavors]
    if not identifier and not flavor:
        option, known = ("--flavor", flavors) if flavors else ("--build", identifiers)
        raise InputError(
            f"{path} has {len(builds)} builds, but one run executes one build",
            hint=f"choose one with {option}: {', '.join(known)}",
        )
    if found:
        raise InputError(
            f"{path} has {len(found)} builds for {flavor or identifier!r}",
            hint=f"choose one with --build: {', '.join(build.identifier for build in found)}",
        )
    wanted, known = (f"build {identifier!r}", identifiers) if identifier else (f"build for flavor {flavor!r}", flavors)
    raise InputError(f"{path} has no {wanted}", hint=f"it has {', '.join(known)}" if known else "it has no builds")


def _join_surrogates(data: Any) -> Any:
    """Return `data` with each surrogate pair, an escape of JSON, replaced by its character."""
    if isinstance(data, str):
        return data.encode("utf-16", "surrogatepass").decode("utf-16")
    if isinstance(data, list):
        return [_join_surrogates(each) for each in data]
    if isinstance(data, Mapping):
        return {_join_surrogates(key): _join_surrogates(value) for key, value in data.items()}
    return data


def _has_nul(data: Any) -> bool:
    if isinstance(data, str):
        return "\0" in data
    if isinstance(data, Mapping):
        return any(_has_nul(each) for pair in data.items() for each in pair)
    return isinstance(data, list) and any(map(_has_nul, data))


def _kind(value: object) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return "nothing" if value in {"", None} else "text"


def _one_line(error: yaml.YAMLError) -> str:
    return re.sub(r"\s+", " ", str(error))
