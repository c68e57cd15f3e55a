let text = builtins.toFile "note.txt" "hello\n"; in
[
  text (builtins.getContext text) (baseNameOf "${./fixtures/text}") (builtins.getContext "${./fixtures/text}")
]
