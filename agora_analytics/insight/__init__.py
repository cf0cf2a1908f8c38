"""Answers on top of calls and stores: how good a call was, and why."""
