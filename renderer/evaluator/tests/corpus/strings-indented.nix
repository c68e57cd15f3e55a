[
  ''a'' '''' ''
    one
      two
    three
  '' ''
    ''${x} ''$ $${y} ''' ''\n''\t''\r''\\ ''\x
  '' ''   lead'' ''
	tab
    four
  '' ''

    after blank

    end'' ''
    ${"x"}
      y ${"z"}
  ''
  ''${"a"}
  b''
  ''
    a
   	  b
  ''
]
