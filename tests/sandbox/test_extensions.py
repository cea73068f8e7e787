"""Tests of the sandbox's changes to ministack as a whole."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError
from ministack.core import router

from tests.sandbox.conftest import Account

pytestmark = pytest.mark.live


def test_unsupported_service_is_rejected_without_loading_models(account: Account) -> None:
    with pytest.raises(ClientError, match="400"):
        account.client("pricing").get_products(ServiceCode="AmazonEC2")
    assert router._KNOWN_AWS_SERVICE_NAMES is None
