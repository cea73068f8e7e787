"""What a host name needs on AWS: a certificate of ACM that is valid for it, and a hosted zone of Route 53 that it is in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws import error_code, translate_aws_errors
from exasol_ci_setup.errors import AccessDenied, SpaceRequestError

if TYPE_CHECKING:
    from exasol_ci_setup.aws import Account

# Without them only those with RSA keys of up to 2048 bits are listed: https://docs.aws.amazon.com/acm/latest/APIReference/API_Filters.html.
# These are what a load balancer takes: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/https-listener-certificates.html.
_KEYS: Final = ("RSA_2048", "RSA_3072", "RSA_4096", "EC_prime256v1", "EC_secp384r1", "EC_secp521r1")


def is_valid_for(name: str, host: str) -> bool:
    """Return whether a certificate for `name` holds for `host`; an asterisk stands for one label, the first.

    https://www.rfc-editor.org/rfc/rfc9525#section-6.3
    """
    name, host = name.lower(), host.lower()
    first, _, rest = host.partition(".")
    return name == host or (bool(first) and bool(rest) and name == f"*.{rest}")


def certificate_for(account: Account, host: str) -> str | None:
    """Return the ARN of an issued certificate for `host`, or None: one with that very name goes before one with an asterisk.

    Raises AccessDenied, whose hint says how to do without looking, and the other errors of the AWS boundary.
    """
    found: dict[bool, list[str]] = {True: [], False: []}
    try:
        with translate_aws_errors():
            pages = account.client("acm").get_paginator("list_certificates")
            for page in pages.paginate(CertificateStatuses=["ISSUED"], Includes={"keyTypes": list(_KEYS)}):
                for certificate in page["CertificateSummaryList"]:
                    names = {certificate["DomainName"], *certificate.get("SubjectAlternativeNameSummaries", ())}
                    fitting = {name for name in names if is_valid_for(name, host)}
                    if fitting:
                        found[host in fitting].append(certificate["CertificateArn"])
    except AccessDenied as error:
        error.hint = "ask for acm:ListCertificates, or give the certificate with --certificate-arn"
        raise
    return next(iter((*found[True], *found[False])), None)


def require_zone(account: Account, zone_id: str, host: str) -> None:
    """Raise SpaceRequestError unless there is a hosted zone `zone_id`, and `host` is in it."""
    try:
        with translate_aws_errors():
            zone = account.client("route53").get_hosted_zone(Id=zone_id)["HostedZone"]["Name"].rstrip(".")
    except Exception as error:
        if error_code(error.__cause__ or error) != "NoSuchHostedZone":
            raise
        raise SpaceRequestError(
            f"there is no hosted zone {zone_id} in this account",
            hint="`aws route53 list-hosted-zones` shows those there are",
        ) from error
    if host != zone and not host.endswith(f".{zone}"):
        raise SpaceRequestError(f"{host} is not in the hosted zone {zone_id}, which is that of {zone}")
