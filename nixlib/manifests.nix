# `manifests which paths`: the YAML and JSON files at these paths, and in the folders among them, with their texts. Names of files begin
# with that of the file or folder that was named, so that they say nothing of where the flake lies. `which`: the
# attribute that has them, for messages.
which: paths:
let
  isManifest = name: builtins.match ".*[.](yaml|yml|json)" name != null;

  read =
    name: path: type:
    if type == "directory" then
      let
        entries = builtins.readDir path;
        entry = inner: read "${name}/${inner}" (path + "/${inner}") entries.${inner};
        # What begins with a dot is hidden.
        shown = builtins.filter (inner: builtins.substring 0 1 inner != ".") (builtins.attrNames entries);
      in
      builtins.concatMap entry (
        builtins.filter (inner: entries.${inner} == "directory" || isManifest inner) shown
      )
    else
      [ { file = name; text = builtins.readFile path; } ];

  # Nix before 2.14 has no builtin for it.
  typeOf =
    builtins.readFileType
      or (path: (builtins.readDir (dirOf path)).${builtins.unsafeDiscardStringContext (baseNameOf path)});
in
builtins.concatMap (
  path:
  if builtins.pathExists path then
    read (baseNameOf path) path (typeOf path)
  else
    throw "there is no ${toString path}, which ${which} names: a new file is seen once Git knows it"
) (
  if builtins.isList paths then
    paths
  else
    throw "${which} is no list: write a list of paths of YAML files, and of folders with such"
)
