map builtins.parseDrvName [ "hello-1.2.3" "hello" "a-b-1" "a-b" "x-1-2" "" "-1" "nix-0.12pre12876" "foo-x86_64-1" "foo-" "foo--1" "a-1.0/b" ]
