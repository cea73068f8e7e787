"""Rates of our resources: where to find their prices in the AWS price list.

The names are product attributes of each service, as GetAttributeValues returns them:
https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html.
"""

from __future__ import annotations

from typing import Final

from exasol_ci_setup.costs.model import Rate

PUBLIC_IPV4: Final = Rate("AmazonVPC", "PublicIPv4:InUseAddress", (("group", "VPCPublicIPv4Address"),))
DATA_OUT: Final = Rate(
    "AWSDataTransfer", "DataTransfer-Out-Bytes", (("transferType", "AWS Outbound"),), region_field="fromRegionCode"
)

LOAD_BALANCER: Final = Rate("AWSELB", "LoadBalancerUsage", (("productFamily", "Load Balancer-Application"),))
LOAD_BALANCER_CAPACITY: Final = Rate("AWSELB", "LCUUsage", (("productFamily", "Load Balancer-Application"),))

LOGS_INGESTED: Final = Rate("AmazonCloudWatch", "DataProcessing-Bytes", (("productFamily", "Data Payload"),))
LOGS_STORED: Final = Rate("AmazonCloudWatch", "TimedStorage-ByteHrs", (("productFamily", "Storage Snapshot"),))

OBJECTS: Final = Rate("AmazonS3", "TimedStorage-ByteHrs", (("volumeType", "Standard"),))
OBJECT_WRITES: Final = Rate("AmazonS3", "Requests-Tier1", (("productFamily", "API Request"),))
OBJECT_READS: Final = Rate("AmazonS3", "Requests-Tier2", (("productFamily", "API Request"),))

IMAGES: Final = Rate("AmazonECR", "TimedStorage-ByteHrs")
KEY_REQUESTS: Final = Rate("awskms", "KMS-Requests")

SECRET: Final = Rate("AWSSecretsManager", "AWSSecretsManager-Secrets")
SECRET_REQUESTS: Final = Rate("AWSSecretsManager", "AWSSecretsManagerAPIRequest")


def build_minutes(size: str, *, arm: bool) -> Rate:
    """Return the rate of a Linux build host of `size`, such as ``small``."""
    kind = "ARM" if arm else "Linux"
    return Rate("CodeBuild", f"Build-Min:{kind}:g1.{size}", (("productFamily", "Compute"),))


def fargate(*, arm: bool) -> tuple[Rate, Rate]:
    """Return the rates of a Linux task's vCPU-hours and GB-hours."""
    processor = "ARM-" if arm else ""
    family = (("productFamily", "Compute"),)
    return (
        Rate("AmazonECS", f"Fargate-{processor}vCPU-Hours:perCPU", family),
        Rate("AmazonECS", f"Fargate-{processor}GB-Hours", family),
    )


def instance(kind: str) -> Rate:
    """Return the rate of a Linux instance of type `kind` with shared tenancy."""
    return Rate(
        "AmazonEC2",
        f"BoxUsage:{kind}",
        (
            ("instanceType", kind),
            ("operatingSystem", "Linux"),
            ("tenancy", "Shared"),
            ("preInstalledSw", "NA"),
            ("capacitystatus", "Used"),
        ),
    )


def disk(kind: str) -> Rate:
    """Return the rate of a GB-month on a volume of type `kind`, such as ``gp3``."""
    return Rate("AmazonEC2", f"EBS:VolumeUsage.{kind}", (("productFamily", "Storage"), ("volumeApiName", kind)))


def processor_credits(family: str) -> Rate:
    """Return the rate of a vCPU-hour above the earned credits of an instance of `family`, such as ``t3``."""
    return Rate("AmazonEC2", f"CPUCredits:{family}", (("productFamily", "CPU Credits"), ("operatingSystem", "Linux")))
