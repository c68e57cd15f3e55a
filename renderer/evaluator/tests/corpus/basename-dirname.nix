[
  (baseNameOf "/a/b") (baseNameOf "/a/b/") (baseNameOf "/") (baseNameOf "") (baseNameOf "a") (baseNameOf "a//")
  (baseNameOf { outPath = "/x/y"; })
  (dirOf "/a/b") (dirOf "/a/b/") (dirOf "/a") (dirOf "/") (dirOf "") (dirOf "a") (dirOf "a/b") (dirOf "a//b") (dirOf /a) (dirOf /.)
]
