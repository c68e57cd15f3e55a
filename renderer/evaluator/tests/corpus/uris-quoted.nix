[ "http://example.org/a?b=c#d" "x:y" (x: y: 1) (x:[x]) ]
