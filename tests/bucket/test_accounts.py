"""Accounts of the configuration file that are harvested into a bucket."""

import asyncio

from agora_analytics import ConfigurationError, harvest_accounts
from tests.fleet.harness import agora_entry, write_config


def test_report_of_an_account_has_the_url_of_the_bucket(store, tmp_path):
    """The account has no secret, so that the harvest ends before its first request."""
    config = write_config(tmp_path, "http://127.0.0.1:1", agora_entry("acme"))
    report = asyncio.run(harvest_accounts(config=config, store=store))["acme"]
    assert isinstance(report.error, ConfigurationError)
    assert report.store == store.url
