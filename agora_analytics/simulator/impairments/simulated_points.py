"""The points of a world whose calls have impairments: simulated call by call, at the first use."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property

from attrs import define, field

from agora_analytics.simulator.ground_truth.records import CallTruth, SeriesTruth
from agora_analytics.simulator.ground_truth.series import SampleTiming
from agora_analytics.simulator.impairments.impairment import Impairment
from agora_analytics.simulator.impairments.media_path import CallMedia
from agora_analytics.simulator.impairments.reports import reported

_KEPT = 4  # calls


@define(eq=False)
class SimulatedPoints(Mapping[str, Sequence[SeriesTruth]]):
    """The series of each session by its sid, except those of `silent` sids. Those of the last few calls are kept."""

    calls: Sequence[tuple[CallTruth, Sequence[Impairment]]]
    timing: SampleTiming
    silent: AbstractSet[str] = frozenset()
    _kept: dict[int, Mapping[str, Sequence[SeriesTruth]]] = field(factory=dict, init=False)

    @cached_property
    def _position(self) -> Mapping[str, int]:
        """The position of each session's call. It needs all sessions, so it is built at the first use."""
        return {
            session.sid: position
            for position, (call, _) in enumerate(self.calls)
            for session in call.sessions
        }

    def __getitem__(self, sid: str) -> Sequence[SeriesTruth]:
        position = self._position[sid]
        if sid in self.silent:
            return ()
        if position not in self._kept:
            call, impairments = self.calls[position]
            media = CallMedia(call, impairments)
            while len(self._kept) >= _KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[position] = reported(media, self.timing)
        return self._kept[position][sid]

    def __contains__(self, sid: object) -> bool:
        return sid in self._position  # without a simulation of the call

    def __iter__(self) -> Iterator[str]:
        return iter(self._position)

    def __len__(self) -> int:
        return len(self._position)
