# JSON: written, read and written again.
let
  value = builtins.genList (n: {
    id = n;
    name = "item ${toString n}";
    "nested \"key\"" = { list = [ n (n + 1) 1.5 true null "é\n" ]; empty = { }; };
    tags = [ "a" "b" "c" ];
  }) 20000;
  text = builtins.toJSON value;
  again = builtins.fromJSON text;
in
[ (builtins.stringLength text) (builtins.toJSON again == text) (builtins.length again) ]
