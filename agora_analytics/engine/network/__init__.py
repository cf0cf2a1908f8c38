"""Ledgers on a server, shared by several machines."""
