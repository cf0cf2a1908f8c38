"""Metrics for Prometheus, checked with promtool and a Prometheus server."""
