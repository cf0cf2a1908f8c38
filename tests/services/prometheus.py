"""Prometheus and promtool, for tests of exported metrics: found on the machine, or unpacked from Debian's package.

The package is downloaded and unpacked to a cache folder, not installed, so no service of the system starts.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import suppress
from pathlib import Path

from attrs import frozen

from tests.services.server import HOST, Server

CACHE = Path.home() / ".cache" / "agora-analytics-tests" / "prometheus"
_LONGEST = 300  # s, of the download


@frozen
class PrometheusPrograms:
    """The paths of the two programs."""

    promtool: str
    prometheus: str

    def check_metrics(self, text: str) -> str:
        """Return what `promtool check metrics` reports about an exposition in the text format; "": no problem."""
        done = subprocess.run(
            [self.promtool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=60
        )
        return done.stdout + done.stderr

    def server(self, config: str, openmetrics: str = "") -> "Prometheus":
        """Start a server and return it; the caller closes it.

        Args:
            config: the content of `prometheus.yml`.
            openmetrics: samples with times in the OpenMetrics format, which the server has from the start.
        """
        server = Prometheus(self, config, openmetrics)
        server.open()
        return server


def installed() -> PrometheusPrograms | None:
    """Return the programs of the machine or of the cache folder, or None."""
    for search in (None, str(CACHE / "usr" / "bin")):
        promtool, prometheus = (shutil.which(name, path=search) for name in ("promtool", "prometheus"))
        if promtool and prometheus:
            return PrometheusPrograms(promtool, prometheus)
    return None


def is_installable() -> bool:
    """Return whether this is Debian and the user may fetch its list of packages."""
    return sys.platform == "linux" and shutil.which("apt-get") is not None and os.geteuid() == 0


def install() -> PrometheusPrograms | None:
    """Unpack Debian's package to the cache folder. Return the programs, or None if it cannot be downloaded."""
    CACHE.parent.mkdir(parents=True, exist_ok=True)
    # Complete before it is visible: other test processes may unpack it at the same time.
    with tempfile.TemporaryDirectory(dir=CACHE.parent) as folder:
        update = ["apt-get", "--quiet", "update"]
        if not _download(folder) and not (_run(update, folder) and _download(folder)):
            return None
        (package,) = Path(folder).glob("*.deb")
        if not _run(["dpkg", "--extract", str(package), f"{folder}/unpacked"], folder):
            return None
        with suppress(OSError):  # another process was faster
            Path(folder, "unpacked").rename(CACHE)
    return installed()


def _download(folder: str) -> bool:
    return _run(["apt-get", "--quiet", "download", "prometheus"], folder)


def _run(command: list[str], folder: str) -> bool:
    return not subprocess.run(command, cwd=folder, capture_output=True, timeout=_LONGEST).returncode


class Prometheus(Server):
    """A Prometheus server with its data in a temporary folder; `url` is its address."""

    def __init__(self, programs: PrometheusPrograms, config: str, openmetrics: str = "") -> None:
        super().__init__()
        self._program = programs.prometheus
        self._config = self.folder / "prometheus.yml"
        self._config.write_text(config)
        self._data = self.folder / "data"
        if openmetrics:
            samples = self.folder / "samples.txt"
            samples.write_text(openmetrics)
            subprocess.run(
                [programs.promtool, "tsdb", "create-blocks-from", "openmetrics", samples, self._data],
                check=True,
                capture_output=True,
            )

    @property
    def url(self) -> str:
        """The address of the server."""
        return f"http://{HOST}:{self.port}"

    def command(self) -> list[str]:
        """Return the command that runs the server."""
        return [
            self._program,
            f"--config.file={self._config}",
            f"--storage.tsdb.path={self._data}",
            "--storage.tsdb.retention.time=100y",  # samples have fixed times
            f"--web.listen-address={HOST}:{self.port}",
        ]

    def is_ready(self) -> bool:
        """Return whether the server accepts queries."""
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=1) as response:
                return response.status == 200
        except OSError:
            return False
