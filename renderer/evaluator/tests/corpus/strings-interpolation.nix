let
  withOut = { outPath = "/out"; };
  withTo = { __toString = self: "<${self.x}>"; x = "v"; outPath = "/ignored"; };
in
[
  "${"a"}${"b"}" "x${"y"}z" "${withOut}" "${withTo}" "${withOut}/bin" "a${"b${"c"}"}d"
  "${toString 1}" ("a" + "b") (withOut + "/c") ("c" + withTo)
]
