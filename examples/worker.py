"""Follow the quality of a project, and send an alert when it stays bad for a minute."""

import asyncio
import logging
import os
import signal
from pathlib import Path

import httpx

from agora_analytics import AsyncAgora

THRESHOLDS = {"videoFreezeRate": 0.01, "audioFreezeRate": 0.05}
WINDOWS = 3  # of 20 seconds
STATE = Path("worker.state")  # the end of the last window that was checked
WEBHOOK = os.environ["WEBHOOK"]

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
logging.getLogger("httpx").setLevel(logging.WARNING)
log = logging.getLogger("worker")


async def watch(client, web):
    since = STATE.read_text() if STATE.exists() else "10m"
    bad = dict.fromkeys(THRESHOLDS, 0)
    async for window in client.realtime.follow([*THRESHOLDS], since=since):
        for metric, threshold in THRESHOLDS.items():
            value = window.values[metric]
            if value is None or value <= threshold:
                bad[metric] = 0
                continue
            bad[metric] += 1
            if bad[metric] == WINDOWS:
                text = f"{metric} above {threshold:.0%} for {WINDOWS * 20} s: "
                text += f"{value:.1%} at {window.at:%H:%M:%S}"
                log.warning(text)
                await send(web, text)
        save(window.end)


async def send(web, text):
    try:
        (await web.post(WEBHOOK, json={"text": text})).raise_for_status()
    except httpx.HTTPError as error:
        log.error("the alert could not be delivered: %s", error)


def save(end):
    partial = STATE.with_suffix(".partial")
    partial.write_text(str(end))
    partial.replace(STATE)


async def main():
    task = asyncio.current_task()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, task.cancel)
    try:
        async with AsyncAgora.from_env() as client, httpx.AsyncClient(timeout=10) as web:
            log.info("following %s", ", ".join(THRESHOLDS))
            await watch(client, web)
    except asyncio.CancelledError:
        log.info("stopped; the next start continues from %s", STATE)


asyncio.run(main())
