"""Validation and derived values of a space."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.constructs import LoadBalancer, Scope, Space, build
from exasol_ci_setup.core.errors import InputError
from tests.templates.samples import CERTIFICATE, ECR, SECRET, SPACE_WITH_ALL

BALANCER = LoadBalancer()


def space(**values) -> Space:
    return build(Space, **{"name": "web", "load_balancer": BALANCER, "image": "nginx", **values})


@pytest.mark.parametrize(
    ("domain", "host"),
    [
        ("example.com", "web.example.com"),
        ("web.example.com", "web.example.com"),
        ("website.example.com", "web.website.example.com"),
        (None, None),
    ],
)
def test_host_is_domain_or_below_it(domain, host):
    assert space(domain=domain).host == host


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "Web"}, "lower-case"),
        ({"name": "-web"}, "lower-case"),
        ({"name": "w" * 64}, "at most 63"),
        ({"domain": "example"}, "name of a domain"),
        ({"domain": "Example.com"}, "lower case"),
        ({"domain": "exa_mple.com"}, "name of a domain"),
        ({"domain": "*.example.com"}, "name of a domain"),
        ({"domain": f"{'a.' * 63}com"}, "name of a domain"),
        ({"domain": "example.xn--p1ai"}, "letters only after the last dot"),
        ({"name": "w" * 63, "domain": f"{'a' * 60}.example"}, "has 132 characters"),
        ({"count": 51}, "0 to 50"),
        ({"count": -1}, "0 to 50"),
        ({"count": 0, "max_count": 3}, "at least 1, and below the greatest"),
        ({"count": 3, "max_count": 3}, "at least 1, and below the greatest"),
        ({"max_count": 51}, "1 to 50"),
        ({"health_path": "health"}, "slash at the beginning"),
        ({"health_path": "/he alth"}, "without spaces"),
        ({"health_interval": 5}, "6 to 300"),
        ({"grace_period": 3601}, "0 to 3600"),
        ({"listener_port": 80}, "8000 to 8999"),
        ({"image": "nginx:"}, "image with its tag"),
        ({"image": "ngi nx"}, "image with its tag"),
        ({"image": "NGINX:1"}, "image with its tag"),
        ({"image": ""}, "image with its tag"),
        ({"port": 0}, "1 to 65535"),
        ({"cpu": 256, "memory": 4096}, "Fargate supports 512 to 2048"),
        ({"certificate_arn": CERTIFICATE}, "--certificate-arn needs a --domain"),
        ({"hosted_zone_id": "Z1"}, "--hosted-zone-id needs a --domain"),
        ({"extra_hosts": ["example.com"]}, "--extra-host needs a --domain"),
        ({"redirect_hosts": ["example.com"]}, "--redirect-host needs a --domain"),
        ({"domain": "a.com", "redirect_hosts": [f"{each}.com" for each in "bcdefg"]}, "at most 5 hosts that redirect"),
        ({"domain": "a.com", "redirect_hosts": ["b.com", "b.com"]}, "the host b.com is repeated"),
        ({"domain": "a.com", "redirect_hosts": ["web.a.com"]}, "web.a.com is a host of the space, and cannot redirect"),
        ({"domain": "a.com", "extra_hosts": [f"{each}.com" for each in "bcdef"]}, "at most 5 hosts$"),
        ({"domain": "a.com", "extra_hosts": ["web.a.com"]}, "the host web.a.com is repeated"),
        ({"env": {"A": "1"}, "secrets": {"A": SECRET}}, "A cannot be both a variable and a secret"),
        ({"env": {"A": "x{{resolve:ssm:y}}"}}, "A contains '{{resolve:'"),
        ({"env": {"A B": "1"}}, "letters, digits and underscores"),
        ({"secrets": {"A": "name"}}, "full ARN"),
        ({"priority": 50_001}, "1 to 50000"),
    ],
)
def test_invalid_value_is_rejected(values, message):
    with pytest.raises(InputError, match=message):
        space(**values)


def test_load_balancer_with_one_subnet_is_rejected():
    with pytest.raises(InputError, match="at least two subnets"):
        build(LoadBalancer, subnet_ids=("subnet-11111111",))


@pytest.mark.parametrize(
    ("image", "source", "tag"),
    [("nginx", "nginx", "latest"), (f"{ECR}:1.0", ECR, "1.0"), ("localhost:5000/a/b", "localhost:5000/a/b", "latest")],
)
def test_image_without_tag_is_latest(image, source, tag):
    container = space(image=image).container

    assert (container.source, container.tag) == (source, tag)


def test_stack_names_derive_from_construct():
    assert BALANCER.stack_name == "spaces-load-balancer"
    assert space().stack_name == "space-web"
    scoped = LoadBalancer(scope=Scope(region="eu-central-1", name="shop"))
    assert scoped.stack_name == "shop-spaces"
    assert space(load_balancer=scoped).stack_name == "shop-web"


def test_certificate_moves_rule_to_https_listener():
    assert space().listener_output == "HttpListenerArn"
    assert SPACE_WITH_ALL.listener_output == "HttpsListenerArn"


def test_space_can_be_recreated_from_record():
    again = build(Space, load_balancer=SPACE_WITH_ALL.load_balancer, **json.loads(SPACE_WITH_ALL.record))

    assert again == SPACE_WITH_ALL


@given(
    env=st.dictionaries(
        st.from_regex(r"[A-Z_]{1,8}", fullmatch=True), st.text("aé\"'{}$\\ #:", max_size=20), max_size=4
    )
)
def test_record_keeps_any_value(env):
    made = space(env=env)

    assert build(Space, load_balancer=BALANCER, **json.loads(made.record)) == made
