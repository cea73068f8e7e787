"""What a buildspec file says, checked: phases, variables, artifacts, and the builds of a batch.

The rules are those of the buildspec reference, https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html, and of the
batch build reference, https://docs.aws.amazon.com/codebuild/latest/userguide/batch-build-buildspec.html.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import yaml

from exasol_ci_setup.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PHASES: Final = ("install", "pre_build", "build", "post_build")
VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_SHELLS: Final = {"": "sh", "sh": "sh", "/bin/sh": "sh", "bash": "bash", "/bin/bash": "bash"}
_VERSIONS: Final = ("0.1", "0.2")
_TOP: Final = frozenset({"version", "run-as", "env", "proxy", "batch", "phases", "reports", "artifacts", "cache"})
_IGNORED: Final = {
    "proxy": "the settings for a proxy server are ignored",
    "cache": "nothing is cached between runs",
    "reports": "no test reports are made",
    "run-as": "every command runs as root",
}
_IGNORED_OF_PHASE: Final = {
    "runtime-versions": "no runtime is installed: what the image has is used",
    "run-as": "every command runs as root",
}
_BATCHES: Final = ("build-graph", "build-list")


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase: its commands, those of `finally`, and what `on-failure` says (empty if nothing)."""

    name: str
    commands: tuple[str, ...] = ()
    finally_commands: tuple[str, ...] = ()
    on_failure: Literal["", "ABORT", "CONTINUE"] = ""


@dataclass(frozen=True, slots=True)
class Artifact:
    """One set of files to be kept; `identifier` is empty for the primary one. Texts may hold what the shell expands."""

    identifier: str
    files: tuple[str, ...]
    base_directory: str = ""
    exclude_paths: tuple[str, ...] = ()
    discard_paths: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True)
class Buildspec:
    """A buildspec with phases, as far as it matters on this machine; `notes` say what of it does not.

    `secrets` holds, for each variable that CodeBuild would fetch, where it is: ``parameter-store NAME`` or
    ``secrets-manager REFERENCE``.
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
    """One build of a batch: what it overrides. `buildspec` is empty if it uses the batch file's own phases."""

    identifier: str
    variables: Mapping[str, str]
    buildspec: str = ""
    image: str = ""
    privileged: bool = False

    @property
    def flavors(self) -> tuple[str, ...]:
        """The flavors that it builds: the words of its variables FLAVOR and FLAVORS."""
        words = " ".join(self.variables.get(name, "") for name in ("FLAVOR", "FLAVORS"))
        return tuple(re.split(r"[\s,]+", words.strip())) if words.strip() else ()


class Document:
    """A buildspec file as it was written: every scalar is text, so that 3.10 stays 3.10."""

    def __init__(self, path: Path, text: str) -> None:
        """Parse `text`; `path` is named in errors. Raises InputError if it is no YAML mapping of a known version."""
        self.path = path
        try:
            # The safe one of PyYAML that leaves scalars alone: it makes text, lists and mappings only.
            data = _joined(yaml.load(text, Loader=yaml.BaseLoader))  # noqa: S506
        except yaml.YAMLError as error:
            raise InputError(f"{path} is no valid YAML: {_one_line(error)}") from None
        except UnicodeDecodeError:
            raise InputError(f"{path} is no valid YAML: it has half a letter, as \\ud800 is") from None
        except RecursionError:
            raise InputError(f"{path} is no valid YAML: it is nested too deeply") from None
        except (ValueError, OverflowError):  # PyYAML's own slip
            raise InputError(f"{path} is no valid YAML: it has an escaped letter beyond \\U0010FFFF") from None
        if _has_nul(data):
            raise InputError(
                f"{path} is no buildspec: it holds the letter NUL, which no variable, path or command of a shell can hold"
            )
        if not isinstance(data, Mapping):
            raise InputError(
                f"{path} is no buildspec: {_kind(data)} where a mapping with `version` and `phases` belongs"
            )
        self.data: Mapping[str, Any] = data
        self.version = str(data.get("version", ""))
        if self.version not in _VERSIONS:
            told = f"{self.version!r} is no version of buildspecs" if self.version else "is missing"
            raise self.wrong("version", told, hint="write `version: 0.2`")

    @classmethod
    def read(cls, path: Path) -> Document:
        """Read and parse a file. Raises InputError if that fails."""
        try:
            return cls(path, path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(
                f"there is no buildspec {path}",
                hint="name the file, or make it with exasol-ci-setup generate-buildspec",
            ) from None
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise InputError(f"{path} cannot be read: it is not UTF-8") from None

    def wrong(self, place: str, why: str, *, hint: str = "") -> InputError:
        """Return the error for what stands at `place`, the keys that lead to it joined by slashes."""
        return InputError(f"{self.path}: {place}: {why}", hint=hint)

    def batch(self) -> tuple[BatchBuild, ...]:
        """Return the builds of `batch`, none if there is no such key. Raises InputError for what cannot be run here."""
        batch = self._mapping(self.data, "batch", "batch")
        kinds = [kind for kind in _BATCHES if kind in batch]
        if not kinds:
            if "build-matrix" in batch:
                raise self.wrong(
                    "batch/build-matrix", "a matrix cannot be run here", hint="name the buildspec of one of its builds"
                )
            return ()
        builds: list[BatchBuild] = []
        for kind in kinds:
            entries = batch[kind]
            if not isinstance(entries, list):
                raise self.wrong(f"batch/{kind}", f"{_kind(entries)} where a list of builds belongs")
            builds += [self._build(entry, f"batch/{kind}/{number}") for number, entry in enumerate(entries)]
        if not builds:
            raise self.wrong("batch", "it holds no builds")
        return tuple(builds)

    def buildspec(self) -> Buildspec:
        """Return what is to be run. Raises InputError if the file does not say that in the way of the reference."""
        notes = [f"`{key}`: {_IGNORED[key]}" for key in _IGNORED if key in self.data]
        notes += [f"`{key}` is nothing that a buildspec knows, and is ignored" for key in self.data if key not in _TOP]
        env = self._mapping(self.data, "env", "env")
        shell = self._text(env, "shell", "env/shell")
        if shell not in _SHELLS:
            raise self.wrong(
                "env/shell", f"{shell!r} cannot be used here", hint="sh and bash can; builds of Windows cannot be run"
            )
        if env.get("git-credential-helper", "no") not in {"no", ""}:
            notes.append("`env/git-credential-helper`: git uses what the image has")
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
            raise self.wrong(place, f"{_kind(entry)} where a mapping belongs")
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
            raise self.wrong("phases", "there is none, so nothing can be run")
        strange = [name for name in phases if name not in PHASES]
        if strange:
            raise self.wrong(f"phases/{strange[0]}", "there is no such phase", hint=f"phases are {', '.join(PHASES)}")
        return tuple(self._phase(phases, name, notes) for name in PHASES if name in phases)

    def _phase(self, phases: Mapping[str, Any], name: str, notes: list[str]) -> Phase:
        place = f"phases/{name}"
        phase = self._mapping(phases, name, place)
        notes += [f"`{place}/{key}`: {why}" for key, why in _IGNORED_OF_PHASE.items() if key in phase]
        on_failure = self._text(phase, "on-failure", f"{place}/on-failure")
        if on_failure.startswith("RETRY"):
            notes.append(f"`{place}/on-failure`: nothing is tried again here; {on_failure} is taken as ABORT")
            on_failure = "ABORT"
        if on_failure not in {"", "ABORT", "CONTINUE"}:
            raise self.wrong(f"{place}/on-failure", f"{on_failure!r} is neither ABORT nor CONTINUE nor RETRY")
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
                raise self.wrong(place, "an identifier has letters, digits and underscores only")
            found.append(self._artifact(identifier, self._mapping(secondary, identifier, place), place))
        return tuple(found)

    def _artifact(self, identifier: str, data: Mapping[str, Any], place: str) -> Artifact:
        files = self._texts(data, "files", f"{place}/files")
        if not files:
            raise self.wrong(f"{place}/files", "artifacts need at least one path")
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
            raise self.wrong(place, f"{_kind(value)} where a mapping belongs")
        return value

    def _text(self, data: Mapping[str, Any], key: str, place: str) -> str:
        value = data.get(key, "")
        if not isinstance(value, str):
            raise self.wrong(place, f"{_kind(value)} where text belongs")
        return value

    def _texts(self, data: Mapping[str, Any], key: str, place: str) -> tuple[str, ...]:
        values = data.get(key) or []
        if not isinstance(values, list):
            raise self.wrong(place, f"{_kind(values)} where a list belongs")
        for number, value in enumerate(values):
            if not isinstance(value, str):
                raise self.wrong(
                    f"{place}/{number}",
                    f"{_kind(value)} where text belongs",
                    hint="a colon followed by a space makes a mapping: put the text in quotes, or below a `|`",
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
            raise self.wrong(place, f"{name!r} is no name for a variable")

    def _flag(self, data: Mapping[str, Any], key: str, place: str) -> bool:
        value = self._text(data, key, place).lower()
        if value not in {"", "yes", "no", "true", "false"}:
            raise self.wrong(place, f"{value!r} is neither yes nor no")
        return value in {"yes", "true"}


def choose(builds: Sequence[BatchBuild], path: Path, *, identifier: str = "", flavor: str = "") -> BatchBuild:
    """Return the build of a batch with that identifier, or for that flavor; with neither, the only one.

    `path` is the batch file, named in errors. Raises InputError, listing what there is, if that does not name one build.
    """
    if identifier:
        found = [build for build in builds if build.identifier == identifier]
        wanted, known = f"build {identifier!r}", [build.identifier for build in builds]
    elif flavor:
        found = [build for build in builds if flavor in build.flavors]
        wanted, known = f"build for flavor {flavor!r}", [name for build in builds for name in build.flavors]
    else:
        found, wanted = list(builds), "single build"
        known = [name for build in builds for name in build.flavors] or [build.identifier for build in builds]
    if len(found) == 1:
        return found[0]
    if not identifier and not flavor:
        option = "--flavor" if any(build.flavors for build in builds) else "--build"
        raise InputError(
            f"{path} has {len(builds)} builds, and one can be run at a time",
            hint=f"choose one with {option}: {', '.join(known)}",
        )
    if found:
        raise InputError(
            f"{path} has {len(found)} builds for {flavor or identifier!r}",
            hint=f"choose one with --build: {', '.join(build.identifier for build in found)}",
        )
    raise InputError(f"{path} has no {wanted}", hint=f"it has {', '.join(known)}" if known else "it has none at all")


def _joined(data: Any) -> Any:
    """Return `data` with each pair of surrogates, as JSON writes rare letters, as the letter that it means."""
    if isinstance(data, str):
        return data.encode("utf-16", "surrogatepass").decode("utf-16")
    if isinstance(data, list):
        return [_joined(each) for each in data]
    if isinstance(data, Mapping):
        return {_joined(key): _joined(value) for key, value in data.items()}
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
