"""`agora-analytics compact`."""

from agora_analytics.cli.commands.sql import StoreOption


def compact(store: StoreOption) -> None:
    """Turn the many files of each day that is over into a few; readers notice nothing. A harvest does it by itself."""
    import time

    from agora_analytics.cli.terminal import out
    from agora_analytics.instants import utc_day
    from agora_analytics.store import open_store

    latest_data = 300  # seconds that the slowest plan's data comes late
    report = open_store(store).compact(closed_before=utc_day(time.time() - latest_data))
    console = out()
    for day in report.compacted:
        size = f"{day.bytes_before / 1e6:,.1f} to {day.bytes_after / 1e6:,.1f} MB"
        console.print(
            f"{day.day} of {day.app_id}: {day.files_before:,} files are {day.files_after:,} now ({size})",
            soft_wrap=True,
        )
    for skipped in report.skipped:
        console.print(f"{skipped.day} of {skipped.app_id} stays as it is: {skipped.reason}", soft_wrap=True)
    if not report.compacted and not report.skipped:
        console.print("There is nothing to compact: no day that is over has more than a few files.")
