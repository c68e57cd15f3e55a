# The module for flake-parts: `niphas.environments.<name>` at the top level; workloads get what `perSystem` has.
# It is applied to the niphas flake's own lib, and reads no `self`: that of its user is another flake.
niphas:
{ lib, config, withSystem, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.niphas;
in
{
  options.niphas = {
    environments = mkOption {
      type = types.attrsOf types.deferredModule;
      default = { };
      description = "The environments by name; each becomes `niphasConfigurations.<name>`.";
    };
    defaults = mkOption {
      type = types.deferredModule;
      default = { };
      description = "Definitions below those of every workload of every environment.";
    };
  };

  config.flake.niphasConfigurations = builtins.mapAttrs (
    name: environment:
    niphas.evalEnvironment {
      inherit lib;
      defaults = [ cfg.defaults ];
      specialArgs.environment = name;
      argumentsFor = system: withSystem system (arguments: { inherit (arguments) self' inputs'; });
      modules = [
        {
          systems = lib.mkDefault (builtins.filter (lib.hasSuffix "-linux") config.systems);
          pkgsFor = lib.mkDefault (system: withSystem system ({ pkgs, ... }: pkgs));
        }
        environment
      ];
    }
  ) cfg.environments;
}
