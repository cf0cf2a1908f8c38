"""Compares the diagnosis of planted calls with the detectors of other tools, on the same tables.

    python -m benchmarks.diagnosis [--calls 1000] [--first 0] [--drop 0.01] [--missing 3] [--only NAME] [--wrong] [--json]

The calls are of `TUNING_SEEDS`, which rules and thresholds are chosen with. `--held-out` uses the 1,000 calls of
`HELD_OUT_SEEDS`; their figures are for publication, and the first run counts. The tables of a call are those that a harvest
stores. `docs/diagnosis-accuracy.md` says what is counted and how the words of other tools are read.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import pyarrow as pa

from agora_analytics.simulator import HELD_OUT_SEEDS, TUNING_SEEDS
from benchmarks._diagnosis_figures import (
    FIGURES,
    Judged,
    Said,
    confidence_table,
    confusion,
    confusion_table,
    figures,
    markdown,
)
from benchmarks._planted_tables import PlantedTables, planted_tables
from benchmarks.diagnosis_peers import PEERS

Classifier = Callable[[pa.Table, pa.Table, str], Said]
OURS = "why"


def classifiers() -> dict[str, Classifier]:
    """Return the diagnosis of this package, if it is there, and its peers."""
    try:
        from agora_analytics.insight.diagnosis.diagnose_samples import diagnose_samples
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("agora_analytics.insight.diagnosis"):
            raise
        return dict(PEERS)

    def why(sessions: pa.Table, metrics: pa.Table, uid: str) -> Said:
        found = diagnose_samples(sessions, metrics, uid)
        is_poor = found.side not in ("none", "unknown")
        return Said((found.side, found.cause), found.party, is_poor, found.confidence)

    return {OURS: why, **PEERS}


def variants(drop: float, missing: int) -> dict[str, Callable[[PlantedTables], PlantedTables]]:
    """Return the ways in which the samples of a call are incomplete, by title."""
    found: dict[str, Callable[[PlantedTables], PlantedTables]] = {"all samples": lambda call: call}
    if drop:
        found[f"{drop:.1%} of the samples lost"] = lambda call: call.without_samples(drop)
    if missing:
        found[f"{missing} metric ids missing"] = lambda call: call.without_metrics(missing)
    return found


def judged_calls(
    calls: Iterable[PlantedTables],
    chosen: dict[str, Classifier],
    ways: dict[str, Callable[[PlantedTables], PlantedTables]],
) -> dict[tuple[str, str], list[Judged]]:
    """Return what each classifier says about each call, by variant and classifier."""
    judged: dict[tuple[str, str], list[Judged]] = {(way, name): [] for way in ways for name in chosen}
    for number, call in enumerate(calls, 1):
        for way, change in ways.items():
            changed = change(call)
            for name, classify in chosen.items():
                said = classify(changed.sessions, changed.metrics, call.planted.uid)
                judged[way, name].append(Judged.of(call.planted, said))
        if number % 50 == 0:
            print(f"{number} calls", file=sys.stderr, flush=True)
    return judged


def print_figures(judged: dict[tuple[str, str], list[Judged]], names: Sequence[str]) -> None:
    for way in dict.fromkeys(way for way, _ in judged):
        columns = [figures(judged[way, name]) for name in names]
        counts = [next(iter({column[figure].of for column in columns})) for figure in FIGURES]
        rows = [
            [figure, count, *(str(column[figure]) for column in columns)]
            for figure, count in zip(FIGURES, counts, strict=True)
        ]
        print(f"\n## {way.capitalize()}\n")
        print(markdown(["", "calls", *names], rows))
    first = next(iter(judged))[0]
    for name in names:
        print(f"\n## Confusion table of {name}\n")
        print(confusion_table(judged[first, name]))
        if any(each.said.confidence is not None for each in judged[first, name]):
            print(f"\n## Confidence of {name}\n")
            print(confidence_table(judged[first, name]))


def print_wrong(judged: dict[tuple[str, str], list[Judged]]) -> None:
    for (way, name), calls in judged.items():
        for each in calls:
            if not each.is_right:
                said = (*each.said.verdict, each.said.party)
                print(way, name, each.seed, each.group, (*each.right, each.party), "said", said, sep="; ")


def as_json(judged: dict[tuple[str, str], list[Judged]]) -> str:
    found = [
        {
            "samples": way,
            "classifier": name,
            "figures": {
                figure: {"count": share.count, "of": share.of, "interval": share.interval}
                for figure, share in figures(calls).items()
            },
            "confusion": [
                {"right": right, "said": verdict, "calls": number}
                for right, said in confusion(calls).items()
                for verdict, number in said.items()
            ],
        }
        for (way, name), calls in judged.items()
    ]
    return json.dumps(found, indent=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--drop", type=float, default=0.0, help="also with this share of the samples lost")
    parser.add_argument("--missing", type=int, default=0, help="also without so many metric ids of each call")
    parser.add_argument("--only", action="append", metavar="NAME", help="only this classifier")
    parser.add_argument("--held-out", action="store_true", help="the calls of the published figures")
    parser.add_argument("--wrong", action="store_true", help="list the calls with a wrong answer")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.held_out and (options.wrong or options.first or options.calls != len(HELD_OUT_SEEDS)):
        parser.error("--held-out is for all of its calls and without --wrong, so that nobody tunes with them")
    available = classifiers()
    names = options.only or list(available)
    if unknown := set(names) - set(available):
        parser.error(f"no classifier {', '.join(sorted(unknown))}; there are {', '.join(available)}")
    seeds = HELD_OUT_SEEDS if options.held_out else TUNING_SEEDS[options.first :]
    judged = judged_calls(
        planted_tables(islice(seeds, options.calls)),
        {name: available[name] for name in names},
        variants(options.drop, options.missing),
    )
    if options.json:
        print(as_json(judged))
    elif options.wrong:
        print_wrong(judged)
    else:
        print_figures(judged, names)


if __name__ == "__main__":
    main()
