"""Checks command lines against the reference pages of the programs, which tests hold to the programs themselves."""

import collections
import dataclasses
import pathlib
import re
import shlex

# Words that may stand before a program's name.
BEFORE = {"!", "if", "then", "else", "while", "until", "do", "exec", "env", "sudo", "time", "xargs", "{"}
ASSIGNMENT = re.compile(r"^\w+=")
PUNCTUATION = ";|&()<>\n"
HERE_DOCUMENT = re.compile(r"<<-?(['\"]?)(\w+)\1(.*)\n(?:.*\n)*?\t*\2\n")


@dataclasses.dataclass
class Option:
    """What a page says of an option: how many values it takes, which they may be, and whether it must be there."""

    values: int
    choices: list[str]
    required: bool
    variable: str | None


@dataclasses.dataclass
class Command:
    """What a page says of a command."""

    options: dict[str, Option]
    least: int = 0
    most: int | None = 0
    has_commands: bool = False


def read(folder):
    """All commands by their full names, of the pages cli*.md in a folder."""
    found = {}
    for page in sorted(pathlib.Path(folder).glob("cli*.md")):
        for section in page.read_text().split("\n## `")[1:]:
            name, body = section.split("`", 1)
            found[name] = _command(name, body)
    for name, command in found.items():
        # The program's own options are those of its commands, too.
        command.options = {**found[name.split()[0]].options, **command.options}
    return found


def _command(name, body):
    command = Command({"--help": Option(0, [], False, None), "-h": Option(0, [], False, None)})
    usage = re.search(rf"^    {re.escape(name)}(.*)$", body, re.MULTILINE)[1]
    for flags, text in re.findall(r"^\| (`-[^|]*`) \| (.*) \|$", body, re.MULTILINE):
        variable = re.search(r"Variable: `(\w+)`", text)
        choices = re.search(r"One of ((?:`[\w-]+`(?:, )?)+)", text)
        option = Option(
            values=len(re.findall(r"<[^>]*>", flags)),
            choices=re.findall(r"`([\w-]+)`", choices[1]) if choices else [],
            required="Required." in text,
            variable=variable[1] if variable else None,
        )
        command.options.update({flag: option for flag in re.findall(r"--?[\w-]+", re.sub(r"<[^>]*>", "", flags))})
    words = re.sub(r"\[OPTIONS\]|--[\w-]+ <[^>]*>", "", usage).split()
    command.has_commands = "<COMMAND>" in words
    arguments = [word for word in words if word != "<COMMAND>"]
    command.least = sum(word.startswith("<") for word in arguments)
    command.most = None if any(word.endswith("...") for word in arguments) else len(arguments)
    return command


def commands(script):
    """The simple commands of a shell script, as lists of words; those within `$(…)` as well."""
    script = HERE_DOCUMENT.sub(r"\3\n", script.replace("\\\n", " "))
    lexer = shlex.shlex(script, posix=True, punctuation_chars=PUNCTUATION)
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, ""
    tokens = []
    for token in lexer:
        tokens += list(token) if set(token) <= set(PUNCTUATION) else [token]
    found = []
    tokens = collections.deque(tokens)
    # A bracket too many, as in a pattern of `case`, ends nothing but its command.
    while tokens:
        _list(tokens, found)
    return found


def _list(tokens, found):
    """Reads to the end, or to the bracket that ends this list."""
    words = []
    while tokens:
        token = tokens.popleft()
        if token == "(":
            # `$(…)`, `<(…)` and `>(…)` stand for one word; a subshell is a command.
            if words and words[-1].endswith(("$", "<", ">")):
                words[-1] += "(…)"
            else:
                _end(words, found)
            _list(tokens, found)
        elif token in ("<", ">"):
            _redirection(token, words, tokens)
        elif token.startswith("#"):
            while tokens and tokens[0] != "\n":
                tokens.popleft()
        elif token in list(PUNCTUATION):
            _end(words, found)
            if token == ")":
                return
        else:
            # What stands in double quotes is one word, and may have commands in it.
            for inner in re.findall(r"\$\(([^()]*)\)", token):
                found += commands(inner)
            words.append(token)
    _end(words, found)


def _redirection(token, words, tokens):
    if tokens and tokens[0] == "(":
        words.append(token)
        return
    if words and words[-1].isdigit():
        words.pop()
    while tokens and tokens[0] in (">", "&", "<"):
        tokens.popleft()
    if tokens:
        tokens.popleft()


def _end(words, found):
    if words:
        found.append(list(words))
    words.clear()


def problems(words, reference, page):
    """What is wrong with a command, if one of our programs is called by it. `page` is the whole text that it stands in."""
    programs = {name.split()[0] for name in reference}
    words = list(words)
    while words and (words[0] in BEFORE or ASSIGNMENT.match(words[0])):
        words.pop(0)
    if words[:2] == ["cargo", "run"] and "--" in words:
        words = ["niphas", *words[words.index("--") + 1 :]]
    elif "--" in words and words[words.index("--") + 1 :][:1] and words[words.index("--") + 1].split("/")[-1] in programs:
        words = words[words.index("--") + 1 :]
    if not words or words[0].split("/")[-1] not in programs:
        return
    name = words.pop(0).split("/")[-1]
    while reference[name].has_commands and words and f"{name} {words[0]}" in reference:
        name = f"{name} {words.pop(0)}"
    yield from _wrong(name, reference[name], words, page)


def _wrong(name, command, words, page):
    if words[:1] in (["--help"], ["-h"], ["--version"]):
        return
    if command.has_commands:
        yield f"{name}: no such command: {' '.join(words) or '(none)'}"
        return
    given, arguments = set(), 0
    words = iter(words)
    for word in words:
        if not word.startswith("-") or word in ("-", "--"):
            arguments += word != "--"
            continue
        flag, equals, value = word.partition("=")
        option = command.options.get(flag)
        if option is None:
            yield f"{name} has no option {flag}"
            continue
        given.add(id(option))
        values = [value] if equals else [next(words, None) for _ in range(option.values)]
        if None in values or (equals and option.values != 1):
            yield f"{name} {flag} takes {option.values} values"
        yield from (
            f"{name} {flag}: '{value}' is none of {', '.join(option.choices)}"
            for value in values
            if option.choices and value and value not in option.choices and "$" not in value
        )
    for flag, option in command.options.items():
        if option.required and id(option) not in given and not (option.variable and option.variable in page):
            yield f"{name} needs {flag}"
    if arguments < command.least or (command.most is not None and arguments > command.most):
        yield f"{name}: {arguments} arguments, expected {command.least} to {command.most if command.most is not None else 'any'}"
