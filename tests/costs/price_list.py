"""Part of the AWS price list in the format of GetProducts, including similar products that must not match."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from exasol_ci_setup.costs.prices import Prices, price_of
from tests.answers import AwsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exasol_ci_setup.costs.model import Rate


def product(
    service: str, usage: str, *tiers: tuple[str, str], currency: str = "USD", unit: str = "Hrs", **attributes: str
) -> str:
    """Return one item of a PriceList; a tier has a begin and a unit price."""
    sku = "".join(letter for letter in f"{usage}{tiers}".upper() if letter.isalnum())[:16]
    term = f"{sku}.JRTCKXETXF"
    ends = [begin for begin, _ in tiers[1:]] + ["Inf"]
    family = attributes.pop("productFamily", None)
    return json.dumps(
        {
            "product": {
                **({"productFamily": family} if family else {}),
                "attributes": {
                    "servicecode": service,
                    "usagetype": usage,
                    "regionCode": "eu-central-1",
                    "locationType": "AWS Region",
                    **attributes,
                },
                "sku": sku,
            },
            "serviceCode": service,
            "terms": {
                "OnDemand": {
                    term: {
                        "priceDimensions": {
                            f"{term}.{number}": {
                                "unit": unit,
                                "beginRange": begin,
                                "endRange": end,
                                "description": f"{amount} per {unit}",
                                "appliesTo": [],
                                "rateCode": f"{term}.{number}",
                                "pricePerUnit": {currency: amount},
                            }
                            for number, ((begin, amount), end) in enumerate(zip(tiers, ends, strict=True))
                        },
                        "sku": sku,
                        "effectiveDate": "2026-11-01T00:00:00Z",
                        "offerTermCode": "JRTCKXETXF",
                        "termAttributes": {},
                    }
                },
                "Reserved": {f"{sku}.38NPMPTW36": {"priceDimensions": {}}},
            },
            "version": "20261101000000",
            "publicationDate": "2026-11-01T00:00:00Z",
        }
    )


def flat(service: str, usage: str, amount: str, **more: Any) -> str:
    """Return a product with a single tier."""
    return product(service, usage, ("0", amount), **more)


FRANKFURT: dict[str, list[str]] = {
    "AmazonECS": [
        flat("AmazonECS", "EUC1-Fargate-vCPU-Hours:perCPU", "0.0465600000", productFamily="Compute"),
        flat("AmazonECS", "EUC1-Fargate-GB-Hours", "0.0051100000", productFamily="Compute"),
        flat("AmazonECS", "EUC1-Fargate-ARM-vCPU-Hours:perCPU", "0.0372500000", productFamily="Compute"),
        flat("AmazonECS", "EUC1-Fargate-ARM-GB-Hours", "0.0040900000", productFamily="Compute"),
        flat("AmazonECS", "EUC1-SpotUsage-Fargate-vCPU-Hours:perCPU", "0.0145000000", productFamily="Compute"),
    ],
    "AmazonVPC": [
        flat("AmazonVPC", "EUC1-PublicIPv4:InUseAddress", "0.0050000000", group="VPCPublicIPv4Address"),
        flat("AmazonVPC", "EUC1-PublicIPv4:IdleAddress", "0.0050000000", group="VPCPublicIPv4Address"),
        flat("AmazonVPC", "EUC1-PublicIPv4:ContiguousBlock", "0.0080000000", group="VPCPublicIPv4Address"),
    ],
    "AWSDataTransfer": [
        product(
            "AWSDataTransfer",
            "EUC1-DataTransfer-Out-Bytes",
            ("0", "0.0900000000"),
            ("10240", "0.0850000000"),
            ("51200", "0.0700000000"),
            ("153600", "0.0500000000"),
            unit="GB",
            fromRegionCode="eu-central-1",
            transferType="AWS Outbound",
        )
    ],
    "AWSELB": [
        flat("AWSELB", "EUC1-LoadBalancerUsage", "0.0270000000", productFamily="Load Balancer-Application"),
        flat("AWSELB", "EUC1-TS-LoadBalancerUsage", "0.0063000000", productFamily="Load Balancer-Application"),
        flat("AWSELB", "EUC1-LCUUsage", "0.0080000000", productFamily="Load Balancer-Application"),
    ],
    "AmazonCloudWatch": [
        flat("AmazonCloudWatch", "EUC1-DataProcessing-Bytes", "0.6300000000", unit="GB", group="Ingested Logs"),
        flat("AmazonCloudWatch", "EUC1-DataProcessingIA-Bytes", "0.3150000000", unit="GB"),
        flat("AmazonCloudWatch", "Global-DataProcessing-Bytes", "0.0000000000", unit="GB"),
        flat("AmazonCloudWatch", "EUC1-TimedStorage-ByteHrs", "0.0324000000", unit="GB-Mo"),
    ],
    "AmazonS3": [
        product(
            "AmazonS3",
            "EUC1-TimedStorage-ByteHrs",
            ("0", "0.0245000000"),
            ("51200", "0.0235000000"),
            ("512000", "0.0225000000"),
            unit="GB-Mo",
        ),
        flat("AmazonS3", "EUC1-TimedStorage-INT-FA-ByteHrs", "0.0245000000", unit="GB-Mo"),
        flat("AmazonS3", "EUC1-Requests-Tier1", "0.0000054000", unit="Requests"),
        flat("AmazonS3", "EUC1-Requests-SIA-Tier1", "0.0000100000", unit="Requests"),
        flat("AmazonS3", "EUC1-Requests-Tier2", "0.0000004300", unit="Requests"),
    ],
    "AmazonECR": [flat("AmazonECR", "EUC1-TimedStorage-ByteHrs", "0.1000000000", unit="GB-Mo")],
    "awskms": [
        product(
            "awskms", "eu-central-1-KMS-Requests", ("0", "0.0000000000"), ("20000", "0.0000030000"), unit="Requests"
        ),
        flat("awskms", "eu-central-1-KMS-Requests-Asymmetric", "0.0000150000", unit="Requests"),
    ],
    "CodeBuild": [
        flat("CodeBuild", "EUC1-Build-Min:Linux:g1.small", "0.0050000000", unit="minutes"),
        flat("CodeBuild", "EUC1-Build-Min:ARM:g1.small", "0.0034000000", unit="minutes"),
        flat("CodeBuild", "EUC1-Build-Min:Linux:g1.medium", "0.0100000000", unit="minutes"),
        flat("CodeBuild", "EUC1-Build-Min:Linux:g1.large", "0.0200000000", unit="minutes"),
    ],
    "AmazonEC2": [
        flat("AmazonEC2", "EUC1-BoxUsage:t3.micro", "0.0120000000", instanceType="t3.micro"),
        flat("AmazonEC2", "EUC1-EBS:VolumeUsage.gp3", "0.0952000000", unit="GB-Mo", volumeApiName="gp3"),
        flat("AmazonEC2", "EUC1-CPUCredits:t3", "0.0500000000", unit="vCPU-Hours"),
    ],
    "AWSSecretsManager": [
        flat("AWSSecretsManager", "EUC1-AWSSecretsManager-Secrets", "0.4000000000", unit="Secrets"),
        flat("AWSSecretsManager", "EUC1-AWSSecretsManagerAPIRequest", "0.0000050000", unit="API Requests"),
    ],
}


def get_products(params: Mapping[str, Any]) -> dict[str, Any] | AwsError:
    """Return the reply of GetProducts for Frankfurt, filtered by region only."""
    if params["ServiceCode"] not in FRANKFURT:
        return AwsError("NotFoundException", "no such service")
    return {"FormatVersion": "aws_v1", "PriceList": FRANKFURT[params["ServiceCode"]]}


def found_in_frankfurt(rates: Iterable[Rate]) -> Prices:
    """Return the prices of `rates` in Frankfurt, without a call."""
    return Prices({rate: price_of(rate, FRANKFURT[rate.service]) for rate in rates})
