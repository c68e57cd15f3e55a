{
  description = "Run Nix closures on Kubernetes, not container images";

  # No inputs: using the library adds nothing else to a lock file.
  outputs = _: {
    lib = import ./nixlib;
  };
}
