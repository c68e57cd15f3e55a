# What a flake gets as `niphas.lib`. Plain Nix: no nixpkgs, no module system.
# Reference: docs/reference/environment.md.
{
  mkEnvironment = import ./environment.nix;
}
