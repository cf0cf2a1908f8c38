"""Write the rows of each view of a DuckDB file to stdout, as pickles, with DuckDB alone: `views_reader.py FILE`."""

import pickle
import sys

import duckdb


def main(file: str) -> None:
    with duckdb.connect(file, read_only=True) as connection:
        views = connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
        rows = {view: connection.execute(f"FROM {view}").fetchall() for (view,) in views}
    assert not any(name.startswith("agora_analytics") for name in sys.modules)
    sys.stdout.buffer.write(pickle.dumps(rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
