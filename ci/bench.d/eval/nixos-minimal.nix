# The smallest NixOS system that can boot.
let
  nixos = import (builtins.getEnv "NIPHAS_NIXPKGS" + "/nixos") {
    system = "x86_64-linux";
    configuration = {
      boot.loader.grub.device = "/dev/sda";
      fileSystems."/" = { device = "/dev/sda1"; fsType = "ext4"; };
      networking.hostName = "minimal";
      system.stateVersion = "24.05";
    };
  };
in
nixos.system.drvPath
