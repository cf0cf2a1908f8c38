"""The world of the OpenTok simulator: the sessions of a project, their stream statistics, and its days."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from attrs import evolve

from agora_analytics.simulator.opentok.dates import pacific_day
from agora_analytics.simulator.opentok.generator import OpenTokSessionGenerator, OpenTokWorldConfig
from agora_analytics.simulator.opentok.ground_truth import OpenTokSessionTruth, SampledStream, SampleTotals
from agora_analytics.simulator.opentok.samples import Samples, samples_of
from agora_analytics.simulator.opentok.usage import ProjectDays

DEMO_PROJECT_ID = "45000001"


class OpenTokWorld:
    """The sessions and days of one project. Samples are generated on request and not stored.

    The days are not the sums of the sessions: they belong to a larger project that includes the sessions.

    Args:
        sessions: the sessions, in any order.
        days: the project's days.
        config: how streams are sampled, by its `samples`, `dense_share` and `null_share`.
        project_id: an API key of digits, or an application id.

    Example:
        >>> world = OpenTokWorld.generate(seed=7, since=1_795_000_000, until=1_795_086_400, sessions=20)
        >>> len(world.sessions)
        20
    """

    def __init__(
        self,
        sessions: Iterable[OpenTokSessionTruth],
        *,
        days: ProjectDays,
        config: OpenTokWorldConfig,
        project_id: str = DEMO_PROJECT_ID,
    ) -> None:
        self.project_id = project_id
        self.days = days
        self._config = config
        # Oldest first, so that a new session is listed after pages that were already read. The id orders equal times.
        self.sessions: Sequence[OpenTokSessionTruth] = sorted(
            sessions, key=lambda session: (session.created_ms, session.session_id)
        )
        self._by_id = {session.session_id: session for session in self.sessions}

    @classmethod
    def generate(
        cls,
        *,
        seed: int = 7,
        since: float,
        until: float,
        sessions: int = 20,
        session_ids: Sequence[str] = (),
        project_id: str = DEMO_PROJECT_ID,
        config: OpenTokWorldConfig | None = None,
        **knobs: Any,
    ) -> "OpenTokWorld":
        """Generate a world from a seed. The same arguments give the same world on every machine.

        Args:
            seed: the seed of everything in the world.
            since, until: sessions begin in [since, until), epoch seconds; the project has days from `since` to `until`.
            sessions: the number of sessions.
            session_ids: ids of the first sessions, instead of generated ones.
            project_id: the project of the sessions.
            config: what the world looks like.
            knobs: any field of `OpenTokWorldConfig`, for example `peers=1`.
        """
        chosen: OpenTokWorldConfig = evolve(config or OpenTokWorldConfig(), **knobs)
        name = f"{seed}/{project_id}"
        generator = OpenTokSessionGenerator(
            seed=name,
            project_id=project_id,
            since_ms=int(since * 1000),
            until_ms=int(until * 1000),
            config=chosen,
        )
        ids = dict(enumerate(session_ids))
        return cls(
            [generator.session(number, ids.get(number)) for number in range(max(sessions, len(ids)))],
            days=ProjectDays(
                seed=name, first=pacific_day(generator.since_ms), last=pacific_day(generator.until_ms - 1)
            ),
            config=chosen,
            project_id=project_id,
        )

    def session(self, session_id: str) -> OpenTokSessionTruth | None:
        """Return the session with this id, or None."""
        return self._by_id.get(session_id)

    def samples(self, stream: SampledStream, last_ms: int | None = None) -> Samples:
        """Return the samples of a publisher or subscriber up to and including `last_ms`; None: all.

        Raises:
            ValueError: the stream is still active and no `last_ms` is given.
        """
        return samples_of(stream, last_ms, self._config)

    def totals(
        self, side: Literal["publishers", "subscribers"] = "publishers", now: float | None = None
    ) -> SampleTotals:
        """Count and sum the samples of all sessions.

        Args:
            side: the samples of publishers or of subscribers.
            now: epoch seconds; newer samples do not count. The server returns samples `Rules.delay` seconds late.
        """
        last_ms = None if now is None else int(now * 1000)
        samples = ms_sum = nulls = 0
        value_sum = 0.0
        for session in self.sessions:
            for meeting in session.meetings:
                for stream in getattr(meeting, side):
                    stream_samples = self.samples(stream, last_ms)
                    samples, ms_sum = samples + len(stream_samples), ms_sum + int(stream_samples.ms.sum())
                    value_sum += float(np.nansum(stream_samples.values))
                    nulls += int(np.isnan(stream_samples.values).sum())
        return SampleTotals(samples=samples, ms_sum=ms_sum, value_sum=value_sum, nulls=nulls)
