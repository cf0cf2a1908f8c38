"""Groups of a caller's own: a mapping, a table or a file that names the group of each user, call or other value."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from agora_analytics.errors import InvalidRequest

OwnGroups: TypeAlias = Mapping[Any, str] | str | Path | Any
"""A mapping of values to groups; a CSV or Parquet file; or a table that pyarrow reads, such as a pandas or polars DataFrame.
A file or a table has the compared column, such as `user_id`, and the column `group`."""


@contextmanager
def groups_file(groups: "OwnGroups | None", by: str | None) -> Iterator[Path | None]:
    """Yield a Parquet file with the columns `key` and `name`, for a query; None without groups.

    Raises:
        InvalidRequest: the groups cannot be read, lack a column, or have two groups for one value.
    """
    if groups is None:
        yield None
        return
    table = _checked(_read(groups, by or ""), by or "")
    with TemporaryDirectory(prefix="agora-analytics-") as folder:
        path = Path(folder) / "groups.parquet"
        pq.write_table(table, path)
        yield path


def _read(groups: OwnGroups, by: str) -> pa.Table:
    if isinstance(groups, Mapping):
        return pa.table({by: list(map(str, groups)), "group": list(map(str, groups.values()))})
    if isinstance(groups, str | Path):
        return _read_file(Path(groups))
    try:
        return pa.table(groups)
    except (TypeError, ValueError, pa.ArrowException) as problem:
        raise InvalidRequest(
            f"groups is a {type(groups).__name__}; pass a mapping, a DataFrame or the path of a CSV or Parquet file"
        ) from problem


def _read_file(path: Path) -> pa.Table:
    try:
        if path.suffix.lower() == ".parquet":
            return pq.read_table(path)
        if path.suffix.lower() != ".csv":
            raise InvalidRequest(
                f"cannot read groups from {path}: use a file that ends with .csv or .parquet"
            )
        with path.open(encoding="utf-8-sig") as file:
            names = file.readline().strip().replace('"', "").split(",")
        # As text: `007` is a user id, not a number.
        options = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
        return pyarrow.csv.read_csv(path, convert_options=options)
    except (OSError, UnicodeDecodeError, pa.ArrowException) as problem:
        reason = str(problem).splitlines()[0]
        raise InvalidRequest(f"cannot read groups from {path}: {reason}") from problem


def _checked(table: pa.Table, by: str) -> pa.Table:
    for name in (by, "group"):
        if name not in table.column_names:
            raise InvalidRequest(
                f"the groups have no column {name!r} but {', '.join(table.column_names) or 'none'}; "
                f"give a table with the columns {by} and group"
            )
    try:
        table = pa.table(
            {"key": table[by].cast(pa.string()), "name": table["group"].cast(pa.string())}
        ).drop_null()
    except pa.ArrowException as problem:
        raise InvalidRequest(f"the groups cannot be read as text: {problem}") from problem
    pairs = table.group_by(["key", "name"]).aggregate([])
    if pairs.num_rows > len(pairs["key"].unique()):
        counts = pairs.group_by("key").aggregate([("name", "count")]).to_pylist()
        twice = min(row["key"] for row in counts if row["name_count"] > 1)
        raise InvalidRequest(f"the groups have two groups for {by} {twice!r}; give each value one group")
    return pairs
