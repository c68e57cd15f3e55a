{
  description = "Workloads of every kind, with everything that can stand beside them; for ci/crd";

  # No input, and so no lock file: the library is in this repository.
  outputs =
    { self }:
    {
      niphasConfigurations.everything = (import ../../nixlib).mkEnvironment {
        systems = [ "x86_64-linux" "aarch64-linux" ];
        pkgsFor = import ../../examples/hello/packages.nix;
        namespace = "everything";
        workloads = import ./workloads.nix;
      };
    };
}
