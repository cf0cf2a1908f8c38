"""Results as Arrow tables and data frames. The libraries are imported when they are used."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from agora_analytics.errors import ConfigurationError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


class Tabular:
    """Base class of results that are a table: `to_arrow()` in all forms.

    pyarrow, DuckDB, pandas (`DataFrame.from_arrow`) and other libraries that read the Arrow C stream interface accept
    such a result as it is, unless it is a list. polars takes any sequence, such as `Rows`, for a list of values.
    """

    __slots__ = ()

    def to_arrow(self) -> "pa.Table":
        """Return the records as an Arrow table.

        Raises:
            ConfigurationError: the extra `[arrow]` is not installed.
        """
        raise NotImplementedError

    def to_pandas(self) -> "pd.DataFrame":
        """Return the table as a pandas DataFrame.

        Times are aware (UTC). Integers and truth values are `Int64` and `boolean`, which have nulls without becoming
        floats. Repeated text of `metrics` (ids, names, units) is categorical.

        Raises:
            ConfigurationError: the extra `[pandas]` is not installed.
        """
        require("pandas", "to_pandas()")
        return as_pandas(self.to_arrow())

    def to_polars(self) -> "pl.DataFrame":
        """Return the table as a polars DataFrame.

        Raises:
            ConfigurationError: the extra `[polars]` is not installed.
        """
        require("polars", "to_polars()")
        return as_polars(self.to_arrow())

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.to_arrow().__arrow_c_stream__(requested_schema)


def require(library: str, method: str) -> None:
    """Check that a library and pyarrow are installed, before a request is sent.

    Raises:
        ConfigurationError: with the extra to install.
    """
    extra = "arrow" if library == "pyarrow" else library
    for name in ("pyarrow", library):
        if find_spec(name) is None:
            raise ConfigurationError(f"{method} needs {name}: pip install 'agora-analytics[{extra}]'")


def as_pandas(table: "pa.Table") -> "pd.DataFrame":
    """Return an Arrow table as a pandas DataFrame; see `Tabular.to_pandas`."""
    import pandas as pd
    import pyarrow as pa

    types = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    return table.to_pandas(types_mapper=types.get)


def as_polars(table: "pa.Table") -> "pl.DataFrame":
    """Return an Arrow table as a polars DataFrame."""
    import polars as pl

    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table, not a column
    return frame
