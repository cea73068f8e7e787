"""Certificates and hosted zones for host names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exasol_ci_setup.errors import AccessDenied, SpaceRequestError
from exasol_ci_setup.platform import domains
from tests.answers import AwsError

if TYPE_CHECKING:
    from tests.answers import Answers


@pytest.mark.parametrize(
    ("name", "host", "fits"),
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
def test_an_asterisk_stands_for_the_first_label_alone(name, host, fits):
    assert domains.is_valid_for(name, host) is fits


def certificate(number: int, name: str, *others: str) -> dict[str, object]:
    arn = f"arn:aws:acm:eu-central-1:123456789012:certificate/{number}"
    return {"CertificateArn": arn, "DomainName": name, "SubjectAlternativeNameSummaries": [name, *others]}


def test_the_certificate_with_the_very_name_goes_before_one_with_an_asterisk_on_any_page(answers: Answers):
    answers.on(
        "acm",
        "ListCertificates",
        [
            {"CertificateSummaryList": [certificate(1, "*.example.com")], "NextToken": "more"},
            {"CertificateSummaryList": [certificate(2, "example.com", "web.example.com")]},
        ],
    )

    assert str(domains.certificate_for(answers.account, "web.example.com")).endswith("/2")
    # Those with other keys than the default are asked for too, and only those that are issued.
    (first, _) = answers.calls
    assert first.params["CertificateStatuses"] == ["ISSUED"]
    assert "EC_prime256v1" in first.params["Includes"]["keyTypes"]


def test_without_a_fitting_certificate_there_is_none(answers: Answers):
    answers.on("acm", "ListCertificates", {"CertificateSummaryList": [certificate(1, "example.org")]})

    assert domains.certificate_for(answers.account, "web.example.com") is None


def test_who_may_not_look_for_certificates_is_told_how_to_do_without(answers: Answers):
    answers.on("acm", "ListCertificates", AwsError("AccessDeniedException", "no"))

    with pytest.raises(AccessDenied) as caught:
        domains.certificate_for(answers.account, "web.example.com")

    assert "--certificate-arn" in caught.value.hint


def zone(name: str) -> dict[str, object]:
    return {"HostedZone": {"Id": "/hostedzone/Z1", "Name": name, "CallerReference": "1"}}


@pytest.mark.parametrize("host", ["example.com", "web.example.com", "a.b.example.com"])
def test_a_host_in_the_zone_is_fine(answers: Answers, host: str):
    answers.on("route53", "GetHostedZone", zone("example.com."))

    domains.require_zone(answers.account, "Z1", host)


@pytest.mark.parametrize("host", ["example.org", "badexample.com"])
def test_a_host_of_another_zone_is_refused(answers: Answers, host: str):
    answers.on("route53", "GetHostedZone", zone("example.com."))

    with pytest.raises(SpaceRequestError, match=r"not in the hosted zone Z1, which is that of example\.com"):
        domains.require_zone(answers.account, "Z1", host)


def test_a_zone_that_is_not_there_is_refused(answers: Answers):
    answers.on("route53", "GetHostedZone", AwsError("NoSuchHostedZone", "no", status=404))

    with pytest.raises(SpaceRequestError, match="no hosted zone Z1"):
        domains.require_zone(answers.account, "Z1", "web.example.com")
