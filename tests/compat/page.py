"""A web server for the page of `node/browser.mjs`, on a free port of the loopback."""

import functools
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer


class Files(SimpleHTTPRequestHandler):
    """One connection."""

    def log_message(self, *_):
        """Quiet: the browser says what it misses."""


class Page(ThreadingHTTPServer):
    """The server of one folder; ends with its `with`."""

    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), functools.partial(Files, directory=folder))

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    @property
    def url(self):
        """The origin of its pages."""
        return f"http://127.0.0.1:{self.server_address[1]}"
