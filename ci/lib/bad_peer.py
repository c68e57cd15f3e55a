"""A peer of the mesh that misbehaves, in the place of the real one.

    bad_peer.py HOW FOLDER ADDRESS PORT

It answers as one that has all files of the cache FOLDER, and HOW is: `lies`, with other bytes of the right number; `shifts`, with bytes
of another place of the file; `stalls`, with half of what it promised, and silence then; `silent`, with nothing at all. Says `bad` for
each such answer. Its own node's reader gets nothing of it.
"""

import http.server
import pathlib
import sys
import threading
import urllib.parse

PART = 4 << 20
LONG = 120


def main():
    how, folder, address, port = sys.argv[1:]
    never = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def nothing(self, status):
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self):
            what, _, rest = self.path.lstrip("/").partition("/")
            if what != "part":
                return self.nothing(404)
            _, index, name = rest.split("/", 2)
            try:
                file = pathlib.Path(folder, urllib.parse.unquote(name)).read_bytes()
            except OSError:
                return self.nothing(404)
            start = int(index) * PART
            right = file[start + int(self.headers["niphas-mesh-from"]) : start + PART]
            print("bad", flush=True)
            if how == "silent":
                never.wait(LONG)
                return None
            wrong = {"lies": bytes(byte ^ 255 for byte in right), "shifts": right[1:] + right[:1], "stalls": right[: len(right) // 2]}[how]
            self.send_response(200)
            self.send_header("niphas-mesh-file-size", str(len(file)))
            self.send_header("Content-Length", str(len(right)))
            self.end_headers()
            self.wfile.write(wrong)
            if how == "stalls":
                self.wfile.flush()
                never.wait(LONG)
            return None

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_):
            """Those who ask go away when it takes too long."""

    server = Server((address, int(port)), Handler)
    print("ready", flush=True)
    server.serve_forever()


main()
