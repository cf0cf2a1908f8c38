"""Dashboards for Grafana: every query of every panel is run against data that this package stored or exported."""
