"""The figures that a diagnosis of planted calls is judged by: shares with intervals, and a confusion table. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import sqrt

from attrs import frozen

from agora_analytics.simulator import PlantedCall

Verdict = tuple[str, str]
"""Side and cause."""
NONE, UNKNOWN = ("none", "none"), ("unknown", "unknown")
Z_95 = 1.959964


@frozen
class Said:
    """What a classifier says about a call.

    Attributes:
        verdict: side and cause.
        party: the uid at fault; None if nobody is named.
        is_poor: whether any issue of the user's call is reported, however short.
        confidence: from 0 to 1; None if the classifier has none.
    """

    verdict: Verdict
    party: str | None = None
    is_poor: bool = False
    confidence: float | None = None


@frozen
class Judged:
    """A planted call and what a classifier says about it.

    Attributes:
        seed: the seed of the call.
        kind: the kind of `PlantedCall`.
        right: side and cause of the right answer.
        party: the uid of the right answer.
        noticed: side and cause of each cause that the user notices.
        at_fault: the uids that have any planted impairment, noticed or not.
        is_clear, is_mild: those of `PlantedCall`.
        said: the answer of the classifier.
    """

    seed: int
    kind: str
    right: Verdict
    party: str | None
    noticed: frozenset[Verdict]
    at_fault: frozenset[str]
    is_clear: bool
    is_mild: bool
    said: Said

    @classmethod
    def of(cls, planted: PlantedCall, said: Said) -> "Judged":
        side, cause, party = planted.answer
        noticed = frozenset((each.side, each.cause) for each in planted.causes if each.is_noticed)
        at_fault = frozenset(each.uid for each in planted.impairments if each.uid is not None)
        return cls(
            planted.seed,
            planted.kind,
            (side, cause),
            party,
            noticed,
            at_fault,
            planted.is_clear,
            planted.is_mild,
            said,
        )

    @property
    def is_right(self) -> bool:
        """Whether side and cause are right. If two causes are noticed, either is."""
        return self.said.verdict in (self.noticed or {self.right})

    @property
    def group(self) -> str:
        """The group of calls that is counted together."""
        if self.is_mild:
            return "mild"
        if self.kind == "single" and not self.is_clear:
            return "hidden"
        return self.kind


@frozen
class Share:
    """A number of calls out of others, with the Wilson interval of 95 %."""

    count: int
    of: int

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.count, self.of)

    def __str__(self) -> str:
        if not self.of:
            return "-"
        low, high = self.interval
        return f"{self.count / self.of:.1%} ({100 * low:.1f}-{100 * high:.1f})"


def wilson(count: int, of: int, z: float = Z_95) -> tuple[float, float]:
    """Return the Wilson score interval of a share; (0, 1) without any trial.

    >>> tuple(round(bound, 4) for bound in wilson(0, 100))
    (0.0, 0.037)
    """
    if not of:
        return 0.0, 1.0
    share = count / of
    middle = share + z * z / (2 * of)
    spread = z * sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    scale = 1 + z * z / of
    low = 0.0 if count == 0 else (middle - spread) / scale
    high = 1.0 if count == of else (middle + spread) / scale
    return low, high


def _share(
    judged: Iterable[Judged], counted: Callable[[Judged], bool], among: Callable[[Judged], bool]
) -> Share:
    chosen = [counted(each) for each in judged if among(each)]
    return Share(sum(chosen), len(chosen))


def _in_group(*groups: str) -> Callable[[Judged], bool]:
    return lambda each: each.group in groups


def _says(verdict: Verdict) -> Callable[[Judged], bool]:
    return lambda each: each.said.verdict == verdict


def _is_clear_single(each: Judged) -> bool:
    return each.kind == "single" and each.is_clear


def _accuses_clean(each: Judged) -> bool:
    return each.said.party is not None and each.said.party not in each.at_fault


FIGURES: Mapping[str, tuple[Callable[[Judged], bool], Callable[[Judged], bool]]] = {
    "one clear cause: side and cause right": (lambda each: each.is_right, _is_clear_single),
    "one clear cause: side right": (lambda each: each.said.verdict[0] == each.right[0], _is_clear_single),
    "one clear cause: side, cause and party right": (
        lambda each: each.is_right and each.said.party == each.party,
        _is_clear_single,
    ),
    "all calls: a clean participant accused": (_accuses_clean, lambda _: True),
    "healthy for the user: anybody accused": (
        lambda each: each.said.party is not None,
        _in_group("healthy", "elsewhere"),
    ),
    'healthy for the user: "none"': (_says(NONE), _in_group("healthy", "elsewhere")),
    'mild cause: "none"': (_says(NONE), _in_group("mild")),
    "mild cause: a clean participant accused": (_accuses_clean, _in_group("mild")),
    "two causes: one of them named": (lambda each: each.is_right, _in_group("overlapping")),
    "one cause that no metric shows: right": (lambda each: each.is_right, _in_group("hidden")),
    'no samples of the user: "unknown"': (_says(UNKNOWN), _in_group("no_data")),
    "noticed cause: any cause named": (
        lambda each: each.said.verdict not in (NONE, UNKNOWN),
        lambda each: bool(each.noticed),
    ),
    "noticed cause: any issue reported": (lambda each: each.said.is_poor, lambda each: bool(each.noticed)),
    "healthy for the user: any issue reported": (
        lambda each: each.said.is_poor,
        _in_group("healthy", "elsewhere"),
    ),
}
"""By name: which calls are counted, and among which."""


def figures(judged: Sequence[Judged]) -> dict[str, Share]:
    """Return the share of each figure.

    A participant is clean if no impairment of the call acts on it. `elsewhere` and mild calls have participants who are
    not clean although the right answer names nobody.
    """
    return {name: _share(judged, counted, among) for name, (counted, among) in FIGURES.items()}


def confusion(judged: Iterable[Judged]) -> dict[Verdict, Counter[Verdict]]:
    """Return what was said, by right answer. Calls with two causes, or one that no metric shows, are left out."""
    table: dict[Verdict, Counter[Verdict]] = {}
    for each in judged:
        if each.group not in ("overlapping", "hidden"):
            table.setdefault(each.right, Counter())[each.said.verdict] += 1
    return dict(sorted(table.items()))


def confidence_table(calls: Iterable[Judged]) -> str:
    """Return how often the diagnoses of each tenth of confidence are right, those with a cause and those without one."""
    tenths: dict[int, tuple[list[bool], list[bool]]] = {}
    for each in calls:
        if each.said.confidence is not None and each.said.verdict != UNKNOWN:
            tenth = min(int(10 * each.said.confidence), 9)
            tenths.setdefault(tenth, ([], []))[each.said.verdict == NONE].append(each.is_right)
    rows = [
        [f"{tenth / 10} to {(tenth + 1) / 10}", *(str(Share(sum(right), len(right))) for right in found)]
        + [str(len(right)) for right in found]
        for tenth, found in sorted(tenths.items())
    ]
    return markdown(["confidence", "a cause: right", "none: right", "with a cause", "with none"], rows)


def markdown(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def confusion_table(judged: Iterable[Judged]) -> str:
    """Return the confusion table in Markdown, with a column only for the right answers."""
    rows = []
    for right, said in confusion(judged).items():
        wrong = [f"{' '.join(verdict)} {n}" for verdict, n in said.most_common() if verdict != right]
        rows.append((" ".join(right), said.total(), said[right], ", ".join(wrong) or "-"))
    return markdown(["right answer", "calls", "said", "said instead"], rows)
