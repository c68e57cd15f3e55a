/* block
   * comment */ [ # line
  1 /* inline */ 2 /**/ 3 # end
  /* ** */ 4 /***/ 5 /** doc */ (x: x)
]
