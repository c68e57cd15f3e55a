# From a lock file to what its flakes output. Sources are fetched when something in them is needed.
#
# lockText: the lock file. sourcesText: as JSON, for the nodes that are fetched already,
# { <node> = { sourceInfo = { outPath = …; … }; dir = …; }; }. fetch: fetches a locked input. observe: gives its second
# argument back when that is needed, having told that the evaluation can see where a source is; null: nothing observes.
lockText: sourcesText: fetch: observe:

let
  lock = builtins.fromJSON lockText;

  # What comes as JSON has forgotten that it names a store path.
  fetched = builtins.mapAttrs (
    _: source:
    source
    // {
      sourceInfo = source.sourceInfo // {
        outPath = builtins.appendContext source.sourceInfo.outPath {
          ${source.sourceInfo.outPath}.path = true;
        };
      };
    }
  ) (builtins.fromJSON sourcesText);

  # The node that a path of inputs leads to, from the root.
  nodeAt = builtins.foldl' (
    node: name: nodeOf lock.nodes.${node}.inputs.${name}
  ) lock.root;

  # An input is a node, or the path of the input that it follows.
  nodeOf = input: if builtins.isList input then nodeAt input else input;

  below = folder: path: if path == "" then folder else folder + "/" + path;

  flakes = builtins.mapAttrs (
    key: node:
    let
      locked = node.locked or { };
      isFetched = fetched ? ${key};
      isRelative =
        !isFetched && locked.type or null == "path" && builtins.substring 0 1 locked.path != "/";
      parent = flakes.${nodeAt node.parent};

      sourceInfo =
        if isFetched then
          fetched.${key}.sourceInfo
        else if isRelative then
          parent.sourceInfo
        else
          # Version 5 has some attributes in `info`.
          fetch (node.info or { } // removeAttrs locked [ "dir" ]);

      outPath =
        if isRelative then
          below parent.outPath locked.path
        else
          below sourceInfo.outPath (fetched.${key}.dir or locked.dir or "");

      # What the flake itself sees of where it is.
      seen = value: if observe == null then value else observe outPath value;
      seenInfo =
        if observe == null then sourceInfo else builtins.mapAttrs (_: observe outPath) sourceInfo;
      seenOutPath = seen outPath;

      flake = import (outPath + "/flake.nix");

      inputs = builtins.mapAttrs (_: input: flakes.${nodeOf input}.result) (node.inputs or { });

      outputs = flake.outputs (inputs // { self = result; });

      result =
        outputs
        // seenInfo
        // {
          outPath = seenOutPath;
          sourceInfo = seenInfo;
          inherit inputs outputs;
          _type = "flake";
        };
    in
    {
      inherit outPath sourceInfo;
      result =
        if node.flake or true then
          assert builtins.isFunction flake.outputs;
          result
        else
          seenInfo
          // {
            sourceInfo = seenInfo;
            outPath = seenOutPath;
          };
    }
  ) lock.nodes;
in
flakes.${lock.root}.result
