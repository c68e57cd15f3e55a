{
  description = "Run Nix closures on Kubernetes, not container images";

  # No inputs: whoever uses the library gets nothing else into their lock file.
  outputs = _: {
    lib = import ./nixlib;
  };
}
