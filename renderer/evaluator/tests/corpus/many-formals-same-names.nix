let f = { a ? 1, b ? a * 2, c ? b * 2, d ? c * 2 }: [ a b c d ]; in [ (f { }) (f { b = 10; }) (f { a = 5; c = 0; }) ]
