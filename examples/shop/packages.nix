# The packages of examples/hello, and one more program. A team has those of nixpkgs, or its own.
system:
import ../hello/packages.nix system
// {
  print =
    derivation {
      name = "print-1.0";
      inherit system;
      builder = "builtin:unpack-channel";
      channelName = "bin";
      src = builtins.path {
        path = ./program + "/print.${system}.tar.gz.uu";
        name = "print.tar.gz.uu";
      };
    }
    // {
      meta.mainProgram = "print";
    };
}
