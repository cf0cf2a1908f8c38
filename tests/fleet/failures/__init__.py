"""Workers that are killed, frozen, cut off and stopped, as processes of their own. Only `nox -s fleet` runs these tests."""
