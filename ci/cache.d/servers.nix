# A closure with one path that S3 takes in parts, however it is compressed, and some small ones.
{ shell, head }:
let
  path = name: references: size: derivation {
    inherit name references;
    system = builtins.currentSystem;
    builder = shell;
    args = [ "-c" "{ echo ${name} $references; ${head} -c ${toString size} /dev/urandom; } > $out" ];
  };
  small = builtins.genList (number: path "small-${toString number}" [ ] 20000) 20;
in
path "servers" (small ++ [ (path "large" [ ] 60000000) ]) 1000
