# What ci/store realises: trees that are hard to keep, a program with a library, and the same program with a newer one.
#
# The builders are programs of the machine, for Nix's sandbox is off and nixpkgs is not there.
{ python, cc }:
let
  tree = name: {
    type ? "tree",
    arguments ? [ ],
  }: derivation {
    inherit name;
    system = builtins.currentSystem;
    builder = python;
    args = [
      ./trees.py
      type
    ] ++ arguments;
  };

  # Most of a library is the same from version to version.
  library = version: tree "library-${version}" {
    type = "library";
    arguments = [ version ];
  };

  program = version: derivation {
    name = "program-${version}";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ ./program.sh ];
    library = library version;
    source = ./program.c;
    inherit cc;
  };
in
{
  odd = tree "odd" { type = "odd"; };
  sparse = tree "sparse" { type = "sparse"; };
  file = tree "file" { type = "file"; };
  executable = tree "executable" { type = "executable"; };
  symlink = tree "symlink" { type = "symlink"; };
  first = program "1.0";
  second = program "1.1";
}
