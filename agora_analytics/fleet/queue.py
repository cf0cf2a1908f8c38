"""The queue of a fleet: a job is one pass over one account. Only this module uses Procrastinate's workers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from attrs import frozen

from agora_analytics.errors import AgoraAnalyticsError, ConfigurationError, QueueUnavailable
from agora_analytics.fleet.jobs import TASK, JobTable
from agora_analytics.fleet.queue_schema import fleet_id, queue_connections
from agora_analytics.fleet.records import AccountRecords, Claim
from agora_analytics.fleet.worker_watch import WorkerWatch
from agora_analytics.logs import logger_of, one_line

if TYPE_CHECKING:
    from procrastinate import App, JobContext

_PLAN_EVERY = 60.0  # seconds
_PATIENCE = 15.0  # seconds in which the server may come back before a worker ends
_AT_ONCE = datetime(2000, 1, 1, tzinfo=UTC)  # in the past, also if the clock of this machine is wrong

_log = logger_of("fleet")

Pass = Callable[[Claim], Awaitable[None]]
"""A pass over an account. It records its end, and when the next one is due."""


@frozen(kw_only=True)
class Timing:
    """When a worker that has died is replaced. All in seconds.

    Attributes:
        heartbeat: between two heartbeats of a worker.
        stalled: without a heartbeat, after which another worker takes its jobs over.
        check: between two checks for jobs, and for workers without a heartbeat.
    """

    heartbeat: float = 5.0
    stalled: float = 30.0
    check: float = 1.5


class JobQueue:
    """The jobs of a fleet in PostgreSQL 14 or later. Use it as an async context manager.

    Args:
        dsn: a connection string of PostgreSQL.
        timing: when a worker that has died is replaced.

    Attributes:
        id: of the fleet.
        jobs: the table of the jobs.
        records: of the passes.

    Raises:
        ConfigurationError: the extra `[fleet]` is not installed, the connection string is not valid, or, at the begin of the
            context, the server refuses it or its schema does not fit.
        QueueUnavailable: every method, if the server cannot be reached.

    Example:
        async with JobQueue("postgresql://queue.internal/agora") as queue:
            await queue.jobs.plan(["acme", "zeta"])
    """

    id: str

    def __init__(self, dsn: str, *, timing: Timing | None = None) -> None:
        self._connections = queue_connections(dsn)
        self.timing = timing or Timing()
        self.jobs = JobTable(self._connections)
        self.records = AccountRecords(self._connections)
        self._running: set[int] = set()
        self._worker_ids: set[int] = set()

    async def __aenter__(self) -> Self:
        try:
            self.id = await fleet_id(self._connections)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connections.aclose()

    async def work(self, run: Pass, accounts: Sequence[str], *, max_concurrent: int) -> None:
        """Run the jobs of accounts until the task is cancelled: the jobs in progress then go back to the queue.

        Args:
            run: a pass over the account of a job.
            accounts: the accounts, which are planned too. The jobs of others are left to workers that have these.
            max_concurrent: how many jobs run at the same time.

        Raises:
            QueueUnavailable: the server cannot be reached, so the passes in progress were cancelled.
            ConfigurationError: the server refuses a statement.
        """
        from procrastinate.exceptions import ConnectorException
        from psycopg import Error

        app = self._new_app()
        self._register(app, run)
        try:
            await app.open_async()
            worker = app.run_worker_async(
                queues=list(accounts),
                concurrency=max_concurrent,
                delete_jobs="always",
                # Notifications are for the whole database: other programs would get those of this schema.
                listen_notify=False,
                fetch_job_polling_interval=self.timing.check,
                update_heartbeat_interval=self.timing.heartbeat,
                stalled_worker_timeout=self.timing.stalled,
                shutdown_graceful_timeout=0.0,
                install_signal_handlers=False,
            )
            await self._first_to_end(worker, self._maintain(app, accounts))
        except (ConnectorException, Error) as error:
            raise self._translated(error) from None
        finally:
            await app.close_async()
        raise QueueUnavailable(f"the worker has lost PostgreSQL at {self._connections.address}")

    @staticmethod
    async def _first_to_end(*coroutines: Awaitable[None]) -> None:
        """Run until one of them ends, cancel the others, and raise the first error."""
        tasks = [asyncio.ensure_future(each) for each in coroutines]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended = [task for task in tasks if task.done()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in ended or tasks:
            if not task.cancelled() and (error := task.exception()):
                raise error

    def _new_app(self) -> "App":
        from procrastinate import App, PsycopgConnector

        return App(
            connector=PsycopgConnector(
                kwargs=self._connections.settings | {"prepare_threshold": None},
                min_size=1,
                max_size=4,
                # Longer than a worker waits, because Procrastinate does not notice that a heartbeat has failed.
                timeout=2 * _PATIENCE,
                reconnect_timeout=_PATIENCE,
            )
        )

    def _register(self, app: "App", run: Pass) -> None:
        from procrastinate.retry import BaseRetryStrategy, RetryDecision

        class _Again(BaseRetryStrategy):
            """An error in a pass that could not be recorded, or a worker that stops."""

            def get_retry_decision(self, **_: Any) -> RetryDecision:
                return RetryDecision(retry_at=_AT_ONCE)

        @app.task(name=TASK, pass_context=True, retry=_Again())
        async def harvest(context: "JobContext", *, account: str) -> None:
            job = context.job
            assert job.id is not None  # noqa: S101 - it was fetched
            assert job.worker_id is not None  # noqa: S101
            self._worker_ids.add(job.worker_id)
            self._running.add(job.id)
            try:
                await run(Claim(account, job.id, job.attempts))
            except Exception as error:
                trace = None if isinstance(error, AgoraAnalyticsError) else error
                _log.error(
                    "account %s: the pass cannot be recorded: %s",
                    account,
                    one_line(str(error)),
                    exc_info=trace,
                )
                await asyncio.sleep(self.timing.stalled)  # before the job is tried again
                raise
            finally:
                self._running.discard(job.id)

    async def _maintain(self, app: "App", accounts: Sequence[str]) -> None:
        """Take over the jobs of workers that have died, plan accounts without a job, and watch this worker.

        Raises:
            QueueUnavailable: the server cannot be reached for 15 seconds, or it does not agree with this worker.
        """
        loop = asyncio.get_running_loop()
        watch = WorkerWatch(self.timing.stalled / 2)
        plan_at = loop.time()
        failed_at: float | None = None  # the first of the failures in a row
        problem: str | None = None
        try:
            while problem is None and (failed_at is None or loop.time() - failed_at < _PATIENCE):
                try:
                    problem = await self._take_over_and_check(watch)
                    if loop.time() >= plan_at:
                        await self.jobs.plan(accounts)
                        plan_at = loop.time() + _PLAN_EVERY
                    if failed_at is not None:
                        _log.info("the queue can be reached again after %.0f s", loop.time() - failed_at)
                    failed_at = None
                except QueueUnavailable as error:
                    if failed_at is None:
                        _log.warning("the queue cannot be reached: %s", one_line(str(error)))
                    failed_at = failed_at or loop.time()
                await asyncio.sleep(self.timing.check)
        finally:
            if failed_at is not None or problem:
                # Without connections, Procrastinate cannot put the jobs back. Another worker may have them: it would put
                # these back too, because it knows a job by its id only. And it would wait for the server.
                await app.close_async()
        problem = problem or f"PostgreSQL at {self._connections.address} cannot be reached"
        raise QueueUnavailable(f"{problem}; a supervisor must start the worker again")

    async def _take_over_and_check(self, watch: WorkerWatch) -> str | None:
        """Take over the jobs of workers without a heartbeat; return why this worker must end, or None."""
        for account in await self.jobs.take_over(self.timing.stalled):
            _log.warning("account %s is taken over: its worker sends no heartbeat", account)
        ids = frozenset(self._worker_ids)
        return watch.problem(await self.jobs.of_worker(ids), self._running) if ids else None

    def _translated(self, error: Exception) -> ConfigurationError | QueueUnavailable:
        """Return the error for one of Procrastinate or psycopg."""
        from psycopg import ProgrammingError

        cause = error.__cause__ or error
        if isinstance(cause, ProgrammingError):  # such as a missing privilege
            return ConfigurationError(
                f"the queue in PostgreSQL at {self._connections.address} refuses a statement: {one_line(str(cause))}"
            )
        return QueueUnavailable(
            f"PostgreSQL at {self._connections.address} is unavailable: {one_line(str(cause))}"
        )
