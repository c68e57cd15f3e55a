# Packages from a static shell alone: each takes a moment to build, on any machine.
system:
let
  # A source of the flake, which no cache has either: a static busybox.
  programs = ./programs;

  build =
    name: attributes: script:
    derivation (
      {
        inherit name system;
        builder = "/bin/sh";
        args = [ "-euc" script ];
      }
      // attributes
    );
in
rec {
  tools = build "tools-1.0" { inherit programs; } ''
    echo "building tools"
    "$programs/busybox" mkdir -p "$out/bin"
    "$programs/busybox" cp "$programs/busybox" "$out/bin/busybox"
  '';

  # Not worth a pod of its own.
  title = build "title" { preferLocalBuild = true; text = "Built by a Job"; } ''
    echo "$text" > "$out"
  '';

  site = build "site-1.0" { inherit title tools; version = "version 1"; } ''
    echo "building the site"
    "$tools/bin/busybox" mkdir "$out"
    read -r text < "$title"
    echo "$text, $version" > "$out/index.html"
  '';

  web =
    build "web-1.0" { inherit tools; } ''
      echo "building the server"
      "$tools/bin/busybox" mkdir -p "$out/bin"
      "$tools/bin/busybox" cp "$tools/bin/busybox" "$out/bin/busybox"
    ''
    // {
      meta.mainProgram = "busybox";
    };
}
