"""HTTPS and DNS of spaces, against the sandbox."""

from __future__ import annotations

from threading import Event, Thread

import pytest

import exasol_ci_setup as naas
from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.core.errors import SpaceRequestError
from exasol_ci_setup.platform import load_balancer
from exasol_ci_setup.stacks import state
from tests.platform.spaces import listeners, rules
from tests.reporters import RecordingReporter

pytestmark = pytest.mark.live

IMAGE = "public.ecr.aws/nginx/nginx:1.27"


@pytest.fixture
def reporter():
    return RecordingReporter()


@pytest.fixture
def context(live, reporter):
    return Context(live, reporter=reporter)


@pytest.fixture
def certificate(live):
    """Create an issued certificate."""

    def make(domain: str) -> str:
        return str(live.client("acm").request_certificate(DomainName=domain)["CertificateArn"])

    return make


def of_listener(live) -> list[tuple[str, bool]]:
    found = live.client("elbv2").describe_listener_certificates(ListenerArn=listeners(live)[443]["ListenerArn"])
    return [(each["CertificateArn"], each["IsDefault"]) for each in found["Certificates"]]


def test_acm_certificate_enables_https_and_redirect(live, context, reporter, certificate):
    certificate("example.org")
    arn = certificate("*.example.com")

    made = naas.space.create("web", image=IMAGE, domain="example.com", context=context)

    assert made.url == "https://web.example.com/"
    assert made.certificate_arn == arn
    assert f"HTTPS with certificate {arn} of ACM for web.example.com" in reporter.notes
    assert list(rules(live, 443)) == ["web.example.com"]
    assert rules(live, 80) == {}
    (action,) = listeners(live)[80]["DefaultActions"]
    assert (action["Type"], action["RedirectConfig"]["Protocol"]) == ("redirect", "HTTPS")
    (answer,) = listeners(live)[443]["DefaultActions"]
    assert answer["FixedResponseConfig"]["StatusCode"] == "404"
    assert of_listener(live)[0] == (arn, True)


def test_hosts_without_valid_certificate_are_reported(context, reporter, certificate):
    certificate("*.example.com")

    naas.space.create(
        "web",
        image=IMAGE,
        domain="example.com",
        extra_hosts=["www.example.com"],
        redirect_hosts=["example.com"],
        context=context,
    )

    assert "this certificate is not valid for example.com: browsers show an error there" in reporter.notes


def test_space_without_certificate_reports_http_only(context, reporter):
    made = naas.space.create("web", image=IMAGE, domain="example.com", context=context)

    assert made.url == "http://web.example.com/"
    assert "HTTP only: ACM has no issued certificate for web.example.com in eu-central-1" in reporter.notes


def test_http_space_stays_reachable_beside_https_space(live, context, certificate):
    naas.space.create("old", image=IMAGE, domain="example.org", context=context)
    certificate("new.example.com")

    naas.space.create("new", image=IMAGE, domain="example.com", context=context)

    assert list(rules(live, 80)) == ["old.example.org"]
    assert list(rules(live, 443)) == ["new.example.com"]


def test_delete_removes_unshared_certificate_from_listener(live, context, certificate):
    first, second = certificate("a.example.com"), certificate("*.example.org")
    naas.space.create("a", image=IMAGE, domain="example.com", context=context)
    naas.space.create("b", image=IMAGE, domain="example.org", certificate_arn=second, context=context)
    naas.space.create("c", image=IMAGE, domain="example.org", context=context)
    assert of_listener(live)[0] == (first, True)
    assert (second, False) in of_listener(live)

    naas.space.delete("b", context=context)
    assert (second, False) in of_listener(live), "c uses it too"
    naas.space.delete("c", context=context)
    assert (second, False) not in of_listener(live)


def test_delete_keeps_default_certificate(live, context, certificate):
    arn = certificate("web.example.com")
    naas.space.create("web", image=IMAGE, domain="example.com", context=context)

    assert naas.space.delete("web", context=context) == 0
    assert of_listener(live)[0] == (arn, True)


def test_new_domain_looks_up_certificate_again(live, context, certificate):
    naas.space.create("web", image=IMAGE, domain="example.com", context=context)
    arn = certificate("web.example.org")

    moved = naas.space.update("web", domain="example.org", context=context)
    assert (moved.url, moved.certificate_arn) == ("https://web.example.org/", arn)
    assert list(rules(live, 443)) == ["web.example.org"]
    assert rules(live, 80) == {}

    back = naas.space.update("web", domain="example.com", context=context)
    assert (back.url, back.certificate_arn) == ("http://web.example.com/", "")
    assert rules(live, 443) == {}


def test_other_update_looks_up_no_certificate(context, reporter, certificate):
    naas.space.create("web", image=IMAGE, domain="example.com", context=context)
    certificate("web.example.com")
    reporter.notes.clear()

    assert naas.space.update("web", image="nginx:2", context=context).url == "http://web.example.com/"
    assert reporter.notes == []


def test_hosted_zone_gets_record_of_load_balancer(live, context):
    route53 = live.client("route53")
    zone = route53.create_hosted_zone(Name="example.com", CallerReference="1")["HostedZone"]["Id"].split("/")[-1]

    made = naas.space.create("web", image=IMAGE, domain="example.com", hosted_zone_id=zone, context=context)

    records = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    (record,) = [each for each in records if each["Name"] == "web.example.com."]
    assert record["Type"] == "A"
    assert record["AliasTarget"]["DNSName"].rstrip(".") == made.dns_name


def test_host_outside_zone_is_rejected_before_creation(live, context):
    zone = live.client("route53").create_hosted_zone(Name="example.org", CallerReference="1")["HostedZone"]["Id"]

    with pytest.raises(SpaceRequestError, match=r"web\.example\.com is not in hosted zone"):
        naas.space.create("web", image=IMAGE, domain="example.com", hosted_zone_id=zone.split("/")[-1], context=context)

    assert list(state.own(live.client("cloudformation"))) == []


def test_load_balancer_can_be_deleted_without_spaces(live, context):
    naas.space.create("web", image=IMAGE, context=context)
    naas.space.delete("web", context=context)

    load_balancer.remove(context=context)

    assert state.find(live.client("cloudformation"), load_balancer.STACK_NAME) is None


def test_https_added_concurrently_is_kept(live, operations, certificate):
    naas.space.create("old", image=IMAGE, domain="example.org", context=Context(live))
    certificate("web.example.com")
    operations.hold()
    begun = Event()

    class Waiting(RecordingReporter):
        def operation(self, name, title, /):
            if title == "updating spaces-load-balancer":
                begun.set()
            return super().operation(name, title)

    other = Thread(
        target=naas.space.create,
        kwargs={
            "name": "web",
            "image": IMAGE,
            "domain": "example.com",
            "context": Context(live, reporter=Waiting()),
        },
    )
    other.start()
    assert begun.wait(60)

    class Releasing(RecordingReporter):
        def operation(self, name, title, /):
            operations.release()
            return super().operation(name, title)

    # The command finds a load balancer without HTTPS, waits for the update in progress, and then finds HTTPS.
    naas.space.create("plain", image=IMAGE, domain="example.org", context=Context(live, reporter=Releasing()))
    other.join()

    assert list(rules(live, 443)) == ["web.example.com"]
    assert sorted(rules(live, 80)) == ["old.example.org", "plain.example.org"]
