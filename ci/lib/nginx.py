"""nginx before a folder, on a port of its own of 127.0.0.1."""

import signal
import socket
import subprocess
import sys
import time


class Nginx:
    """Serves FOLDER while it lasts; WORK is for its own files. `server` is more of nginx's language for the server, `listen`
    what comes after the port."""

    def __init__(self, work, folder, server="", listen="", address="127.0.0.1"):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.log = work / "nginx.access"
        config = work / "nginx.conf"
        log = f"access_log {self.log} told;" if server else "access_log off;"
        config.write_text(
            f"daemon off; worker_processes 2; pid {work}/nginx.pid; error_log {work}/nginx.log; user root;"
            "events { worker_connections 1024; } http {"
            " log_format told '$server_protocol $request_method $status $uri';"
            f" {log} sendfile on; tcp_nopush on; client_max_body_size 0;"
            " keepalive_requests 1000000; keepalive_timeout 600; types { } default_type application/octet-stream;"
            f" client_body_temp_path {work}; proxy_temp_path {work}; fastcgi_temp_path {work};"
            f" uwsgi_temp_path {work}; scgi_temp_path {work};"
            f" server {{ listen {address}:{self.port} backlog=1024 {listen}; root {folder}; {server} }} }}"
        )
        self.process = subprocess.Popen(["nginx", "-e", f"{work}/nginx.log", "-c", config], stderr=subprocess.DEVNULL)
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.05)
        sys.exit(f"nginx does not start; see {work}/nginx.log")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
