"""URLs of repositories on github.com and on GitHub Enterprise Server."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator

from exasol_ci_setup.constructs.values import matching, refusal

_REPOSITORY_RULE: Final = (
    "use the https URL of a repository on github.com, without user, query or fragment,"
    " such as https://github.com/exasol/script-languages-release; or of one on GitHub Enterprise Server"
)
_GITHUB: Final = "https://github.com/"
# CodeConnections does not support GitHub Enterprise Cloud with a domain of its own:
# https://docs.aws.amazon.com/dtconsole/latest/userguide/welcome-connections-supported-providers.html.
_GITHUB_CLOUD_DOMAIN: Final = ".ghe.com"
# Services with another interface than GitHub's.
_OTHER_SERVICES: Final = ("gitlab.com", "bitbucket.org", "dev.azure.com")


def _is_on_github(url: str) -> str:
    host = url.split("/")[2]
    if host in _OTHER_SERVICES or host.endswith(".github.com"):
        raise refusal(_REPOSITORY_RULE)
    if host.endswith(_GITHUB_CLOUD_DOMAIN):
        raise refusal(
            "AWS CodeConnections does not support GitHub Enterprise Cloud with a domain of its own (ghe.com):"
            " use a repository on github.com or on GitHub Enterprise Server"
        )
    # The address of a repository in a browser can end in a slash.
    return url.removesuffix("/")


RepositoryUrl = Annotated[
    str,
    matching(
        r"https://[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+"
        r"/[A-Za-z0-9](?:[A-Za-z0-9_-]{0,37}[A-Za-z0-9_])?/(?!\.{1,2}(?:\.git)?/?\Z)(?!\.git/?\Z)[A-Za-z0-9._-]{1,100}/?",
        _REPOSITORY_RULE,
    ),
    AfterValidator(_is_on_github),
]


def is_on_github_com(url: str) -> bool:
    """Return whether the repository is on github.com, and not on a GitHub Enterprise Server."""
    return url.startswith(_GITHUB)
