# A desktop with services, virtual hosts, users and two containers.
let
  configuration = { pkgs, lib, ... }: {
    boot.loader.systemd-boot.enable = true;
    fileSystems."/" = { device = "/dev/disk/by-label/root"; fsType = "ext4"; };
    fileSystems."/boot" = { device = "/dev/disk/by-label/boot"; fsType = "vfat"; };
    networking.hostName = "big";
    system.stateVersion = "24.05";
    services = {
      xserver.enable = true;
      displayManager.sddm.enable = true;
      desktopManager.plasma6.enable = true;
      pipewire = { enable = true; alsa.enable = true; pulse.enable = true; };
      printing.enable = true;
      avahi.enable = true;
      openssh.enable = true;
      postgresql = { enable = true; ensureDatabases = [ "app" ]; };
      redis.servers.app.enable = true;
      prometheus = { enable = true; exporters.node.enable = true; };
      fail2ban.enable = true;
      tailscale.enable = true;
      syncthing.enable = true;
      nginx = {
        enable = true;
        recommendedProxySettings = true;
        virtualHosts = lib.genAttrs (map (n: "site${toString n}.example.org") (lib.range 1 20)) (_: {
          locations."/".proxyPass = "http://127.0.0.1:8080";
        });
      };
    };
    virtualisation.docker.enable = true;
    virtualisation.libvirtd.enable = true;
    programs.firefox.enable = true;
    users.users = lib.genAttrs (map (n: "user${toString n}") (lib.range 1 20)) (_: {
      isNormalUser = true;
      extraGroups = [ "wheel" ];
    });
    environment.systemPackages = with pkgs; [ git vim emacs htop ripgrep gcc python3 nodejs go rustc cargo gimp inkscape vlc ];
    containers.web = { autoStart = true; config = { services.nginx.enable = true; system.stateVersion = "24.05"; }; };
    containers.db = { autoStart = true; config = { services.postgresql.enable = true; system.stateVersion = "24.05"; }; };
  };
in
(import (builtins.getEnv "NIPHAS_NIXPKGS" + "/nixos") { system = "x86_64-linux"; inherit configuration; }).system.drvPath
