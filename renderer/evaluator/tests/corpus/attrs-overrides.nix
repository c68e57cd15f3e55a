# __overrides in a rec set replaces what other attributes see.
rec { a = 1; b = a; __overrides = { a = 2; c = 3; }; }
