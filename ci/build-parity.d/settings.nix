# What nix.conf says of builds.
with import ./lib.nix;
let
  url = builtins.getEnv "NIPHAS_PARITY_URL";
  set = config: exit: drv: { build.a = drv; options.environment.NIX_CONFIG = config; inherit exit; };
  fetch = name: attributes: derivation ({
    inherit name;
    system = "builtin";
    builder = "builtin:fetchurl";
    outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = sha256 "mirrored";
    preferLocalBuild = true;
  } // attributes);
  login = "netrc-file = ${builtins.getEnv "NIPHAS_PARITY_NETRC"}";
in
{
  timeout = set "timeout = 2" 101 (run "setting-timeout" "sleep 60");
  silent = set "max-silent-time = 2" 101 (run "setting-silent" "sleep 60");
  log = { build.a = run "setting-log" "yes | head -c 5000; echo > $out"; options = { environment.NIX_CONFIG = "max-build-log-size = 1K"; varies = [ "log" ]; }; exit = 1; };
  log-is-unlimited = set "max-build-log-size = 0" 0 (run "setting-log-unlimited" "yes | head -c 5000; echo > $out");
  cores = set "cores = 3" 0 (run "setting-cores" "echo $NIX_BUILD_CORES > $out");
  cores-of-the-command-line = { build.a = run "setting-cores-given" "echo $NIX_BUILD_CORES > $out"; options = { environment.NIX_CONFIG = "cores = 3"; cores = 5; }; };
  no-jobs = set "max-jobs = 0" 100 (run "setting-no-jobs" "echo > $out");
  jobs-of-the-command-line = { build.a = run "setting-jobs-given" "echo > $out"; options = { environment.NIX_CONFIG = "max-jobs = 0"; max-jobs = 1; }; };
  # The mirror has it, and the URL leads to nothing.
  mirror = set "hashed-mirrors = ${url}/none ${url}/mirror" 0 (fetch "setting-mirror" { url = "${url}/missing"; });
  mirror-without-the-file = set "hashed-mirrors = ${url}/mirror" 0 (fetch "setting-mirror-without" { url = "${url}/file"; outputHash = sha256 "x"; });
  mirror-of-a-tree = set "hashed-mirrors = ${url}/mirror" 1 (fetch "setting-mirror-tree" { url = "${url}/missing"; outputHashMode = "recursive"; });
  login = set login 0 (fetch "setting-login" { url = "${url}/private"; outputHash = sha256 "secret"; });
  no-login = set "netrc-file = /nonexistent" 1 (fetch "setting-no-login" { url = "${url}/private"; outputHash = sha256 "secret"; });
}
