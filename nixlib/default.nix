# What a flake gets as `niphas.lib`. Plain Nix: only `evalEnvironment` needs nixpkgs' lib, and is given it.
# Reference: docs/reference/environment.md, docs/reference/modules.md.
{
  mkEnvironment = import ./environment.nix;
  evalEnvironment = import ./modules;
  merge = import ./merge.nix;
}
