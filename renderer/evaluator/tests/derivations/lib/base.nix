# A derivation that others depend on.
name: derivation {
  inherit name;
  system = "x86_64-linux";
  builder = "/bin/sh";
  outputs = [ "out" "dev" ];
}
