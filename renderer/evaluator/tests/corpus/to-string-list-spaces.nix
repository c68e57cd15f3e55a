# A space follows element n unless it is the last or itself an empty list.
map toString [
  [ "a" [ ] ] [ "a" [ ] "b" ] [ [ ] "a" ] [ [ [ ] ] "b" ] [ [ ] ] [ [ ] [ ] ] [ "" "" ] [ "a" "" "b" ] [ "a" null "b" ] [ null ] [ null null ]
  [ [ "a" ] [ "b" [ ] ] "c" ] [ [ [ ] [ ] ] [ ] "z" ] [ "a" [ "" ] ] [ false "x" ] [ 1 2.5 true ]
]
