"""What is true in a simulated OpenTok project: its sessions, their stream statistics, and its days."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from attrs import evolve

from agora_analytics.simulator.opentok.client_mix import OpenTokWorldConfig
from agora_analytics.simulator.opentok.dates import pacific_day
from agora_analytics.simulator.opentok.ground_truth import (
    OpenTokSessionTruth,
    PublisherTruth,
    SampleTotals,
    SubscriberTruth,
)
from agora_analytics.simulator.opentok.samples import Samples, Sampling
from agora_analytics.simulator.opentok.session_generator import OpenTokSessionGenerator
from agora_analytics.simulator.opentok.usage import ProjectDays

DEMO_PROJECT_ID = "45000001"


class OpenTokWorld:
    """The sessions and days of one project. Samples are made when they are asked for and never kept.

    The days are not the sessions' sums: they are those of a bigger project of which the sessions are a part.

    Args:
        sessions: the truth, in any order.
        days: the project's days.
        sampling: how streams are sampled.
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
        sampling: Sampling,
        project_id: str = DEMO_PROJECT_ID,
    ) -> None:
        self.project_id = project_id
        self.days = days
        self._sampling = sampling
        # Oldest first, so that a new session comes after the pages that were read; the id settles equal times.
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
        """Make a world from a seed: the same arguments give the same world on every machine.

        Args:
            seed: where everything comes from.
            since, until: sessions begin in [since, until), epoch seconds; the project has days from `since` to `until`.
            sessions: how many.
            session_ids: ids for the first of them, instead of made ones.
            project_id: the project that they belong to.
            config: what the world looks like.
            knobs: any field of `OpenTokWorldConfig`, for example `peers=1`.
        """
        chosen: OpenTokWorldConfig = evolve(config or OpenTokWorldConfig(), **knobs)
        name = f"{seed}/{project_id}"
        maker = OpenTokSessionGenerator(
            seed=name,
            project_id=project_id,
            since_ms=int(since * 1000),
            until_ms=int(until * 1000),
            config=chosen,
        )
        given = dict(enumerate(session_ids))
        return cls(
            [maker.session(number, given.get(number)) for number in range(max(sessions, len(given)))],
            days=ProjectDays(
                seed=name, first=pacific_day(maker.since_ms), last=pacific_day(maker.until_ms - 1)
            ),
            sampling=Sampling(
                count=chosen.samples, hasty_share=chosen.hasty_share, null_share=chosen.null_share
            ),
            project_id=project_id,
        )

    def session(self, session_id: str) -> OpenTokSessionTruth | None:
        """Return the session with this id, or None."""
        return self._by_id.get(session_id)

    def samples(self, stream: PublisherTruth | SubscriberTruth, last_ms: int | None = None) -> Samples:
        """Return the samples of a publisher or subscriber up to `last_ms`, that moment included; None: all.

        Raises:
            ValueError: the stream goes on, and no `last_ms` is given.
        """
        return self._sampling.of(stream, last_ms)

    def totals(
        self, side: Literal["publishers", "subscribers"] = "publishers", now: float | None = None
    ) -> SampleTotals:
        """Count and sum the samples of all sessions, made anew and dropped again.

        Args:
            side: whose samples.
            now: epoch seconds; what is younger does not count. The server shows it `Rules.delay` seconds later.
        """
        last_ms = None if now is None else int(now * 1000)
        samples = ms_sum = nulls = 0
        value_sum = 0.0
        for session in self.sessions:
            for meeting in session.meetings:
                for stream in getattr(meeting, side):
                    made = self.samples(stream, last_ms)
                    samples, ms_sum = samples + len(made), ms_sum + int(made.ms.sum())
                    value_sum += float(np.nansum(made.values))
                    nulls += int(np.isnan(made.values).sum())
        return SampleTotals(samples=samples, ms_sum=ms_sum, value_sum=value_sum, nulls=nulls)
