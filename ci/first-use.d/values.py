"""The table of docs/reference/values.md: what each row writes, the object has."""

import json
import re

import yaml

from stories import ROOT, Wrong, check

PAGE = ROOT / "docs/reference/values.md"
# What the page says that each row stands in.
BASE = "package = pkgs.hello; ports = { http = 8080; metrics = 9090; }; service = { };"
LEAST = 45


def rows():
    """What is written, the object's kind, and its fields with their values."""
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and len(cells) == 3 and cells[1].startswith("`"):
            kind, *fields = re.findall(r"`([^`]+)`", cells[2])
            yield cells[1].strip("`"), kind, [field.partition(" = ") for field in fields]


def at(value, path):
    """The value at a path; `\\.` is a dot in a name."""
    for part in re.findall(r"\[\d+\]|(?:\\.|[^.\[\\])+", path):
        if part.startswith("["):
            index = int(part[1:-1])
            value = value[index] if isinstance(value, list) and index < len(value) else None
        else:
            value = value.get(part.replace("\\.", ".")) if isinstance(value, dict) else None
    return value


def has(item, name, fields):
    for path, equals, wanted in fields:
        found = at(item, path)
        if not equals:
            if found is not None:
                return False
        elif (found if isinstance(found, str) else json.dumps(found)) != wanted.replace("NAME", name):
            return False
    return True


def every_value_of_a_chart_can_be_written(team):
    table = list(rows())
    check(len(table) >= LEAST, f"the table has {len(table)} rows")
    written = re.search(r"```nix workload\n(.*?)```", PAGE.read_text(), re.DOTALL)[1]
    check(" ".join(written.split()) == BASE, "the page says another workload that rows stand in")
    team.flake("values", "web", "shop")
    workloads = "\n".join(f"row-{number} = {{ pkgs, ... }}: {{ {text} }};" for number, (text, _, _) in enumerate(table))
    (team.mono / "values/flake.nix").write_text(
        f"""{{ outputs = _: {{ niphasConfigurations.shop = (import ./nixlib).mkEnvironment {{
          systems = [ "x86_64-linux" ];
          pkgsFor = import ./packages.nix;
          namespace = "shop";
          defaults = {{ pkgs, ... }}: {{ {BASE} }};
          workloads = {{ {workloads} }};
        }}; }}; }}"""
    )
    team.render("./values", "--expand")
    wrong = []
    for number, (text, kind, fields) in enumerate(table):
        name = f"row-{number}"
        folder = f"deploy/shop/{name}/"
        files = [file for file in team.files() if file.startswith(f"{folder}{kind}-")]
        items = [yaml.safe_load(team.git("show", f"HEAD:{file}", repository=team.gitops)) for file in files]
        if not any(has(item, name, fields) for item in items):
            wrong.append(f"{text}\n  no {kind} has {fields}:\n  {json.dumps(items)}")
    if wrong:
        raise Wrong("\n".join(wrong))


STORIES = [every_value_of_a_chart_can_be_written]
