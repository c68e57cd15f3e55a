let
  x = 1;
  f = y: let z = x + y; in { inherit x y z; g = x: x + z; };
  r = f 10;
in
[ r.x r.y r.z (r.g 100) (let x = 50; in (f x).z) ((x: (x: x) (x + 1)) 1) ]
