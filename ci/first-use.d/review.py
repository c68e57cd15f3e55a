"""Stories of ci/first-use: what reports say of a change."""

import json
import subprocess

from stories import Wrong, check

MARKER = "<!-- niphas-review -->\n"


def render(team, *options, code=0):
    """What `niphas render` prints on standard output."""
    return team.render("./shop", *options, code=code)


def change(team, version, more=""):
    """The flake with another program, which has the same bytes in the cache under its old name, and other attributes."""
    flake = team.mono / "shop/flake.nix"
    text = flake.read_text()
    text = text.replace("package = pkgs.hello;", f"package = pkgs.hello; {more}")
    flake.write_text(text)
    team.git("add", ".")
    team.git("commit", "--quiet", "--message", version)


def a_report_of_what_changes(team):
    team.flake("shop", "web", "production", "staging")
    render(team)
    message = team.git("log", "--format=%B", "--max-count=1", repository=team.gitops)
    check("\n- web (production, staging): added " in message, f"the commit does not say what it adds: {message}")
    check(message.rstrip().splitlines()[-1].startswith("Niphas-Renderer: "), f"the trailers are not last: {message}")
    change(team, "a variable", 'env.LOG_LEVEL = "debug"; replicas = 2;')
    said = "web (production, staging): restarts: env LOG_LEVEL; changes: Deployment replicas 1 → 2, PodDisruptionBudget added"
    diff = render(team, "--diff", code=1)
    check(said in diff and diff.index(said) < diff.index("diff --git"), f"the patch is not after the summary: {diff}")
    applied = subprocess.run(["git", "-C", team.gitops, "apply", "--check"], input=diff, text=True, capture_output=True, check=False)
    check(applied.returncode == 0, f"the output is no patch: {applied.stderr}")
    reports = [team.home / f"report.{ending}" for ending in ("md", "html", "json")]
    printed = render(team, "--check", "--output", "markdown", *(option for report in reports for option in ("--report", report)), code=1)
    check(printed.startswith(MARKER) and "`env` `LOG_LEVEL`" in printed, f"no comment: {printed}")
    comment, page, data = (report.read_text() for report in reports)
    check(comment == printed, f"the file has another comment: {comment}")
    check(page.startswith("<!doctype html>") and "<svg" in page and "<script" not in page, f"no page: {page[:2000]}")
    workloads = json.loads(data)["review"]["workloads"]
    check([(workload["environment"], workload["effect"]) for workload in workloads] == [("production", "restarts"), ("staging", "restarts")], f"{workloads}")
    check(said in render(team), "the summary is missing")
    check(f"\n- {said}\n" in team.git("log", "--format=%B", "--max-count=1", repository=team.gitops), "the commit does not say it")
    again = render(team, "--output", "markdown")
    check(again.startswith(MARKER) and "No workload changes." in again, f"not nothing: {again}")


def a_report_file_of_no_known_form(team):
    team.flake("shop", "web", "production")
    team.render("./shop", "--report", "report.txt", code=2, said=["expected a file that ends in .md, .html or .json"])


STORIES = [a_report_of_what_changes, a_report_file_of_no_known_form]
