# shellcheck shell=bash
# What the documents say.
# shellcheck disable=SC2154 # oracle is set by step_nix

# Links, command lines, data and metrics in all pages; the commands of the how-to pages, as they stand there.
step_documents() {
  niphas
  node_programs
  NIPHAS_ORACLE=$oracle ci/docs-commands
}
