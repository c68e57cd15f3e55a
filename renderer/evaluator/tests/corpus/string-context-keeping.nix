let
  d = derivation { name = "c"; system = "x"; builder = "/b"; };
  has = builtins.hasContext;
  s = "${d}";
in
{
  substring = has (builtins.substring 0 0 s); substringAfter = has (builtins.substring 1000 1 s); replace = has (builtins.replaceStrings [ "c" ] [ "x" ] s); replaceTo = has (builtins.replaceStrings [ "c" ] [ s ] "c"); replaceUnused = has (builtins.replaceStrings [ "zz" ] [ s ] "c");
  concat = has (builtins.concatStringsSep s [ "a" ]); concatSep = has (builtins.concatStringsSep s [ "a" "b" ]); toString = has (toString [ s ]); json = has (builtins.toJSON { a = s; }); jsonDrv = has (builtins.toJSON d); xml = has (builtins.toXML s);
  match = map has (builtins.match "(.*)" s); split = map (x: if builtins.isList x then map has x else has x) (builtins.split "(s)" s); baseName = has (baseNameOf s); dir = has (dirOf s); indent = has '' ${s} '';
  hash = has (builtins.hashString "md5" s); parseDrvName = has (builtins.parseDrvName "c-1").name; plus = has (s + "x"); attr = has (builtins.head (builtins.attrNames { a = s; })); version = map has (builtins.splitVersion (builtins.unsafeDiscardStringContext s)); eq = s == builtins.unsafeDiscardStringContext s;
}
