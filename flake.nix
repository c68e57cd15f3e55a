{
  description = "Run Nix closures on Kubernetes, not container images";

  # No inputs: using the library adds nothing else to a lock file.
  outputs =
    { self }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" "x86_64-darwin" "aarch64-darwin" ];
      eachSystem =
        function:
        builtins.listToAttrs (
          map (system: {
            name = system;
            value = function system;
          }) systems
        );

      # What builds niphas itself: fetched when a package is built, and by nothing else. With another nixpkgs: the overlay.
      nixpkgs = fetchTarball {
        url = "https://github.com/NixOS/nixpkgs/archive/a382425139f341852f2bf24c3a9d7e67b22ab8a9.tar.gz";
        sha256 = "sha256-w0rftnYoXD/E4Rcuq85dUJSWwH2TfkVdZDSb3RvMN0c=";
      };

      # The package, of which all but the build is known without nixpkgs: so `nix flake show` fetches nothing.
      packageFor =
        system:
        let
          package = (import nixpkgs { inherit system; overlays = [ self.overlays.default ]; }).niphas;
        in
        {
          type = "derivation";
          pname = "niphas";
          inherit system version;
          name = "niphas-${version}";
          inherit (package) all drvPath out outPath outputName outputs;
          meta = {
            inherit description;
            mainProgram = "niphas";
            outputsToInstall = [ "out" ];
          };
        };
      inherit (fromTOML (builtins.readFile ./Cargo.toml)) workspace;
      inherit (workspace.package) version;
      description = "Renders flakes to GitOps repositories, and evaluates, builds and caches";

      # A derivation that there is only if what it is about holds: an empty folder, which Nix itself makes on every system.
      check =
        system: name: isRight: message:
        derivation {
          inherit name system;
          builder = "builtin:buildenv";
          derivations = if isRight then [ ] else throw "${name}: ${message}";
          manifest = builtins.toFile "manifest.nix" "[ ]\n";
        };
      nixlibTests = import ./nixlib/tests;
      example =
        name:
        let
          outputs = (import (./examples + "/${name}/flake.nix")).outputs { self = outputs; niphas = self; };
        in
        builtins.toJSON (builtins.mapAttrs (_: environment: environment.workloads) outputs.niphasConfigurations);
    in
    {
      lib = import ./nixlib;

      # For flake-parts. Imported twice it counts once.
      flakeModules.default = {
        _class = "flake";
        _file = ./nixlib/flake-module.nix;
        key = "niphas#flakeModules.default";
        imports = [ (import ./nixlib/flake-module.nix self.lib) ];
      };

      overlays.default = final: _: { niphas = final.callPackage ./package.nix { }; };

      packages = eachSystem (system: rec {
        niphas = packageFor system;
        default = niphas;
      });

      apps = eachSystem (system: {
        default = {
          type = "app";
          program = "${self.packages.${system}.niphas}/bin/niphas";
          meta = { inherit description; };
        };
      });

      checks = eachSystem (system: {
        nixlib = check system "nixlib" (nixlibTests == { }) "failing: ${toString (builtins.attrNames nixlibTests)}";
        examples = check system "examples" (builtins.all (name: example name != "{}") [ "hello" "shop" ]) "no environments";
      });

      # What `niphas init` writes.
      templates = {
        default = self.templates.hello;
        hello = {
          path = ./examples/templates/hello;
          description = "One web server";
        };
        shop = {
          path = ./examples/templates/shop;
          description = "Two environments with a Deployment, a StatefulSet and a CronJob";
        };
      };
    };
}
