{
  description = "Workloads of every kind, with everything that can stand beside them; for ci/crd";

  inputs.niphas.url = "path:../..";

  outputs =
    { self, niphas }:
    {
      niphasConfigurations.everything = niphas.lib.mkEnvironment {
        systems = [ "x86_64-linux" "aarch64-linux" ];
        pkgsFor = import ../../examples/hello/packages.nix;
        namespace = "everything";
        workloads = import ./workloads.nix;
      };
    };
}
