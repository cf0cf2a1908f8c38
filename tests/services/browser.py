"""Chromium, for tests of pages: found on the machine, or installed from Debian's packages by `NEEDS_SERVICES=1`."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_PACKAGES = ("chromium", "fonts-dejavu-core")
_LONGEST = 300  # s, of the installation


def installed() -> str | None:
    """Return the path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


def install() -> str | None:
    """Install Chromium if this is Debian and the user may do so. Return its path, or None."""
    if sys.platform != "linux" or shutil.which("apt-get") is None or os.geteuid() != 0:
        return None
    for command in (("update",), ("install", "--yes", "--no-install-recommends", *_PACKAGES)):
        done = subprocess.run(
            ["apt-get", "--quiet", *command],
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
            capture_output=True,
            timeout=_LONGEST,
        )
        if done.returncode:
            return None
    return installed()


class Browser:
    """A headless browser that opens files.

    It lives in a thread of its own, because Playwright leaves an event loop running in its thread.
    """

    def __init__(self, program: str) -> None:
        self._program = program
        self._thread = ThreadPoolExecutor(1)

    def __enter__(self):
        self._thread.submit(self._start).result()
        return self

    def __exit__(self, *_):
        self._thread.submit(self._stop).result()
        self._thread.shutdown()

    def look(self, path: Path, look, *, width: int, scheme: str = "light", media: str = "screen"):
        """Open a file in a window, and return what `look(page)` returns, and a list of what went wrong.

        That is what the page prints to the console, its errors, and its requests.
        """
        return self._thread.submit(self._look, path, look, width, scheme, media).result()

    def _start(self):
        from playwright.sync_api import sync_playwright

        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(
            executable_path=self._program, args=["--no-sandbox", "--disable-gpu"]
        )

    def _stop(self):
        self._browser.close()
        self._playwright.stop()

    def _look(self, path, look, width, scheme, media):
        context = self._browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
        )
        problems: list[str] = []

        def requested(request):
            if request.url != path.as_uri():
                problems.append(f"request: {request.url}")

        page = context.new_page()
        page.emulate_media(media=media, color_scheme=scheme)
        page.on("console", lambda message: problems.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.on("request", requested)
        try:
            page.goto(path.as_uri())
            return look(page), problems
        finally:
            context.close()


def colours(screenshot: bytes) -> int:
    """Return the number of different colours of a screenshot."""
    from PIL import Image

    with Image.open(BytesIO(screenshot)) as image:
        return len(image.convert("RGB").getcolors(maxcolors=1 << 24))
