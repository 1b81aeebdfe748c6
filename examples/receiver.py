"""A receiver to try a webhook with: it takes every request on loopback, and prints what came, a line each.

Usage: python3 examples/receiver.py [PORT]      needs nothing but Python; ends with Ctrl-C
"""

import sys
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer

PORT = 8080


class PrintingHandler(BaseHTTPRequestHandler):
    """Takes what is posted, and prints it."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.send_response(204)
        self.end_headers()
        print("POST", self.path, " ".join(body.decode("utf-8", "replace").split()), flush=True)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server gives
        pass


def main(port: int) -> None:
    with HTTPServer(("127.0.0.1", port), PrintingHandler) as server:
        print(f"takes what is posted to http://127.0.0.1:{port}, until Ctrl-C", flush=True)
        with suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else PORT)
