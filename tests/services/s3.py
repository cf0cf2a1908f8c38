"""An S3 stand-in: moto's server in a process of its own, with a lock around every request.

moto serves requests in threads, and without the lock some conditional creates had two winners.
"""

import http.client
import io
import sys
import threading
import uuid
from pathlib import Path

from tests.services.server import HOST, Server

PROJECT = Path(__file__).parents[2]


class S3(Server):
    """A server of buckets in its memory."""

    def __init__(self) -> None:
        super().__init__()
        self.working_folder = PROJECT

    def command(self) -> list[str]:
        return [sys.executable, "-m", "tests.services.s3", str(self.port)]

    def is_ready(self) -> bool:
        try:
            return self.ask("GET", "/") == 200
        except OSError:
            return False

    @property
    def endpoint(self) -> str:
        """The URL of the server."""
        return f"http://{HOST}:{self.port}"

    def ask(self, method: str, path: str) -> int:
        """Send a request without a signature, which moto does not check, and return the status."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=60)
        try:
            connection.request(method, path)
            return connection.getresponse().status
        finally:
            connection.close()


class Bucket:
    """A bucket of one test. `environment` has the variables that object_store (obstore, deltalake) and boto3 read."""

    def __init__(self, server: S3) -> None:
        self.server = server
        self.name = f"bucket-{uuid.uuid4().hex[:12]}"
        assert server.ask("PUT", f"/{self.name}") == 200

    @property
    def url(self) -> str:
        """The URL of the bucket: `s3://...`."""
        return f"s3://{self.name}"

    @property
    def endpoint(self) -> str:
        """The URL of the server."""
        return self.server.endpoint

    @property
    def port(self) -> int:
        """The port of the server."""
        return self.server.port

    @property
    def environment(self) -> dict[str, str]:
        """The endpoint and dummy credentials, as environment variables."""
        return self.environment_at(self.port)

    def environment_at(self, port: int) -> dict[str, str]:
        """Return the environment variables of access through a proxy that listens on a port."""
        return {
            "AWS_ACCESS_KEY_ID": "test-access-key",
            "AWS_SECRET_ACCESS_KEY": "test-secret-key",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://{HOST}:{port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def delete(self) -> None:
        """Delete everything in the server. Starts it if the test has stopped it."""
        if not self.server.is_running:
            self.server.stop()
            self.server.start()
        assert self.server.ask("POST", "/moto-api/reset") == 200


class OneAtATime:
    """A WSGI application that handles one request at a time."""

    def __init__(self, application):
        self._application = application
        self._lock = threading.Lock()

    def __call__(self, environ, start_response):
        # Before the lock, or a frozen client would block all others.
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        with self._lock:
            return list(self._application(environ, start_response))


def serve(port: int) -> None:
    """Serve S3 until the process is killed."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    application = OneAtATime(DomainDispatcherApplication(create_backend_app))
    make_server(HOST, port, application, threaded=True).serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
