# `<nix/fetchurl.nix>`: a file or archive that is downloaded by the builder that is part of Nix.
{
  url,
  name ? baseNameOf (toString url),
  # The hash: in SRI form, or in the older attributes that name its algorithm.
  hash ? "",
  md5 ? "",
  sha1 ? "",
  sha256 ? "",
  sha512 ? "",
  outputHashAlgo ? null,
  outputHash ? null,
  executable ? false,
  unpack ? false,
  # Downloaded again by every build, whatever it is.
  impure ? false,
  # Has no effect any more.
  system ? "",
}:

let

  # The first of these that is set counts; sha256 may be missing altogether.
  given =
    if hash != "" then { algorithm = ""; inherit hash; }
    else if sha512 != "" then { algorithm = "sha512"; hash = sha512; }
    else if sha1 != "" then { algorithm = "sha1"; hash = sha1; }
    else if md5 != "" then { algorithm = "md5"; hash = md5; }
    else { algorithm = "sha256"; hash = sha256; };

  expected =
    if impure then { __impure = true; }
    else {
      outputHashAlgo = if outputHashAlgo == null then given.algorithm else outputHashAlgo;
      outputHash = if outputHash == null then given.hash else outputHash;
    };

in

derivation (expected // {
  inherit executable name unpack url;
  urls = [ url ];
  builder = "builtin:fetchurl";
  system = "builtin";
  outputHashMode = if executable || unpack then "recursive" else "flat";
  preferLocalBuild = true;
  # Without effect for this builder; kept because it is part of the derivation.
  impureEnvVars = [ "http_proxy" "https_proxy" "ftp_proxy" "all_proxy" "no_proxy" ];
})
