# Which lists are the same one: a variable whose value is in its place already is shared, another one waits.
{
  after = rec { b = null; null = [ null true ]; };
  later = rec { zz = null; null = [ null true ]; };
  own = rec { b = n; n = [ n true ]; };
  let-after = let b = map; map = [ map 1 ]; in [ b map ];
  let-own = let b = n; n = [ n 1 ]; in [ b n ];
  default = ({ a ? null, null ? [ null 1 ], b ? n, n ? [ n 1 ] }: [ a null b n ]) { };
  inherited = let s = { x = [ s.x 1 ]; }; in rec { inherit (s) x; y = x; };
}
