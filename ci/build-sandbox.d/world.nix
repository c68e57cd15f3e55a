# The probe as derivations: one of each type that sees another world.
{ probe, script }:
let
  build = attributes: derivation ({
    name = "world";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" ". ${builtins.path { path = script; name = "probe.sh"; }}" "first" "an argument" ];
    PATH = "/bin";
    probe = builtins.path { path = probe; name = "probe"; };
  } // attributes);
in {
  plain = build { };
  fixed = build { outputHashAlgo = "sha256"; outputHash = builtins.hashString "sha256" "none"; };
}
