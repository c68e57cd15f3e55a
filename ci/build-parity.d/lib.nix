# What the cases are made with.
#
# A case is a derivation, or { build, options, exit }: derivations by name, how they are built (see OPTIONS in ci/build-parity), and
# the exit code that nix-build must have, so that a slip of the pen in a case does not become an expectation. `once` runs
# before, and must succeed. Names of derivations are not repeated in other cases.
rec {
  system = "x86_64-linux";

  # A derivation that runs a script by /bin/sh, which is busybox: its applets come first.
  sh = name: attributes: script: derivation ({
    inherit name system;
    builder = "/bin/sh";
    args = [ "-ec" script ];
  } // attributes);

  # With nothing more than a script.
  run = name: sh name { };

  # One that goes on when a command fails.
  try = name: script: derivation { inherit name system; builder = "/bin/sh"; args = [ "-c" script ]; };

  # One that must fail.
  failing = exit: drv: { build.a = drv; inherit exit; };
  with' = options: exit: drv: { build.a = drv; inherit options exit; };

  # A file as an input.
  text = name: contents: builtins.toFile name contents;

  floating = {
    __contentAddressed = true;
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
  };
  fixed = hash: {
    outputHashMode = "flat";
    outputHashAlgo = "sha256";
    outputHash = hash;
  };
  sha256 = builtins.hashString "sha256";

  times = count: piece: builtins.concatStringsSep "" (builtins.genList (_: piece) count);
}
