map (value: (builtins.fromTOML "a = ${value}").a) [
  "0x7FFFFFFFFFFFFFFF" "0o777" "0b101" "-9223372036854775808" "+1_000" "-0"
  "1e5" "-0.0" "1_0.2_5e+1_0" "inf" "-inf" "nan"
  "\"\"\"\na\\\n   b\"\"\"" "'''a'b''c'''" "\"\"\"\"a\"\"\"\"" "\"\\u00e9\\U0001F600\\t\"" "''" "true"
]
