"""Finds out that a worker and the queue do not agree. Pure."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from attrs import define, field, frozen


@frozen
class WorkerJobs:
    """What the queue knows of a worker.

    Attributes:
        held: the account of each job that the worker has, by the number of the job.
        silence: seconds since its last heartbeat; None: the queue does not know the worker.
    """

    held: Mapping[int, str]
    silence: float | None


@define
class WorkerWatch:
    """Compares what the queue knows of a worker with what the worker does.

    Nobody would take over a job whose end was not recorded while its worker lives. And the jobs of a worker that sends no
    heartbeat are taken over although it works on them. Procrastinate notices neither. What is seen once may be a pass that
    has just begun or ended, or a process that stood still; so a problem is what is seen twice in a row.

    Args:
        longest_silence: seconds without a heartbeat.
    """

    longest_silence: float
    _idle: AbstractSet[int] = field(factory=frozenset, init=False)
    _was_silent: bool = field(default=False, init=False)

    def problem(self, known: WorkerJobs, running: AbstractSet[int]) -> str | None:
        """Return why the worker must end; None: it can continue.

        Args:
            known: what the queue knows.
            running: the jobs that the worker is working on.

        Example:
            >>> watch = WorkerWatch(15.0)
            >>> watch.problem(WorkerJobs({7: "acme"}, silence=1.0), running={7})
        """
        was_idle, was_silent = self._idle, self._was_silent
        self._idle = known.held.keys() - running
        self._was_silent = bool(running) and (known.silence is None or known.silence > self.longest_silence)
        if lost := self._idle & was_idle:
            return f"the end of a pass could not be recorded: {', '.join(known.held[job] for job in sorted(lost))}"
        if self._was_silent and was_silent:
            return "this worker sends no heartbeat"
        return None
