"""The fixtures for tests of users, in pytest runs of their own."""
