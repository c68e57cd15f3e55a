let
  modules = [
    ({ config, ... }: { options.port = 80; config.url = "http://${config.host}:${toString config.port}"; })
    ({ config, ... }: { config.host = "example.org"; config.port = 8080; })
  ];
  evaluated = map (m: m { inherit config; }) modules;
  merge = builtins.foldl' (a: b: a // b) { };
  config = merge (builtins.catAttrs "options" evaluated) // merge (builtins.catAttrs "config" evaluated);
in
config
