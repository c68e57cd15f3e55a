# Eight servers in one evaluation.
let
  nixos = import (builtins.getEnv "NIPHAS_NIXPKGS" + "/nixos/lib/eval-config.nix");
  host = number: nixos {
    system = "x86_64-linux";
    modules = [
      {
        boot.loader.grub.device = "/dev/sda";
        fileSystems."/" = { device = "/dev/sda1"; fsType = "ext4"; };
        networking.hostName = "host-${toString number}";
        services.openssh.enable = true;
        system.stateVersion = "24.05";
      }
    ];
  };
in
builtins.genList (number: (host number).config.system.build.toplevel.drvPath) 8
