# The packages of the example, for one system. No nixpkgs: Nix's own builders make them, so that every system's can be
# built on any machine, without a network and without a compiler.
system:
let
  # `builtin:unpack-channel` unpacks an archive that holds one folder, here `bin`. See program/build.
  hello =
    derivation {
      name = "hello-1.0";
      inherit system;
      builder = "builtin:unpack-channel";
      channelName = "bin";
      src = builtins.path {
        path = ./program + "/hello.${system}.tar.gz.uu";
        name = "hello.tar.gz.uu";
      };
    }
    // {
      meta.mainProgram = "hello";
    };

  site = builtins.path {
    path = ./site;
    name = "site";
  };

  # `builtin:buildenv` links what is in several packages into one: active, priority, number of outputs, outputs.
  join =
    name: packages:
    derivation {
      inherit name system;
      builder = "builtin:buildenv";
      derivations = map (package: [ "true" 5 1 package ]) packages;
      manifest = builtins.toFile "manifest.nix" "[ ]\n";
    };
in
{
  inherit hello;

  hello-site = join "hello-site-1.0" [ hello site ] // {
    inherit (hello) meta;
  };

  greeting = builtins.toFile "greeting" "Hello, again.\n";
}
