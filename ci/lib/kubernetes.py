"""A Kubernetes API server, asked without a client library: what it answers is what is tested."""

import http.client
import json
import os
import ssl
import subprocess
import time
import urllib.parse


def kubectl(*arguments, input=None, check=True):
    """kubectl with the configuration in KUBECONFIG: its exit code and output."""
    command = ["kubectl", *map(str, arguments)]
    done = subprocess.run(command, input=input, text=True, capture_output=True, check=False)
    if check and done.returncode != 0:
        raise SystemExit(f"FAILED: {' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.returncode, done.stdout + done.stderr


def established(*definitions):
    """Waits until the server serves the kinds of these CustomResourceDefinitions. One without conditions yet is an error to `kubectl wait`."""
    end = time.monotonic() + 30
    while True:
        code, said = kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", *definitions, check=False)
        if code == 0:
            return
        if time.monotonic() > end:
            raise SystemExit(f"FAILED: {' '.join(definitions)}: {said}")
        time.sleep(0.2)


class Api:
    """The server that KUBECONFIG names."""

    def __init__(self):
        with open(os.environ["KUBECONFIG"]) as file:
            lines = [line.strip() for line in file]
        value = {key: text for key, _, text in (line.partition(": ") for line in lines)}
        context = ssl.create_default_context(cafile=value["certificate-authority"])
        context.load_cert_chain(value["client-certificate"], value["client-key"])
        address = urllib.parse.urlsplit(value["server"])
        self.connection = http.client.HTTPSConnection(address.hostname, address.port, context=context)

    def call(self, method, path, body=None, kind="application/json"):
        """The status code and the object that is answered."""
        self.connection.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": kind})
        response = self.connection.getresponse()
        return response.status, json.loads(response.read())
