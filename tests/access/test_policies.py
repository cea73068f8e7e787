"""How statements of a policy are read, and when patterns, callers or conditions cover others."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.access.policies import Condition, Patterns, Principals, Statement, statements


def read(document, kind="resource-policy"):
    return list(statements(document, subject="bucket B", logical_id="P", kind=kind))


def test_statement_names_caller_action_resource_and_condition():
    given = {
        "Effect": "allow",
        "Action": ["s3:GetObject"],
        "NotResource": {"Fn::GetAtt": ["B", "Arn"]},
        "Principal": {"AWS": "123456789012", "Service": "x.amazonaws.com"},
        "Condition": {"Bool": {"aws:SecureTransport": True}},
    }
    assert read({"Statement": given}) == [
        Statement(
            "bucket B",
            "P",
            "resource-policy",
            "Allow",
            Patterns(frozenset({"s3:GetObject"}), any_case=True),
            Patterns(frozenset({"${B.Arn}"}), inverted=True),
            Principals(frozenset({("AWS", "arn:aws:iam::123456789012:root"), ("Service", "x.amazonaws.com")})),
            frozenset({Condition("Bool", "aws:SecureTransport", frozenset({"true"}))}),
        )
    ]


@pytest.mark.parametrize("document", [{"Fn::Transform": "x"}, "no JSON", 7, {"Statement": [{"Effect": {"Ref": "P"}}]}])
def test_invalid_statement_is_kept_as_text(document):
    (found,) = read(document)
    assert found.opaque


def test_no_document_holds_no_statement():
    assert read(None) == []


@pytest.mark.parametrize(
    ("principals", "expected"),
    [
        ("*", "everyone"),
        ({"Service": "x.amazonaws.com"}, "service x.amazonaws.com"),
        ({"Federated": "idp", "AWS": "arn:a"}, "arn:a, identity provider idp"),
    ],
)
def test_callers_are_described_in_words(principals, expected):
    (found,) = read({"Statement": {"Effect": "Allow", "Action": "a:b", "Principal": principals}})
    assert str(found.principals) == expected


@pytest.mark.parametrize(
    ("wider", "narrower", "covers"),
    [
        (Principals(frozenset({("AWS", "*")})), Principals(frozenset({("Service", "x")})), True),
        (Principals(frozenset({("AWS", "a")})), Principals(frozenset({("AWS", "*")})), False),
        (Principals(frozenset({("AWS", "a")}), inverted=True), Principals(frozenset({("AWS", "b")})), False),
        (
            Principals(frozenset({("AWS", "a")}), inverted=True),
            Principals(frozenset({("AWS", "a"), ("AWS", "b")}), inverted=True),
            True,
        ),
    ],
)
def test_callers_cover_their_definite_members(wider, narrower, covers):
    assert wider.covers(narrower) is covers


def test_statement_contains_only_keys_of_its_kind_of_policy():
    wanted = Statement("role R", "R", "iam-allow", actions=Patterns(frozenset({"a:b"})))
    other = replace(wanted, kind="iam-trust", actions=Patterns(frozenset({"*"})))
    assert len(list(wanted.not_in([other]))) == 1
    assert list(wanted.not_in([replace(other, kind="iam-allow")])) == []


PATTERNS = st.text("ab*?", max_size=5)
SETS = st.builds(Patterns, st.frozensets(PATTERNS, max_size=3), st.booleans())


def holds(patterns, text):
    """Match wildcards as IAM does, by another method than the code under test."""
    wildcards = {"*": ".*", "?": "."}
    expressions = ("".join(wildcards.get(letter, letter) for letter in pattern) for pattern in patterns.patterns)
    return any(re.fullmatch(expression, text) for expression in expressions) is not patterns.inverted


@given(SETS, SETS, st.text("ab", max_size=5))
def test_covered_set_has_no_member_outside_of_other(wider, narrower, text):
    for member in narrower.members():
        if wider.covers(member) and holds(member, text):
            assert holds(wider, text)


@given(SETS)
def test_set_covers_its_own_members(patterns):
    assert all(patterns.covers(member) for member in patterns.members())
