"""Alerts: conditions, rules files, evaluation of both sources, and delivery."""
