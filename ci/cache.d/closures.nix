# Two closures to push: one of 300 paths, 60,000 files and about 1 GiB; one of 2,000 tiny paths; or small ones like them.
# `python` and `shell` are programs of the machine: the sandbox is off. A path refers to a few of those before it.
{ python, shell, small ? false }:
let
  build = name: count: files: size: let
    path = number: derivation {
      name = "${name}-${toString number}";
      system = builtins.currentSystem;
      builder = if files == 1 then shell else python;
      args = if files == 1 then [ "-c" "echo ${name} ${toString number} $references > $out" ] else [ ./files.py ];
      inherit files size;
      seed = number;
      references = map (back: builtins.elemAt paths (number - back)) (builtins.filter (back: back <= number) [ 1 2 5 13 ]);
    };
    paths = builtins.genList path count;
  in
  derivation {
    name = "${name}-all";
    system = builtins.currentSystem;
    builder = shell;
    args = [ "-c" "echo $paths > $out" ];
    inherit paths;
  };
in
{
  large = build "large" (if small then 12 else 300) (if small then 20 else 200) 17900;
  tiny = build "tiny" (if small then 40 else 2000) 1 0;
}
