"""Comparison of a plan with the approved one."""

from __future__ import annotations

import pytest

from exasol_ci_setup.core.stacks import Broadening, Change, Plan
from exasol_ci_setup.stacks.approval import excess

OPEN = Broadening("ingress", "Web", "Web: ingress from everywhere", public=True)
TOPIC = Change("Add", "Topic", "AWS::SNS::Topic")
BUCKET = Change("Modify", "Bucket", "AWS::S3::Bucket", replacement="True")
MAYBE = Change("Modify", "Bucket", "AWS::S3::Bucket", replacement="Conditional")
KEPT = Change("Modify", "Bucket", "AWS::S3::Bucket", replacement="False")
LOST = Change("Modify", "Bucket", "AWS::S3::Bucket", replacement="False", data_loss=True)


def plan(*changes: Change, broadenings: tuple[Broadening, ...] = ()) -> Plan:
    return Plan("Slc", "UPDATE", changes=changes, broadenings=broadenings)


@pytest.mark.parametrize(
    ("shown", "found", "reason"),
    [
        (None, plan(), ""),
        (None, plan(TOPIC), "Add of Topic"),
        (plan(TOPIC), plan(TOPIC), ""),
        (plan(TOPIC), plan(Change("Import", "Topic", "AWS::SNS::Topic")), ""),
        (plan(TOPIC), plan(Change("Remove", "Topic", "AWS::SNS::Topic")), "Remove of Topic"),
        (plan(KEPT), plan(BUCKET), "replacement of Bucket"),
        (plan(MAYBE), plan(BUCKET), ""),
        (plan(BUCKET), plan(Change("Add", "Bucket", "AWS::S3::Bucket")), ""),
        (plan(KEPT), plan(LOST), "data loss of Bucket"),
        (plan(LOST), plan(LOST), ""),
        (plan(TOPIC), plan(TOPIC, broadenings=(OPEN,)), "Web: ingress from everywhere"),
        (plan(TOPIC, broadenings=(OPEN,)), plan(TOPIC, broadenings=(OPEN,)), ""),
        (None, plan(LOST, BUCKET, broadenings=(OPEN,)), "Modify of Bucket"),
        (plan(KEPT), plan(BUCKET, TOPIC, broadenings=(OPEN,)), "Add of Topic"),
        (plan(KEPT), plan(BUCKET, broadenings=(OPEN,)), "replacement of Bucket"),
        (plan(KEPT), plan(LOST, broadenings=(OPEN,)), "Web: ingress from everywhere"),
    ],
)
def test_plan_beyond_approved_one_names_first_excess(shown, found, reason):
    assert excess(shown, found) == reason
