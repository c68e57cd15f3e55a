"""Asks a URL again and again, each time over a new connection, until SIGTERM; then prints a JSON object with how many
requests there were, which answers came how often, and the errors.

    load.py URL
"""

import collections
import json
import signal
import sys
import time
import urllib.request

stopped = False


def stop(*_: object) -> None:
    global stopped
    stopped = True


signal.signal(signal.SIGTERM, stop)
answers: collections.Counter[str] = collections.Counter()
errors = []
while not stopped:
    try:
        with urllib.request.urlopen(sys.argv[1], timeout=5) as answer:
            answers[answer.read().decode()] += 1
    except OSError as error:
        errors.append(str(error))
    time.sleep(0.01)
print(json.dumps({"requests": answers.total() + len(errors), "answers": answers, "errors": errors}))
