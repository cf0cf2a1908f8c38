"""Measures of Data Insights and Real-time as rows: one for each time or group, with a column for each metric."""

from collections.abc import AsyncGenerator, Awaitable, Iterable, Sequence
from typing import Any

from agora_analytics.agora.enums import QualityMetric
from agora_analytics.cli.listings import Kind, Listing, Row, Shown, moment, number, percent, plain
from agora_analytics.errors import AgoraAnalyticsError, InvalidRequest

RATES = frozenset(map(str, QualityMetric))
_OF: dict[str, str] = {
    QualityMetric.JOIN_SUCCESS_RATE: "joins tried",
    QualityMetric.JOIN_SUCCESS_IN_5S_RATE: "joins tried",
    QualityMetric.AUDIO_FREEZE_RATE: "audio minutes",
    QualityMetric.VIDEO_FREEZE_RATE: "video minutes",
    QualityMetric.NETWORK_DELAY: "minutes",
}
"""What a rate was taken from, as a table names it."""


def measures(
    metrics: Sequence[str], *, name: str, over_time: bool, by: str | None = None, users: bool = False
) -> Listing:
    """Return the listing of a question.

    Args:
        metrics: what was asked for.
        name: what a row is.
        over_time: whether a row is a time, or the whole range.
        by: the dimension that was grouped by.
        users: whether users were asked for.
    """
    keys: dict[str, Kind] = {"ts": Kind.TIME} if over_time else {"since": Kind.TIME, "until": Kind.TIME}
    if by:
        keys |= {"dimension": Kind.TEXT, "dimension_value": Kind.TEXT}
    if users:
        keys["uid"] = Kind.TEXT
    columns = keys | dict.fromkeys(metrics, Kind.NUMBER)
    references = {} if over_time else {_reference(metric): metric for metric in metrics if metric in RATES}
    shown = [Shown("from", moment("ts"))] if over_time else []
    if by:
        shown.append(Shown(by, plain("dimension_value"), least=12))
    if users:
        shown.append(Shown("user", plain("uid"), least=10))
    shown += [
        Shown(metric, (percent if metric in RATES else number)(metric), right=True) for metric in metrics
    ]
    shown += [Shown(_OF[metric], number(column), right=True) for column, metric in references.items()]
    if not over_time:
        shown += [Shown("from", moment("since")), Shown("up to", moment("until"))]
    columns |= dict.fromkeys(references, Kind.NUMBER)
    return Listing(name=name, columns=columns, shown=tuple(shown))


def wide_rows(records: Iterable[Any]) -> list[Row]:
    """Return one row for each time or group of the records, in their order, with a key for each metric."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for record in records:
        key = {
            name: getattr(record, name)
            for name in ("ts", "since", "until", "dimension", "dimension_value", "uid")
            if hasattr(record, name)
        }
        row = found.setdefault(tuple(key.values()), key)
        row[record.metric] = record.value
        if (reference := getattr(record, "ref_usage", None)) is not None:
            row[_reference(record.metric)] = reference
    return list(found.values())


async def answers(*questions: Awaitable[Iterable[Any]]) -> AsyncGenerator[Iterable[Row], None]:
    """Yield the rows of questions that belong together. What came before an error is given, and then it is raised.

    Their rows are joined, so that a time has all its metrics, whichever endpoint told them.
    """
    records: list[Any] = []
    trouble: AgoraAnalyticsError | None = None
    for question in questions:
        if trouble is not None:
            close = getattr(question, "close", None)
            if close is not None:
                close()
            continue
        try:
            records += await question
        except AgoraAnalyticsError as error:
            trouble = error
            records += error.partial or ()
    if records and hasattr(records[0], "ts"):
        records.sort(key=lambda record: record.ts)
    if records or trouble is None:
        yield wide_rows(records)
    if trouble is not None:
        raise trouble


def _reference(metric: str) -> str:
    return f"{metric}_of"


def metric_words(metrics: Iterable[str]) -> str:
    """Return metrics as a help text names them."""
    return ", ".join(map(str, metrics))


def metrics_of(words: Iterable[str], allowed: Iterable[str]) -> list[str]:
    """Return metrics as the API spells them, however people write them: `user-count` is `userCount`.

    Raises:
        InvalidRequest: for any other; a day has too few requests to spend one on a slip of the pen.
    """
    known = {_letters(metric): str(metric) for metric in allowed}
    for word in words:
        if _letters(word) not in known:
            raise InvalidRequest(
                f"there is no metric {word!r} here; choose of {metric_words(known.values())}"
            )
    return list(dict.fromkeys(known[_letters(word)] for word in words))


def _letters(word: str) -> str:
    return word.replace("-", "").replace("_", "").lower()
