"""Reads the text of a .drv file."""

import ast
import re

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[(),\[\]]|[A-Za-z]+', re.DOTALL)
FIELDS = ("outputs", "inputDrvs", "inputSrcs", "system", "builder", "args", "env")


def parse(text):
    """{field: value}; `inputDrvs` and `env` as dictionaries, lists as lists."""
    tokens = iter(_TOKEN.findall(text))
    next(tokens)  # Derive

    def value(token):
        if token in "([":
            items = []
            for inner in tokens:
                if inner in ")]":
                    return items
                if inner != ",":
                    items.append(value(inner))
        # Escapes are those of Python, but a newline may stand for itself.
        return ast.literal_eval(token.replace("\n", "\\n").replace("\r", "\\r"))

    derivation = dict(zip(FIELDS, value(next(tokens))))
    derivation["inputDrvs"] = {path: outputs for path, outputs in derivation["inputDrvs"]}
    derivation["env"] = {name: text for name, text in derivation["env"]}
    return derivation
