"""Harvests of many accounts: one pass over an account of the configuration file, and all accounts in one process."""

from agora_analytics.fleet.local import harvest_accounts
from agora_analytics.fleet.one_account import harvest_account
from agora_analytics.fleet.report import AccountBegun, AccountReport

__all__ = ["AccountBegun", "AccountReport", "harvest_account", "harvest_accounts"]
