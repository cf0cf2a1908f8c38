"""The dlt source, loaded into DuckDB with dlt."""
