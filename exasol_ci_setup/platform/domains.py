"""AWS resources of a host name: a valid certificate of ACM, and the hosted zone of Route 53."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from exasol_ci_setup.aws.session import replace_aws_errors, translate_aws_errors
from exasol_ci_setup.core.errors import AccessDeniedError, SpaceRequestError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from mypy_boto3_acm.type_defs import CertificateSummaryTypeDef

    from exasol_ci_setup.aws.session import Account

# By default ACM lists only RSA keys of up to 2048 bits: https://docs.aws.amazon.com/acm/latest/APIReference/API_Filters.html.
# A load balancer supports these: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/https-listener-certificates.html.
_KEYS: Final = ("RSA_2048", "RSA_3072", "RSA_4096", "EC_prime256v1", "EC_secp384r1", "EC_secp521r1")


def is_valid_for(name: str, host: str) -> bool:
    """Return whether a certificate for `name` is valid for `host`; an asterisk matches the first label.

    https://www.rfc-editor.org/rfc/rfc9525#section-6.3
    """
    name, host = name.lower(), host.lower()
    first, _, rest = host.partition(".")
    return name == host or (bool(first) and bool(rest) and name == f"*.{rest}")


class Certificate(NamedTuple):
    """The ARN of a certificate, and the other hosts for which it is not valid."""

    arn: str
    uncovered: tuple[str, ...]


def certificate_for(account: Account, host: str, others: Collection[str] = ()) -> Certificate | None:
    """Return an issued certificate for `host`, or None; one for the `others` too is preferred, then an exact name.

    Raises AccessDeniedError, whose hint names the option that avoids the request, and the other errors of the AWS boundary.
    """
    try:
        with translate_aws_errors():
            pages = account.client("acm").get_paginator("list_certificates")
            listed = [
                certificate
                for page in pages.paginate(CertificateStatuses=["ISSUED"], Includes={"keyTypes": list(_KEYS)})
                for certificate in page["CertificateSummaryList"]
            ]
    except AccessDeniedError as error:
        error.hint = "request the permission acm:ListCertificates, or pass the certificate with --certificate-arn"
        raise
    found = [each for each in listed if any(is_valid_for(name, host) for name in _names(each))]
    if not found:
        return None
    # The first one of equal ones.
    best = min(found, key=lambda each: (len(_uncovered(each, others)), host not in _names(each)))
    return Certificate(best["CertificateArn"], _uncovered(best, others))


def _names(certificate: CertificateSummaryTypeDef) -> set[str]:
    return {certificate["DomainName"], *certificate.get("SubjectAlternativeNameSummaries", ())}


def _uncovered(certificate: CertificateSummaryTypeDef, hosts: Iterable[str]) -> tuple[str, ...]:
    """Return the hosts for which a certificate is not valid, by its names in the list of ACM."""
    names = _names(certificate)
    return tuple(host for host in hosts if not any(is_valid_for(name, host) for name in names))


def require_zone(account: Account, zone_id: str, host: str) -> None:
    """Raise SpaceRequestError unless the hosted zone `zone_id` exists and contains `host`."""
    missing = SpaceRequestError(
        f"hosted zone {zone_id} does not exist in this account",
        hint="list the hosted zones with `aws route53 list-hosted-zones`",
    )
    with replace_aws_errors({"NoSuchHostedZone"}, lambda _message: missing):
        zone = account.client("route53").get_hosted_zone(Id=zone_id)["HostedZone"]["Name"].rstrip(".")
    if host != zone and not host.endswith(f".{zone}"):
        raise SpaceRequestError(f"{host} is not in hosted zone {zone_id} of {zone}")
