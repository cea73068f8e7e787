"""Explain why the AWS configuration of this machine is invalid, for any exception that botocore raises while it reads it.

botocore loads credentials when a client is created or a request is signed. Many mistakes in files and variables end there in an
exception of Python (https://github.com/boto/botocore/issues/2968). The frames of its traceback say which settings were read.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import botocore.session
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from exasol_ci_setup.core.errors import CredentialsInvalidError, SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

# The functions of botocore and boto3 that load credentials, create clients, and sign requests.
_MODULES: Final = frozenset(
    {"boto3.session", "botocore.auth", "botocore.credentials", "botocore.session", "botocore.tokens"}
)
_PROCESS: Final = "ProcessProvider"
# Classes of botocore whose methods raise, with the variables and profile keys that each class reads.
_SETTINGS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    _PROCESS: ((), ("credential_process",)),
    "FileWebIdentityTokenLoader": (("AWS_WEB_IDENTITY_TOKEN_FILE",), ("web_identity_token_file",)),
    "ContainerProvider": (
        (
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        ),
        (),
    ),
    "AssumeRoleProvider": ((), ("role_arn", "source_profile", "credential_source", "duration_seconds")),
}
# Read while a session or a client is created, in the order of botocore.
_GENERAL: Final = re.compile(
    r"AWS_(ENDPOINT_URL\w*|METADATA_\w+|EC2_METADATA_\w+|MAX_ATTEMPTS|RETRY_MODE|CA_BUNDLE|USE_\w+|SIGV4A_\w+)"
)
_GENERAL_KEYS: Final = re.compile(
    r"endpoint_url|metadata_\w+|ec2_metadata_\w+|max_attempts|retry_mode|ca_bundle|use_\w+|services"
)
_SECRET: Final = frozenset({"AWS_CONTAINER_AUTHORIZATION_TOKEN"})
_QUOTED: Final = re.compile(r"""['"]([^'"]+)['"]""")


@dataclass(frozen=True, slots=True)
class _Setting:
    """An environment variable, or a key of `profile` in the AWS configuration."""

    name: str
    value: str
    profile: str = ""

    def __str__(self) -> str:
        where = f" of profile {self.profile!r}" if self.profile else ""
        return f"{self.name}{where}" + ("" if self.name in _SECRET else f" is {self.value!r}")

    @property
    def has_other_scheme(self) -> bool:
        """Whether it is the URL of an endpoint to which HTTP does not lead."""
        return "endpoint_url" in self.name.lower() and not self.value.lower().startswith(("http://", "https://"))

    def explains(self, text: str) -> bool:
        """Return whether the `text` of an exception quotes the value or a part of it, or says that it is no URL."""
        if self.value in text or any(part in self.value for part in _QUOTED.findall(text)):
            return True
        try:
            urlsplit(self.value).port  # noqa: B018 - it is parsed when it is read
        except ValueError as error:
            return str(error) in text
        return False


def explain(error: Exception) -> SetupError | None:
    """Return why the configuration is invalid, None if botocore did not raise `error` while it read the configuration.

    Exceptions of botocore have a good text, unless it contains the output of a credential process.
    """
    if refused := _explain_request(error):
        return refused
    frames = list(_frames(error))
    owners = [(type(owner).__name__, owner) for frame in frames if (owner := frame.f_locals.get("self")) is not None]
    kind, owner = next(((name, each) for name, each in reversed(owners) if name in _SETTINGS), ("", None))
    if kind == _PROCESS:
        return _process_failed(error, frames, str(getattr(owner, "_profile_name", "")))
    if isinstance(error, BotoCoreError | ClientError | ResponseParserError) or not any(
        frame.f_globals.get("__name__") in _MODULES for frame in frames
    ):
        return None
    profile = next((str(each.profile_name) for _, each in owners if getattr(each, "profile_name", None)), "default")
    text = _text(error)
    if isinstance(error, RuntimeError) and "expired" in text:
        # What botocore raises for credentials with an expiry that it cannot renew.
        return CredentialsInvalidError(
            f"the AWS credentials have expired: {text}", hint="sign in again, or set new ones in the environment"
        )
    known = list(_settings(kind, profile))
    own = [each for each in known if each.profile in {"", profile}]
    # The profile of credentials that are loaded late is unknown.
    settings = [each for each in own if each.explains(text)] or [each for each in known if each.explains(text)]
    settings = settings or (own if kind else [])
    return _unusable(text, settings, profile)


def _explain_request(error: Exception) -> SetupError | None:
    """Return the error of a request that cannot be sent because of the configuration."""
    if "Invalid header value" in str(error):
        # The text quotes the header, and so the credential.
        return CredentialsInvalidError(
            "the AWS credentials cannot be used: one of them contains a line break or another character that HTTP headers do not allow",
            hint="correct AWS_ACCESS_KEY_ID, AWS_SESSION_TOKEN, or the same keys of the profile",
        )
    if "Not supported URL scheme" in str(error):
        # botocore notices it when a request is sent.
        wrong = [each for each in _settings("", "default") if each.has_other_scheme]
        return _unusable(_text(error).rpartition(": ")[2], wrong, "default")
    return None


def profiles() -> list[str]:
    """Return the names of the profiles in the AWS configuration, sorted."""
    # Not a session of boto3: that would load the profile in AWS_PROFILE, which may not exist.
    return sorted(botocore.session.Session().available_profiles)


def _unusable(text: str, settings: list[_Setting], profile: str) -> SetupError:
    of = f" ({', '.join(map(str, settings))})" if settings else f" (profile {profile!r})"
    return CredentialsInvalidError(f"the AWS configuration cannot be used: {text}{of}", hint=_hint(settings))


def _frames(error: BaseException) -> Iterator[FrameType]:
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next


def _text(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.strerror}: {error.filename}"
    return " ".join(str(error).split())


def _process_failed(error: Exception, frames: list[FrameType], profile: str) -> SetupError:
    """Return the error of the credential process of `profile`. Its output may be secret, and the text of `error` contains it."""
    running = [frame for frame in frames if frame.f_code.co_name == "_retrieve_credentials_using"]
    started = [each for frame in running for each in frame.f_locals.values() if isinstance(each, subprocess.Popen)]
    if running and not started:
        why = _text(error)
    elif started and started[0].returncode:
        why = f"it exited with code {started[0].returncode}"
    else:
        why = "it did not print JSON with Version 1, AccessKeyId, SecretAccessKey and, if any, a date as Expiration"
    setting = _Setting("credential_process", str(_profiles().get(profile, {}).get("credential_process", "")), profile)
    return CredentialsInvalidError(
        f"the AWS credentials could not be loaded: {setting}: {why}",
        hint=f"run it and correct it: {_hint([setting])}",
    )


def _settings(kind: str, profile: str) -> Iterator[_Setting]:
    """Yield the settings that a class of botocore reads, or without a class those of every client."""
    variables, keys = _SETTINGS.get(kind, ((), ()))
    for name, value in os.environ.items():
        if name in variables if kind else _GENERAL.fullmatch(name):
            yield _Setting(name, value)
    profiles = _profiles()
    for each in dict.fromkeys((profile, *profiles)):
        for key, value in profiles.get(each, {}).items():
            if isinstance(value, str) and (key in keys if kind else _GENERAL_KEYS.fullmatch(key)):
                yield _Setting(key, value, each)


def _profiles() -> dict[str, Any]:
    try:
        found: dict[str, Any] = botocore.session.Session().full_config.get("profiles", {})
    except Exception:  # noqa: BLE001 - it is read to explain another error
        return {}
    return found


def _hint(settings: list[_Setting]) -> str:
    file = os.environ.get("AWS_CONFIG_FILE", "~/.aws/config")
    variables = [each.name for each in settings if not each.profile]
    if variables:
        return f"correct the variable, or `unset {' '.join(variables)}`"
    if settings:
        return f"`aws configure get {settings[0].name} --profile {shlex.quote(settings[0].profile)}` prints it, and {file} has it"
    return f"correct {file}"
