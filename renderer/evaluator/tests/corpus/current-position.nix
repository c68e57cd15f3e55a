let a = __curPos; in
{ inherit (a) line column; b = __curPos.line; f = baseNameOf a.file; }
