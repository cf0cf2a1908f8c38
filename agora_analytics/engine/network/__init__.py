"""Ledgers on a server, which several machines share.

- `postgres` and `redis` are the servers: each method is one round trip.
- `leases` keeps the slots that a round trip reserved in advance.
- `ledger` makes a `Ledger` of both, on the clock of the server.
"""
