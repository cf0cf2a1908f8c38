"""Alerts as code: rules over real-time values or a store, and their delivery to a webhook."""
