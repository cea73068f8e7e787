"""The GitHub credentials that CodeBuild uses for all repositories of an account and region."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from exasol_ci_setup.constructs.base import Construct
from exasol_ci_setup.constructs.values import SecretName, matching

SecretKey = Annotated[
    str,
    matching(
        # In a dynamic reference a colon starts the next part and a brace ends it.
        r"[^:{}\s\"'\\$]{1,255}",
        "use a key of the secret's JSON without blanks, colons, braces, quotes, backslashes or dollar signs",
    ),
]
"""Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references-secretsmanager.html."""


class SourceCredentials(Construct):
    """CodeBuild's access to GitHub, with user and token from one secret of Secrets Manager.

    AWS has one such credential for each kind of server in an account and region, so this stack is deployed once for all projects. Its
    template refers to the secret; it never contains the values.
    """

    template: ClassVar[str] = "source_credentials.yaml.j2"
    gives_access_to_github: ClassVar[bool] = True

    secret_name: Annotated[SecretName, Field(description="Name or ARN of the secret with the GitHub credentials.")]
    secret_user_key: Annotated[SecretKey, Field(description="Key in the secret that holds the user name.")]
    secret_token_key: Annotated[SecretKey, Field(description="Key in the secret that holds the token.")]

    @property
    def stack_name(self) -> str:
        """The name of the stack: SLCSourceCredentials or the one that is set."""
        return self.stack if self.stack is not None else "SLCSourceCredentials"
