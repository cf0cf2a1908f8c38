"""Receive alerts and print them: stands in for a chat system or a pager."""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        print("received:", json.loads(body)["text"], flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args):
        pass


print("Waiting for alerts", flush=True)
HTTPServer(("127.0.0.1", 9000), Receiver).serve_forever()
