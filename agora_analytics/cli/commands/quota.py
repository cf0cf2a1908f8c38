"""`agora-analytics quota`."""

import asyncio

from agora_analytics.cli.accounts import Account, BaseUrlOption, LedgerOption, PlanOption

_PERIODS: dict[float, str] = {1.0: "a second", 60.0: "a minute"}


def quota(plan: PlanOption = None, base_url: BaseUrlOption = None, ledger: LedgerOption = None) -> None:
    """Say what is left of today's quota, as far as this machine's count knows. Sends nothing."""
    account = Account(plan=plan, base_url=base_url, ledger=ledger)
    asyncio.run(_show(account))


async def _show(account: Account) -> None:
    import time

    from rich.table import Table

    from agora_analytics.cli.terminal import for_people, out
    from agora_analytics.instants import iso

    async with account.client(sends=False) as client:
        quotas = await client.quota()
        plan = client.settings.plan.name
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("endpoint")
    for name in ("left today", "spent", "a day", "pace"):
        table.add_column(name, justify="right")
    closed = any(not each.left for each in quotas)
    if closed:
        table.add_column("opens again")
    for each in quotas:
        wait = for_people(each.opens_at - time.time())
        opens = f"{iso(each.opens_at)} (in {wait})" if not each.left else "open"
        table.add_row(
            each.endpoint,
            f"{each.left:,}",
            f"{each.spent:,}",
            f"{each.per_day:,}",
            f"{each.requests:,} {_PERIODS.get(each.period, f'in {each.period:g} s')}",
            *([opens] if closed else []),
            style="yellow" if not each.left else "",
        )
    console = out()
    console.print(table)
    opens_at = quotas[0].opens_at
    console.print(
        f"The {plan} plan; the next day begins at {iso(opens_at)}, in {for_people(opens_at - time.time())}. "
        f"Counted in {account.ledger_path}",
        style="faint",
        soft_wrap=not console.is_terminal,
    )
