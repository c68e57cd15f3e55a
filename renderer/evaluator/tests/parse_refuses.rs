//! What the parser says of files that Nix refuses: message and place of Nix 2.34.

use nix_evaluator::parser::{ParseOptions, parse, parse_with};

/// `LINE:COLUMN: MESSAGE`
fn refusal(source: &[u8]) -> String {
    let place = |offset: u32| {
        let before = &source[..offset as usize];
        let lines: Vec<&[u8]> = before.split(|&byte| byte == b'\n').collect();
        let (line, column) = (lines.len(), lines[lines.len() - 1].len() + 1);
        format!("{line}:{column}")
    };
    match parse(source) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => {
            assert!(error.start <= error.end && error.end as usize <= source.len());
            let message = error.message_with(|offset| format!("file.nix:{}", place(offset)));
            format!("{}: {message}", place(error.start))
        }
    }
}

fn refuses(cases: &[(&str, &str)]) {
    for (source, expected) in cases {
        let refusal = refusal(source.as_bytes());
        assert_eq!(&refusal, expected, "of {source:?}");
    }
}

#[test]
fn a_byte_that_is_no_text_is_an_invalid_token() {
    assert_eq!(
        refusal(b"1 \xff"),
        "1:3: syntax error, unexpected invalid token, expecting end of file"
    );
    assert_eq!(refusal(b"# \xff\n\"\xfe\""), "accepted");
}

#[test]
fn pipes_parse_when_they_are_enabled() {
    let enabled = ParseOptions {
        pipe_operators: true,
    };
    assert!(parse_with(b"a |> b |> c", enabled).is_ok());
    let mixed = parse_with(b"a |> b <| c", enabled)
        .map(|_| ())
        .map_err(|error| error.message);
    assert_eq!(
        mixed,
        Err("syntax error, unexpected '<|', expecting end of file".to_owned())
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_stands_in_the_wrong_place_is_named_with_what_was_expected() {
    refuses(&[
        ("", "1:1: syntax error, unexpected end of file"),
        (" ", "1:2: syntax error, unexpected end of file"),
        ("(", "1:2: syntax error, unexpected end of file"),
        (
            "(1",
            "1:3: syntax error, unexpected end of file, expecting ')'",
        ),
        ("( # c\n", "2:1: syntax error, unexpected end of file"),
        (
            "1 )",
            "1:3: syntax error, unexpected ')', expecting end of file",
        ),
        (
            "1 2 )",
            "1:5: syntax error, unexpected ')', expecting end of file",
        ),
        ("[", "1:2: syntax error, unexpected end of file"),
        ("[ 1", "1:4: syntax error, unexpected end of file"),
        ("[ 1 + 2 ]", "1:5: syntax error, unexpected '+'"),
        ("[ x: x ]", "1:4: syntax error, unexpected ':'"),
        (
            "{",
            "1:2: syntax error, unexpected end of file, expecting 'inherit'",
        ),
        (
            "{ a",
            "1:4: syntax error, unexpected end of file, expecting '.' or '='",
        ),
        (
            "{ a.",
            "1:5: syntax error, unexpected end of file, expecting identifier or 'or' or '${' or '\"'",
        ),
        (
            "{ a.b",
            "1:6: syntax error, unexpected end of file, expecting '.' or '='",
        ),
        ("{ a =", "1:6: syntax error, unexpected end of file"),
        (
            "{ a = 1",
            "1:8: syntax error, unexpected end of file, expecting ';'",
        ),
        (
            "{ a = 1;",
            "1:9: syntax error, unexpected end of file, expecting 'inherit'",
        ),
        (
            "{ a = 1; b",
            "1:11: syntax error, unexpected end of file, expecting '.' or '='",
        ),
        (
            "{ 1 = 2; }",
            "1:3: syntax error, unexpected integer, expecting 'inherit'",
        ),
        (
            "{ a = 1; 2 }",
            "1:10: syntax error, unexpected integer, expecting 'inherit'",
        ),
        (
            "{ a } ",
            "1:7: syntax error, unexpected end of file, expecting ':' or '@'",
        ),
        (
            "{ a, ",
            "1:6: syntax error, unexpected end of file, expecting identifier or '...' or '}'",
        ),
        (
            "{ a,, b }: a",
            "1:5: syntax error, unexpected ',', expecting identifier or '...' or '}'",
        ),
        (
            "{ a b }: a",
            "1:5: syntax error, unexpected identifier, expecting '.' or '='",
        ),
        ("{ a ? }: a", "1:7: syntax error, unexpected '}'"),
        (
            "{ a ? 1",
            "1:8: syntax error, unexpected end of file, expecting '}' or ','",
        ),
        (
            "{ ..., a }: a",
            "1:6: syntax error, unexpected ',', expecting '}'",
        ),
        (
            "{ ... ",
            "1:7: syntax error, unexpected end of file, expecting '}'",
        ),
        (
            "{ a, ... , b }: 1",
            "1:10: syntax error, unexpected ',', expecting '}'",
        ),
        (
            "{ a }@",
            "1:7: syntax error, unexpected end of file, expecting identifier",
        ),
        (
            "{ a }@1",
            "1:7: syntax error, unexpected integer, expecting identifier",
        ),
        (
            "{ a }@b",
            "1:8: syntax error, unexpected end of file, expecting ':'",
        ),
        (
            "{ a }@b c",
            "1:9: syntax error, unexpected identifier, expecting ':'",
        ),
        (
            "x@",
            "1:3: syntax error, unexpected end of file, expecting '{'",
        ),
        (
            "x@y",
            "1:3: syntax error, unexpected identifier, expecting '{'",
        ),
        (
            "x@{",
            "1:4: syntax error, unexpected end of file, expecting identifier or '...' or '}'",
        ),
        (
            "x@{ \"a\" }: 1",
            "1:5: syntax error, unexpected '\"', expecting identifier or '...' or '}'",
        ),
        (
            "x@{ a = 1; }",
            "1:7: syntax error, unexpected '=', expecting '}' or ','",
        ),
        (
            "x@{ a }",
            "1:8: syntax error, unexpected end of file, expecting ':'",
        ),
        (
            "x@{ a } 1",
            "1:9: syntax error, unexpected integer, expecting ':'",
        ),
        (
            "x@{ } @y: 1",
            "1:7: syntax error, unexpected '@', expecting ':'",
        ),
        (
            "{ \"a\" }: 1",
            "1:7: syntax error, unexpected '}', expecting '.' or '='",
        ),
        (
            "{ a, \"b\" }: 1",
            "1:6: syntax error, unexpected '\"', expecting identifier or '...' or '}'",
        ),
        (
            "{ or }: or",
            "1:6: syntax error, unexpected '}', expecting '.' or '='",
        ),
        (
            "{ a, or }: 1",
            "1:6: syntax error, unexpected 'or', expecting identifier or '...' or '}'",
        ),
        (
            "{ } { }: 1",
            "1:8: syntax error, unexpected ':', expecting end of file",
        ),
        (
            "{ a = 1; }: 1",
            "1:11: syntax error, unexpected ':', expecting end of file",
        ),
        (
            "f { a }: 1",
            "1:7: syntax error, unexpected '}', expecting '.' or '='",
        ),
        (
            "f { a, b }",
            "1:6: syntax error, unexpected ',', expecting '.' or '='",
        ),
        (
            "1 + { a ? 1 }",
            "1:9: syntax error, unexpected '?', expecting '.' or '='",
        ),
        (
            "f x: x",
            "1:4: syntax error, unexpected ':', expecting end of file",
        ),
        (
            "1 + x: x",
            "1:6: syntax error, unexpected ':', expecting end of file",
        ),
        (
            "rec",
            "1:4: syntax error, unexpected end of file, expecting '{'",
        ),
        (
            "rec 1",
            "1:5: syntax error, unexpected integer, expecting '{'",
        ),
        (
            "rec { 1 }",
            "1:7: syntax error, unexpected integer, expecting 'inherit' or '}'",
        ),
        (
            "rec { a = 1; 1 }",
            "1:14: syntax error, unexpected integer, expecting 'inherit' or '}'",
        ),
        (
            "let",
            "1:4: syntax error, unexpected end of file, expecting 'in' or 'inherit'",
        ),
        (
            "let a = 1;",
            "1:11: syntax error, unexpected end of file, expecting 'in' or 'inherit'",
        ),
        (
            "let a = 1; }",
            "1:12: syntax error, unexpected '}', expecting 'in' or 'inherit'",
        ),
        (
            "let 1 in 1",
            "1:5: syntax error, unexpected integer, expecting 'in' or 'inherit'",
        ),
        (
            "let a = 1 in a",
            "1:11: syntax error, unexpected 'in', expecting ';'",
        ),
        (
            "let { 1 }",
            "1:7: syntax error, unexpected integer, expecting 'inherit' or '}'",
        ),
        (
            "let { a = 1; in a",
            "1:14: syntax error, unexpected 'in', expecting 'inherit' or '}'",
        ),
        (
            "f let a = 1; in a",
            "1:7: syntax error, unexpected identifier, expecting '{'",
        ),
        (
            "1 + let a = 1; in a",
            "1:9: syntax error, unexpected identifier, expecting '{'",
        ),
        ("if", "1:3: syntax error, unexpected end of file"),
        (
            "if 1",
            "1:5: syntax error, unexpected end of file, expecting 'then'",
        ),
        ("if 1 then", "1:10: syntax error, unexpected end of file"),
        (
            "if 1 then 2",
            "1:12: syntax error, unexpected end of file, expecting 'else'",
        ),
        (
            "if 1 then 2 else",
            "1:17: syntax error, unexpected end of file",
        ),
        (
            "1 + if 1 then 2 else 3",
            "1:5: syntax error, unexpected 'if'",
        ),
        (
            "[ if 1 then 2 else 3 ]",
            "1:3: syntax error, unexpected 'if'",
        ),
        ("assert", "1:7: syntax error, unexpected end of file"),
        (
            "assert 1",
            "1:9: syntax error, unexpected end of file, expecting ';'",
        ),
        (
            "assert 1 2",
            "1:11: syntax error, unexpected end of file, expecting ';'",
        ),
        ("assert 1;", "1:10: syntax error, unexpected end of file"),
        ("with", "1:5: syntax error, unexpected end of file"),
        (
            "with 1",
            "1:7: syntax error, unexpected end of file, expecting ';'",
        ),
        ("with 1;", "1:8: syntax error, unexpected end of file"),
        ("1 + with 1; 2", "1:5: syntax error, unexpected 'with'"),
        ("inherit", "1:1: syntax error, unexpected 'inherit'"),
        ("{ inherit", "1:10: syntax error, unexpected end of file"),
        ("{ inherit a", "1:12: syntax error, unexpected end of file"),
        ("{ inherit 1; }", "1:11: syntax error, unexpected integer"),
        ("{ inherit a.b; }", "1:12: syntax error, unexpected '.'"),
        (
            "{ inherit (a; }",
            "1:13: syntax error, unexpected ';', expecting ')'",
        ),
        (
            "{ inherit (a) 1; }",
            "1:15: syntax error, unexpected integer",
        ),
        (
            "{ inherit (a)",
            "1:14: syntax error, unexpected end of file",
        ),
        ("{ inherit (a) (b); }", "1:15: syntax error, unexpected '('"),
        (
            "a.",
            "1:3: syntax error, unexpected end of file, expecting identifier or 'or' or '${' or '\"'",
        ),
        (
            "a.(b)",
            "1:3: syntax error, unexpected '(', expecting identifier or 'or' or '${' or '\"'",
        ),
        (
            "a.b.",
            "1:5: syntax error, unexpected end of file, expecting identifier or 'or' or '${' or '\"'",
        ),
        (
            "a ?",
            "1:4: syntax error, unexpected end of file, expecting identifier or 'or' or '${' or '\"'",
        ),
        (
            "a ? 1",
            "1:5: syntax error, unexpected integer, expecting identifier or 'or' or '${' or '\"'",
        ),
        (
            "a ? b.",
            "1:7: syntax error, unexpected end of file, expecting identifier or 'or' or '${' or '\"'",
        ),
        ("a.b or", "1:7: syntax error, unexpected end of file"),
        (
            "a.b or if 1 then 2 else 3",
            "1:8: syntax error, unexpected 'if'",
        ),
        (
            "a.b or x: x",
            "1:9: syntax error, unexpected ':', expecting end of file",
        ),
        (
            "a or.b",
            "1:5: syntax error, unexpected '.', expecting end of file",
        ),
        ("a: ", "1:4: syntax error, unexpected end of file"),
        ("a: b:", "1:6: syntax error, unexpected end of file"),
        ("-", "1:2: syntax error, unexpected end of file"),
        ("!", "1:2: syntax error, unexpected end of file"),
        ("- - ", "1:5: syntax error, unexpected end of file"),
        ("1 +", "1:4: syntax error, unexpected end of file"),
        ("1 ++", "1:5: syntax error, unexpected end of file"),
        ("+ 1", "1:1: syntax error, unexpected '+'"),
        ("* 1", "1:1: syntax error, unexpected '*'"),
        ("? a", "1:1: syntax error, unexpected '?'"),
        ("1 == 2 == 3", "1:8: syntax error, unexpected '=='"),
        ("1 == 2 != 3", "1:8: syntax error, unexpected '!='"),
        ("1 < 2 < 3", "1:7: syntax error, unexpected '<'"),
        ("1 < 2 >= 3", "1:7: syntax error, unexpected '>='"),
        ("!1 == 2 == 3", "1:9: syntax error, unexpected '=='"),
        ("1 + 2 == 3 + 4 == 5", "1:16: syntax error, unexpected '=='"),
        (
            "1 = 2",
            "1:3: syntax error, unexpected '=', expecting end of file",
        ),
        (
            "a = 1",
            "1:3: syntax error, unexpected '=', expecting end of file",
        ),
        (
            "a;",
            "1:2: syntax error, unexpected ';', expecting end of file",
        ),
        (
            "a,",
            "1:2: syntax error, unexpected ',', expecting end of file",
        ),
        (
            "a:b :c",
            "1:5: syntax error, unexpected ':', expecting end of file",
        ),
        (
            "1 : 2",
            "1:3: syntax error, unexpected ':', expecting end of file",
        ),
        (
            "a @ b",
            "1:5: syntax error, unexpected identifier, expecting '{'",
        ),
        ("...", "1:1: syntax error, unexpected '...'"),
        ("..", "1:1: syntax error, unexpected '.'"),
        (". a", "1:1: syntax error, unexpected '.'"),
        (
            "a . . b",
            "1:5: syntax error, unexpected '.', expecting identifier or 'or' or '${' or '\"'",
        ),
        ("&", "1:1: syntax error, unexpected invalid token"),
        ("|", "1:1: syntax error, unexpected invalid token"),
        (
            "1 & 2",
            "1:3: syntax error, unexpected invalid token, expecting end of file",
        ),
        (
            "1 | 2",
            "1:3: syntax error, unexpected invalid token, expecting end of file",
        ),
        ("$", "1:1: syntax error, unexpected invalid token"),
        ("$a", "1:1: syntax error, unexpected invalid token"),
        (
            "a $ b",
            "1:3: syntax error, unexpected invalid token, expecting end of file",
        ),
        ("${a}", "1:1: syntax error, unexpected '${'"),
        ("%", "1:1: syntax error, unexpected invalid token"),
        ("\\", "1:1: syntax error, unexpected invalid token"),
        ("^", "1:1: syntax error, unexpected invalid token"),
        ("`a`", "1:1: syntax error, unexpected invalid token"),
        ("~", "1:1: syntax error, unexpected invalid token"),
        ("~a", "1:1: syntax error, unexpected invalid token"),
        ("~/", "1:1: syntax error, unexpected invalid token"),
        (
            "a ~ b",
            "1:3: syntax error, unexpected invalid token, expecting end of file",
        ),
        ("'", "1:1: syntax error, unexpected invalid token"),
        ("'a'", "1:1: syntax error, unexpected invalid token"),
        ("\u{b}", "1:1: syntax error, unexpected invalid token"),
        ("\u{a0}", "1:1: syntax error, unexpected invalid token"),
        ("\u{feff}1", "1:1: syntax error, unexpected invalid token"),
        (
            "1 é",
            "1:3: syntax error, unexpected invalid token, expecting end of file",
        ),
        (
            "{ a.é = 1; }",
            "1:5: syntax error, unexpected invalid token, expecting identifier or 'or' or '${' or '\"'",
        ),
        ("then", "1:1: syntax error, unexpected 'then'"),
        ("else", "1:1: syntax error, unexpected 'else'"),
        ("in", "1:1: syntax error, unexpected 'in'"),
        (
            "a then",
            "1:3: syntax error, unexpected 'then', expecting end of file",
        ),
        (
            "a in b",
            "1:3: syntax error, unexpected 'in', expecting end of file",
        ),
        (
            "\"",
            "1:2: syntax error, unexpected end of file, expecting '\"'",
        ),
        (
            "\"a",
            "1:3: syntax error, unexpected end of file, expecting '\"'",
        ),
        ("\"a${", "1:5: syntax error, unexpected end of file"),
        (
            "\"a${b",
            "1:6: syntax error, unexpected end of file, expecting '}'",
        ),
        (
            "\"a${b c",
            "1:8: syntax error, unexpected end of file, expecting '}'",
        ),
        ("\"a${}\"", "1:5: syntax error, unexpected '}'"),
        (
            "\"a${b}",
            "1:7: syntax error, unexpected end of file, expecting '\"'",
        ),
        (
            "\"a\\",
            "1:4: syntax error, unexpected end of file, expecting '\"'",
        ),
        (
            "\"a$",
            "1:4: syntax error, unexpected end of file, expecting '\"'",
        ),
        (
            "\"a$\\",
            "1:5: syntax error, unexpected end of file, expecting '\"'",
        ),
        (
            "{ \"a",
            "1:5: syntax error, unexpected end of file, expecting '\"'",
        ),
        (
            "{ \"a${b}",
            "1:9: syntax error, unexpected end of file, expecting '\"'",
        ),
        (
            "''",
            "1:3: syntax error, unexpected end of file, expecting indented string or '${' or end of an indented string",
        ),
        (
            "''a",
            "1:4: syntax error, unexpected end of file, expecting indented string or '${' or end of an indented string",
        ),
        (
            "''a'",
            "1:5: syntax error, unexpected end of file, expecting indented string or '${' or end of an indented string",
        ),
        (
            "''a$",
            "1:5: syntax error, unexpected end of file, expecting indented string or '${' or end of an indented string",
        ),
        ("''${", "1:5: syntax error, unexpected end of file"),
        (
            "''${a",
            "1:6: syntax error, unexpected end of file, expecting '}'",
        ),
        (
            "''${a}",
            "1:7: syntax error, unexpected end of file, expecting indented string or '${' or end of an indented string",
        ),
        ("''${}''", "1:5: syntax error, unexpected '}'"),
        (
            "''''\\",
            "1:5: syntax error, unexpected invalid token, expecting end of file",
        ),
        ("./a${", "1:6: syntax error, unexpected end of file"),
        (
            "./a${b",
            "1:7: syntax error, unexpected end of file, expecting '}'",
        ),
        ("./a${}", "1:6: syntax error, unexpected '}'"),
        (
            "./a//b",
            "1:1: syntax error, unexpected end of path, expecting '${'",
        ),
        (
            "./a//b ",
            "1:5: syntax error, unexpected end of path, expecting '${'",
        ),
        (
            "x: ./a///${x}",
            "1:9: syntax error, unexpected string, expecting '${'",
        ),
        (
            "( ./a",
            "1:3: syntax error, unexpected end of file, expecting ')'",
        ),
        (
            "( ./a ",
            "1:7: syntax error, unexpected end of file, expecting ')'",
        ),
        (
            "( ./a${b}",
            "1:9: syntax error, unexpected end of file, expecting ')'",
        ),
        (
            "( <a>",
            "1:6: syntax error, unexpected end of file, expecting ')'",
        ),
        ("<a", "1:1: syntax error, unexpected '<'"),
        ("<a/>", "1:1: syntax error, unexpected '<'"),
        ("<>", "1:1: syntax error, unexpected '<'"),
        ("< a>", "1:1: syntax error, unexpected '<'"),
        ("1 /* c", "1:4: syntax error, unexpected '*'"),
        ("/* c", "1:1: syntax error, unexpected '/'"),
        ("/*/", "1:1: syntax error, unexpected '/'"),
        ("x: <a b>", "1:4: syntax error, unexpected '<'"),
        (
            "a.b.c.if",
            "1:7: syntax error, unexpected 'if', expecting identifier or 'or' or '${' or '\"'",
        ),
        (
            "{ a.if = 1; }",
            "1:5: syntax error, unexpected 'if', expecting identifier or 'or' or '${' or '\"'",
        ),
        (
            "{ if = 1; }",
            "1:3: syntax error, unexpected 'if', expecting 'inherit'",
        ),
        ("{ inherit if; }", "1:11: syntax error, unexpected 'if'"),
        (
            "{ let = 1; }",
            "1:3: syntax error, unexpected 'let', expecting 'inherit'",
        ),
        ("let in", "1:7: syntax error, unexpected end of file"),
        ("let in in", "1:8: syntax error, unexpected 'in'"),
        (
            "rec { in = 1; }",
            "1:7: syntax error, unexpected 'in', expecting 'inherit' or '}'",
        ),
        (
            "let or",
            "1:7: syntax error, unexpected end of file, expecting '.' or '='",
        ),
        (
            "{ a.b, c }: 1",
            "1:6: syntax error, unexpected ',', expecting '.' or '='",
        ),
        (
            "{ a = 1, b = 2 }",
            "1:8: syntax error, unexpected ',', expecting ';'",
        ),
        (
            "{ a: 1 }",
            "1:4: syntax error, unexpected ':', expecting '.' or '='",
        ),
        ("[ a, b ]", "1:4: syntax error, unexpected ','"),
        (
            "f(1, 2)",
            "1:4: syntax error, unexpected ',', expecting ')'",
        ),
        (
            "{}}",
            "1:3: syntax error, unexpected '}', expecting end of file",
        ),
        (
            "a]",
            "1:2: syntax error, unexpected ']', expecting end of file",
        ),
        ("(a]", "1:3: syntax error, unexpected ']', expecting ')'"),
        ("\u{0}", "1:2: syntax error, unexpected end of file"),
        ("(\u{0} 1)", "1:3: syntax error, unexpected end of file"),
        (
            "{ a = 1; inherit a b",
            "1:21: syntax error, unexpected end of file",
        ),
        (
            "{ ${a",
            "1:6: syntax error, unexpected end of file, expecting '}'",
        ),
        (
            "{ ${a}",
            "1:7: syntax error, unexpected end of file, expecting '.' or '='",
        ),
        (
            "{ ${a} }",
            "1:8: syntax error, unexpected '}', expecting '.' or '='",
        ),
        (
            "{ \"a\" }",
            "1:7: syntax error, unexpected '}', expecting '.' or '='",
        ),
        (
            "{ or",
            "1:5: syntax error, unexpected end of file, expecting '.' or '='",
        ),
        (
            "let inherit (a",
            "1:15: syntax error, unexpected end of file, expecting ')'",
        ),
        (
            "if a then b; else c",
            "1:12: syntax error, unexpected ';', expecting 'else'",
        ),
        ("a -> -> b", "1:6: syntax error, unexpected '->'"),
        ("a // ", "1:6: syntax error, unexpected end of file"),
        (
            "a ? b or c",
            "1:7: syntax error, unexpected 'or', expecting end of file",
        ),
        ("(a.b or)", "1:8: syntax error, unexpected ')'"),
        ("[ a.b or ]", "1:10: syntax error, unexpected ']'"),
        ("{ a = b.c or ; }", "1:14: syntax error, unexpected ';'"),
        ("a.b or + 1", "1:8: syntax error, unexpected '+'"),
        ("{ a, b ? }: a", "1:10: syntax error, unexpected '}'"),
    ]);
}

#[test]
fn literals_without_a_value_are_refused() {
    refuses(&[
        (
            "9223372036854775808",
            "1:1: invalid integer '9223372036854775808'",
        ),
        (
            "99999999999999999999999",
            "1:1: invalid integer '99999999999999999999999'",
        ),
        ("1.0e400", "1:1: invalid float '1.0e400'"),
        ("1.0e-400", "1:1: invalid float '1.0e-400'"),
        ("4.9e-324", "1:1: invalid float '4.9e-324'"),
        (".5e999", "1:1: invalid float '.5e999'"),
        (
            "[ 1 9223372036854775808 )",
            "1:5: invalid integer '9223372036854775808'",
        ),
        ("./a/", "1:1: path has a trailing slash"),
        ("./a/ ", "1:5: path has a trailing slash"),
        ("/a/b/", "1:1: path has a trailing slash"),
        ("( ./a/)", "1:7: path has a trailing slash"),
        ("~/a/", "1:1: path has a trailing slash"),
        ("x: ./a/${x}/", "1:12: path has a trailing slash"),
        ("x: ./a/${x}/ 1", "1:13: path has a trailing slash"),
        ("x: ./${x}//", "1:11: path has a trailing slash"),
        ("x: ./a//", "1:8: path has a trailing slash"),
        (
            "\"a\u{0}b\"",
            "1:2: input string 'a␀b' cannot be represented as Nix string because it contains null bytes",
        ),
        (
            "\"\\n\u{0}\"",
            "1:2: input string '\n␀' cannot be represented as Nix string because it contains null bytes",
        ),
        (
            "''a\u{0}b''",
            "1:3: input string 'a␀b' cannot be represented as Nix string because it contains null bytes",
        ),
        (
            "{ \"a\u{0}\" = 1; }",
            "1:4: input string 'a␀' cannot be represented as Nix string because it contains null bytes",
        ),
        ("1 + 1.0e999 +", "1:5: invalid float '1.0e999'"),
        (
            "x: \"${x}\u{0}\"",
            "1:9: input string '␀' cannot be represented as Nix string because it contains null bytes",
        ),
    ]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn an_attribute_defined_twice_is_refused() {
    refuses(&[
        (
            "{ a = 1; a = 2; }",
            "1:10: attribute 'a' already defined at file.nix:1:3",
        ),
        (
            "{ a = 1; \"a\" = 2; }",
            "1:10: attribute 'a' already defined at file.nix:1:3",
        ),
        (
            "{ a = 1; ${\"a\"} = 2; }",
            "1:10: attribute 'a' already defined at file.nix:1:3",
        ),
        (
            "{ a.b = 1; a.b = 2; }",
            "1:12: attribute 'a.b' already defined at file.nix:1:3",
        ),
        (
            "{ a = 1; a.b = 2; }",
            "1:10: attribute 'a' already defined at file.nix:1:3",
        ),
        (
            "{ a.b = 1; a = 2; }",
            "1:12: attribute 'a' already defined at file.nix:1:3",
        ),
        (
            "{ a.b.c = 1; a.b = 2; }",
            "1:14: attribute 'a.b' already defined at file.nix:1:3",
        ),
        (
            "{ a.b = 1; a.b.c = 2; }",
            "1:12: attribute 'a.b' already defined at file.nix:1:3",
        ),
        (
            "{ a = { b = 1; }; a.b = 2; }",
            "1:19: attribute 'a.b' already defined at file.nix:1:9",
        ),
        (
            "{ a.b = 1; a = { b = 2; }; }",
            "1:18: attribute 'a.b' already defined at file.nix:1:3",
        ),
        (
            "{ a = { b = 1; }; a = { b = 2; }; }",
            "1:25: attribute 'a.b' already defined at file.nix:1:9",
        ),
        (
            "{ a.b.c = 1; a = { b = { c = 2; }; }; }",
            "1:26: attribute 'a.b.c' already defined at file.nix:1:3",
        ),
        (
            "{ a = { b.c = 1; }; a = { b.c = 2; }; }",
            "1:27: attribute 'a.b.c' already defined at file.nix:1:9",
        ),
        (
            "{ a = { b = 1; c = 1; }; a = { c = 2; b = 2; }; }",
            "1:39: attribute 'a.b' already defined at file.nix:1:9",
        ),
        (
            "{ inherit a a; }",
            "1:13: attribute 'a' already defined at file.nix:1:11",
        ),
        (
            "{ inherit a; a = 1; }",
            "1:14: attribute 'a' already defined at file.nix:1:11",
        ),
        (
            "{ a = 1; inherit a; }",
            "1:18: attribute 'a' already defined at file.nix:1:3",
        ),
        (
            "{ a = 1; inherit (x) a; }",
            "1:22: attribute 'a' already defined at file.nix:1:3",
        ),
        (
            "{ inherit (x) a; a.b = 1; }",
            "1:18: attribute 'a' already defined at file.nix:1:15",
        ),
        (
            "{ inherit a; inherit (x) a; }",
            "1:26: attribute 'a' already defined at file.nix:1:11",
        ),
        (
            "let a = 1; a = 2; in a",
            "1:12: attribute 'a' already defined at file.nix:1:5",
        ),
        (
            "let a = 1; inherit a; in a",
            "1:20: attribute 'a' already defined at file.nix:1:5",
        ),
        (
            "let { a = 1; a = 2; }",
            "1:14: attribute 'a' already defined at file.nix:1:7",
        ),
        (
            "rec { a = 1; a = 2; }",
            "1:14: attribute 'a' already defined at file.nix:1:7",
        ),
        (
            "{ a = let { }; a.b = 1; }",
            "1:16: attribute 'a' already defined at file.nix:1:3",
        ),
        (
            "{ a = { }; a = let { }; }",
            "1:12: attribute 'a' already defined at file.nix:1:3",
        ),
        (
            "{ a = x: x; a = { }; }",
            "1:13: attribute 'a' already defined at file.nix:1:3",
        ),
        (
            "{ \"a b\" = 1; \"a b\" = 2; }",
            "1:14: attribute '\"a b\"' already defined at file.nix:1:3",
        ),
        (
            "{ x.\"if\".\"a b\" = 1; x.\"if\".\"a b\" = 2; }",
            "1:21: attribute 'x.\"if\".\"a b\"' already defined at file.nix:1:3",
        ),
        (
            "{ a = 1; a = 2; )",
            "1:10: attribute 'a' already defined at file.nix:1:3",
        ),
        (
            "{ \"\" = 1; \"\" = 2; }",
            "1:11: attribute '\"\"' already defined at file.nix:1:3",
        ),
        (
            "{ a.${x} = 1; a.b = 1; a.b = 2; }",
            "1:24: attribute 'a.b' already defined at file.nix:1:15",
        ),
        (
            "{ a = { b = { c = 1; }; }; a = { b.c = 2; }; }",
            "1:34: attribute 'a.b.c' already defined at file.nix:1:15",
        ),
        (
            "{ or = 1; or = 2; }",
            "1:11: attribute 'or' already defined at file.nix:1:3",
        ),
        (
            "{ a1 = 1; a2 = 2; a3 = 3; a4 = 4; a5 = 5; a6 = 6; a7 = 7; a8 = 8; a9 = 9; b1 = 1; b2 = 2; b3 = 3; b4 = 4; b5 = 5; b6 = 6; b7 = 7; b8 = 8; b9 = 9; a3 = 1; }",
            "1:147: attribute 'a3' already defined at file.nix:1:19",
        ),
    ]);
}

#[test]
fn a_parameter_named_twice_is_refused() {
    refuses(&[
        ("{ a, a }: 1", "1:6: duplicate formal function argument 'a'"),
        (
            "{ a, b, b, a }: 1",
            "1:12: duplicate formal function argument 'a'",
        ),
        (
            "{ a, a, a }: 1",
            "1:6: duplicate formal function argument 'a'",
        ),
        (
            "{ a ? 1, a ? 2 }: 1",
            "1:10: duplicate formal function argument 'a'",
        ),
        ("{ a }@a: 1", "1:1: duplicate formal function argument 'a'"),
        ("a@{ a }: 1", "1:1: duplicate formal function argument 'a'"),
        (
            "a@{ b, a }: 1",
            "1:1: duplicate formal function argument 'a'",
        ),
        (
            "{ a, a }@a: 1",
            "1:6: duplicate formal function argument 'a'",
        ),
        ("{ a, a }: )", "1:11: syntax error, unexpected ')'"),
        (
            "{ a, a }: { b, b }: 1",
            "1:16: duplicate formal function argument 'b'",
        ),
        (
            "{ b ? { a, a }: 1, b }: 1",
            "1:12: duplicate formal function argument 'a'",
        ),
        (
            "{ a }@b: { b }@b: 1",
            "1:10: duplicate formal function argument 'b'",
        ),
    ]);
}

#[test]
fn names_that_must_be_known_may_not_be_interpolated() {
    refuses(&[
        (
            "let ${a} = 1; in 1",
            "1:1: dynamic attributes not allowed in let",
        ),
        (
            "let \"${a}\" = 1; in 1",
            "1:1: dynamic attributes not allowed in let",
        ),
        (
            "let ${a}.b = 1; in 1",
            "1:1: dynamic attributes not allowed in let",
        ),
        (
            "{ inherit ${a}; }",
            "1:11: dynamic attributes not allowed in inherit",
        ),
        (
            "{ inherit \"${a}\"; }",
            "1:11: dynamic attributes not allowed in inherit",
        ),
        (
            "{ inherit (a) ${a}; }",
            "1:15: dynamic attributes not allowed in inherit",
        ),
        (
            "{ inherit a ${a} b; }",
            "1:13: dynamic attributes not allowed in inherit",
        ),
        ("let ${a} = 1; in )", "1:18: syntax error, unexpected ')'"),
        (
            "let a = let ${a} = 1; in 1; in 1",
            "1:9: dynamic attributes not allowed in let",
        ),
        (
            "let inherit ${a}; in 1",
            "1:13: dynamic attributes not allowed in inherit",
        ),
    ]);
}

#[test]
fn pipes_are_an_experimental_feature() {
    refuses(&[
        (
            "a |> b",
            "1:3: experimental Nix feature 'pipe-operators' is disabled; add '--extra-experimental-features pipe-operators' to enable it",
        ),
        (
            "a <| b",
            "1:3: experimental Nix feature 'pipe-operators' is disabled; add '--extra-experimental-features pipe-operators' to enable it",
        ),
        (
            "1 + |> 2",
            "1:5: experimental Nix feature 'pipe-operators' is disabled; add '--extra-experimental-features pipe-operators' to enable it",
        ),
        (
            "[ |> ]",
            "1:3: experimental Nix feature 'pipe-operators' is disabled; add '--extra-experimental-features pipe-operators' to enable it",
        ),
    ]);
}
