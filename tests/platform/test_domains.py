"""Certificates and hosted zones of host names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exasol_ci_setup.core.errors import AccessDeniedError, SpaceRequestError
from exasol_ci_setup.platform import domains
from tests.answers import AwsError

if TYPE_CHECKING:
    from tests.answers import Answers


@pytest.mark.parametrize(
    ("name", "host", "valid"),
    [
        ("web.example.com", "web.example.com", True),
        ("WEB.example.com", "web.example.com", True),
        ("*.example.com", "web.example.com", True),
        ("*.example.com", "a.web.example.com", False),
        ("*.example.com", "example.com", False),
        ("example.com", "web.example.com", False),
        ("*.com", "example.com", True),
        ("*", "web", False),
    ],
)
def test_wildcard_matches_only_first_label(name, host, valid):
    assert domains.is_valid_for(name, host) is valid


def certificate(number: int, name: str, *others: str) -> dict[str, object]:
    arn = f"arn:aws:acm:eu-central-1:123456789012:certificate/{number}"
    return {"CertificateArn": arn, "DomainName": name, "SubjectAlternativeNameSummaries": [name, *others]}


def test_exact_certificate_on_any_page_wins_over_wildcard(answers: Answers):
    answers.on(
        "acm",
        "ListCertificates",
        [
            {"CertificateSummaryList": [certificate(1, "*.example.com")], "NextToken": "more"},
            {"CertificateSummaryList": [certificate(2, "example.com", "web.example.com")]},
        ],
    )

    found = domains.certificate_for(answers.account, "web.example.com")
    assert found is not None
    assert found.arn.endswith("/2")
    # The request includes keys other than the default, and only issued certificates.
    (first, _) = answers.calls
    assert first.params["CertificateStatuses"] == ["ISSUED"]
    assert "EC_prime256v1" in first.params["Includes"]["keyTypes"]


def test_certificate_for_most_hosts_is_returned_with_uncovered_ones(answers: Answers):
    others = ("example.com", "example.org", "example.net")
    answers.on(
        "acm",
        "ListCertificates",
        {
            "CertificateSummaryList": [
                certificate(1, "web.example.com", "example.com"),
                certificate(2, "*.example.com", "example.com", "example.net"),
            ]
        },
    )

    found = domains.certificate_for(answers.account, "web.example.com", others)

    assert found is not None
    assert found.arn.endswith("/2")
    assert found.uncovered == ("example.org",)


def test_no_valid_certificate_returns_none(answers: Answers):
    answers.on("acm", "ListCertificates", {"CertificateSummaryList": [certificate(1, "example.org")]})

    assert domains.certificate_for(answers.account, "web.example.com") is None


def test_denied_certificate_list_hints_at_option(answers: Answers):
    answers.on("acm", "ListCertificates", AwsError("AccessDeniedException", "no"))

    with pytest.raises(AccessDeniedError) as caught:
        domains.certificate_for(answers.account, "web.example.com")

    assert "--certificate-arn" in caught.value.hint


def zone(name: str) -> dict[str, object]:
    return {"HostedZone": {"Id": "/hostedzone/Z1", "Name": name, "CallerReference": "1"}}


@pytest.mark.parametrize("host", ["example.com", "web.example.com", "a.b.example.com"])
def test_host_in_zone_is_accepted(answers: Answers, host: str):
    answers.on("route53", "GetHostedZone", zone("example.com."))

    domains.require_zone(answers.account, "Z1", host)


@pytest.mark.parametrize("host", ["example.org", "badexample.com"])
def test_host_outside_zone_is_rejected(answers: Answers, host: str):
    answers.on("route53", "GetHostedZone", zone("example.com."))

    with pytest.raises(SpaceRequestError, match=r"not in hosted zone Z1"):
        domains.require_zone(answers.account, "Z1", host)


def test_missing_zone_is_rejected(answers: Answers):
    answers.on("route53", "GetHostedZone", AwsError("NoSuchHostedZone", "no", status=404))

    with pytest.raises(SpaceRequestError, match="hosted zone Z1 does not exist"):
        domains.require_zone(answers.account, "Z1", "web.example.com")
