builtins.match "[a-c-e]" "1"
