"""HTTPS and DNS of spaces, against the sandbox."""

from __future__ import annotations

from threading import Event, Thread

import pytest

import exasol_ci_setup as naas
from exasol_ci_setup.errors import SpaceRequestError
from exasol_ci_setup.platform import load_balancer
from exasol_ci_setup.platform.place import Place
from exasol_ci_setup.stacks import state
from tests.platform.spaces import Told, listeners, rules

pytestmark = pytest.mark.live

IMAGE = "public.ecr.aws/nginx/nginx:1.27"


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def place(live, told):
    return Place(live, report=told)


@pytest.fixture
def certificate(live):
    """Make an issued certificate."""

    def make(domain: str) -> str:
        return str(live.client("acm").request_certificate(DomainName=domain)["CertificateArn"])

    return make


def of_listener(live) -> list[tuple[str, bool]]:
    found = live.client("elbv2").describe_listener_certificates(ListenerArn=listeners(live)[443]["ListenerArn"])
    return [(each["CertificateArn"], each["IsDefault"]) for each in found["Certificates"]]


def test_a_certificate_that_acm_has_for_the_host_makes_it_https_and_http_is_sent_there(live, place, told, certificate):
    certificate("example.org")
    arn = certificate("*.example.com")

    made = naas.space.create("web", image=IMAGE, domain="example.com", place=place)

    assert made.url == "https://web.example.com/"
    assert made.certificate_arn == arn
    assert f"HTTPS with the certificate {arn}, found in ACM for web.example.com" in told.said
    assert list(rules(live, 443)) == ["web.example.com"]
    assert rules(live, 80) == {}
    (action,) = listeners(live)[80]["DefaultActions"]
    assert (action["Type"], action["RedirectConfig"]["Protocol"]) == ("redirect", "HTTPS")
    (answer,) = listeners(live)[443]["DefaultActions"]
    assert answer["FixedResponseConfig"]["StatusCode"] == "404"
    assert of_listener(live)[0] == (arn, True)


def test_without_a_certificate_it_is_http_and_that_is_told(place, told):
    made = naas.space.create("web", image=IMAGE, domain="example.com", place=place)

    assert made.url == "http://web.example.com/"
    assert "HTTP alone: ACM has no issued certificate for web.example.com in eu-central-1" in told.said


def test_a_space_with_http_alone_is_still_reached_beside_one_with_https(live, place, certificate):
    naas.space.create("old", image=IMAGE, domain="example.org", place=place)
    certificate("new.example.com")

    naas.space.create("new", image=IMAGE, domain="example.com", place=place)

    assert list(rules(live, 80)) == ["old.example.org"]
    assert list(rules(live, 443)) == ["new.example.com"]


def test_each_space_shows_its_own_certificate_and_takes_it_along_when_it_goes(live, place, certificate):
    first, second = certificate("a.example.com"), certificate("*.example.org")
    naas.space.create("a", image=IMAGE, domain="example.com", place=place)
    naas.space.create("b", image=IMAGE, domain="example.org", certificate_arn=second, place=place)
    naas.space.create("c", image=IMAGE, domain="example.org", place=place)
    assert of_listener(live)[0] == (first, True)
    assert (second, False) in of_listener(live)

    naas.space.delete("b", place=place)
    assert (second, False) in of_listener(live), "c has it too"
    naas.space.delete("c", place=place)
    assert (second, False) not in of_listener(live)


def test_the_listeners_own_certificate_stays_when_its_space_goes(live, place, certificate):
    arn = certificate("web.example.com")
    naas.space.create("web", image=IMAGE, domain="example.com", place=place)

    assert naas.space.delete("web", place=place) == 0
    assert of_listener(live)[0] == (arn, True)


def test_another_domain_has_its_certificate_looked_for_again(live, place, certificate):
    naas.space.create("web", image=IMAGE, domain="example.com", place=place)
    arn = certificate("web.example.org")

    moved = naas.space.update("web", domain="example.org", place=place)
    assert (moved.url, moved.certificate_arn) == ("https://web.example.org/", arn)
    assert list(rules(live, 443)) == ["web.example.org"]
    assert rules(live, 80) == {}

    back = naas.space.update("web", domain="example.com", place=place)
    assert (back.url, back.certificate_arn) == ("http://web.example.com/", "")
    assert rules(live, 443) == {}


def test_an_update_of_something_else_looks_for_no_certificate(place, told, certificate):
    naas.space.create("web", image=IMAGE, domain="example.com", place=place)
    certificate("web.example.com")
    told.said.clear()

    assert naas.space.update("web", image="nginx:2", place=place).url == "http://web.example.com/"
    assert told.said == []


def test_a_record_in_the_hosted_zone_leads_to_the_load_balancer(live, place):
    route53 = live.client("route53")
    zone = route53.create_hosted_zone(Name="example.com", CallerReference="1")["HostedZone"]["Id"].split("/")[-1]

    made = naas.space.create("web", image=IMAGE, domain="example.com", hosted_zone_id=zone, place=place)

    records = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    (record,) = [each for each in records if each["Name"] == "web.example.com."]
    assert record["Type"] == "A"
    assert record["AliasTarget"]["DNSName"].rstrip(".") == made.dns_name


def test_a_host_that_is_not_in_the_hosted_zone_is_refused_before_anything_is_made(live, place):
    zone = live.client("route53").create_hosted_zone(Name="example.org", CallerReference="1")["HostedZone"]["Id"]

    with pytest.raises(SpaceRequestError, match=r"web\.example\.com is not in the hosted zone"):
        naas.space.create("web", image=IMAGE, domain="example.com", hosted_zone_id=zone.split("/")[-1], place=place)

    assert list(state.own(live.client("cloudformation"))) == []


def test_the_load_balancer_goes_once_no_space_is_left(live, place):
    naas.space.create("web", image=IMAGE, place=place)
    naas.space.delete("web", place=place)

    load_balancer.remove(place=place)

    assert state.find(live.client("cloudformation"), load_balancer.STACK_NAME) is None


def test_https_that_another_run_adds_meanwhile_is_not_taken_away(live, operations, certificate):
    naas.space.create("old", image=IMAGE, domain="example.org", place=Place(live))
    certificate("web.example.com")
    operations.hold()
    begun = Event()

    class Waiting(Told):
        def view(self, stack_name, title, /):
            if title == "updating spaces-load-balancer":
                begun.set()
            return super().view(stack_name, title)

    other = Thread(
        target=naas.space.create,
        kwargs={
            "name": "web",
            "image": IMAGE,
            "domain": "example.com",
            "place": Place(live, report=Waiting()),
        },
    )
    other.start()
    assert begun.wait(60)

    class Releasing(Told):
        def view(self, stack_name, title, /):
            operations.release()
            return super().view(stack_name, title)

    # It finds a load balancer without HTTPS, waits for the update in progress, and then finds HTTPS.
    naas.space.create("plain", image=IMAGE, domain="example.org", place=Place(live, report=Releasing()))
    other.join()

    assert list(rules(live, 443)) == ["web.example.com"]
    assert sorted(rules(live, 80)) == ["old.example.org", "plain.example.org"]
