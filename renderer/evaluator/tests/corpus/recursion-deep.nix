let
  count = n: if n == 0 then 0 else 1 + count (n - 1);
  loop = n: acc: if n == 0 then acc else loop (n - 1) (acc + n);
  even = n: if n == 0 then true else odd (n - 1);
  odd = n: if n == 0 then false else even (n - 1);
in
[ (count 2000) (loop 2000 0) (even 1001) ]
