let
  fix = f: let x = f x; in x;
  extends = overlay: f: final: let prev = f final; in prev // overlay final prev;
  base = self: { a = 1; b = self.a + 1; c = self.b + 1; };
in
[ (fix base) (fix (extends (final: prev: { a = 10; c = prev.c * 2; }) base)) ]
