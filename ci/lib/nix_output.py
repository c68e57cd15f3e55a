"""What Nix prints, taken apart."""

import re

# The last of these lines begins the final message; the ones before it are its trace.
_ERROR = re.compile(r"^(?: {7})?error: ?(.*)$")
_POSITION = re.compile(r"^ *at .*:\d+:\d+:?$")
_SUGGESTION = re.compile(r"^ *Did you mean .*\?$")
_USAGE = re.compile(r"^Try '.*' for more information\.$")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


def final_error(stderr):
    """The text of the final error in `stderr`, without trace, position, source lines and suggestions.

    Lines after the first lose the indentation that Nix gives them. None if there is no error.
    """
    lines = _ANSI.sub("", stderr).splitlines()
    starts = [i for i, line in enumerate(lines) if (m := _ERROR.match(line)) and m.group(1)]
    if not starts:
        return None
    first = starts[-1]
    message = [_ERROR.match(lines[first]).group(1)]
    for line in lines[first + 1 :]:
        if _POSITION.match(line) or _SUGGESTION.match(line) or _USAGE.match(line):
            break
        message.append(line.removeprefix("       "))
    return "\n".join(message).rstrip()
