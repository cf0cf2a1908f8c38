"""Chromium, for tests of pages: found on the machine, or installed from Debian's packages by `NEEDS_SERVICES=1`."""

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
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


@contextmanager
def opened(program: str):
    """Start a browser and yield it: see `Browser`."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield Browser(browser)
        finally:
            browser.close()


class Browser:
    """A headless browser that opens files. It collects what a page prints to the console, and what it requests."""

    def __init__(self, browser):
        self._browser = browser

    @contextmanager
    def page(
        self, path: Path, *, width: int, height: int = 900, scheme: str = "light", media: str = "screen"
    ):
        """Open a file in a window and yield the page and a list of what went wrong."""
        context = self._browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, offline=True
        )
        problems: list[str] = []
        page = context.new_page()
        page.emulate_media(media=media, color_scheme=scheme)
        page.on("console", lambda message: problems.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.on(
            "request",
            lambda request: (
                problems.append(f"request: {request.url}") if request.url != path.as_uri() else None
            ),
        )
        page.goto(path.as_uri())
        try:
            yield page, problems
        finally:
            context.close()


def colours(screenshot: bytes) -> int:
    """Return the number of different colours of a screenshot."""
    from PIL import Image

    with Image.open(BytesIO(screenshot)) as image:
        return len(image.convert("RGB").getcolors(maxcolors=1 << 24))
