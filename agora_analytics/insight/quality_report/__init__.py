"""The report of a store: how good calls were over time and by group, which were the worst, and what is missing."""
