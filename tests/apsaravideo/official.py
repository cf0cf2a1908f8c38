"""The official SDK: its signer, which ours is held against, and its client. It is a development dependency only."""

import logging
import warnings
from collections.abc import Mapping
from typing import Any

import pytest


def module(name: str) -> Any:
    """Return a module of the SDK.

    Importing it sets a logger to DEBUG, with a handler on stderr, and may warn: neither leaves this function.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = pytest.importorskip(name)
    logger = logging.getLogger("darabonba-core")
    logger.setLevel(logging.NOTSET)
    logger.handlers.clear()
    return found


def authorization(
    method: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes, key_id: str, secret: str
) -> str:
    """Return the `Authorization` header that the SDK would send."""
    signer = module("alibabacloud_tea_openapi.utils").Utils
    request = module("darabonba.request").DaraRequest()
    request.method, request.pathname = method, "/"
    request.query, request.headers = dict(query), dict(headers)
    payload = signer.hex_encode(signer.hash(body, "ACS3-HMAC-SHA256"))
    return signer.get_authorization(request, "ACS3-HMAC-SHA256", payload, key_id, secret)


class Sdk:
    """The SDK's blocking client of one operation, for a server on this machine."""

    def __init__(self, key_id: str, secret: str, place: str) -> None:
        self._models = module("alibabacloud_tea_openapi.utils_models")
        config = self._models.Config(
            access_key_id=key_id, access_key_secret=secret, endpoint=place, protocol="HTTP"
        )
        self._client = module("alibabacloud_tea_openapi.client").Client(config)

    def ask(self, method: str, **parameters: Mapping[str, str]) -> Any:
        """Ask with the parameters in `query=` or in `body=`, and return the answer."""
        params = self._models.Params(
            action="DescribeLiveInteractionMetricData",
            version="2016-11-01",
            protocol="HTTP",
            method=method,
            auth_type="AK",
            style="RPC",
            pathname="/",
            req_body_type="formData",
            body_type="json",
        )
        options = module("darabonba.runtime").RuntimeOptions()
        return self._client.call_api(params, self._models.OpenApiRequest(**parameters), options)
