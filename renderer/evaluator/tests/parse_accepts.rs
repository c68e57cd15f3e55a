//! What the parser makes of files that Nix accepts, printed as `nix-instantiate --parse` of Nix 2.34 prints it.

use nix_evaluator::ast::RemarkKind;
use nix_evaluator::ast_print::{PathContext, print};
use nix_evaluator::parser::{or_warning, parse};

fn prints(cases: &[(&str, &str)]) {
    let paths = PathContext {
        base: b"/srv/base",
        home: b"/home/user",
    };
    for (source, expected) in cases {
        let printed = match parse(source.as_bytes()) {
            Ok(ast) => String::from_utf8_lossy(&print(&ast, paths)).into_owned(),
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(&printed, expected, "of {source:?}");
    }
}

#[test]
fn home_paths_are_printed_below_the_home() {
    prints(&[
        ("~/a", "/home/user/a"),
        ("x: ~/a/../${x}", "(x: (/home/user/a/../ + x))"),
        ("x: ~/${x}", "(x: (/home/user/ + x))"),
    ]);
}

#[test]
fn numbers_and_uris_are_read_as_nix_reads_them() {
    prints(&[
        ("0", "0"),
        ("007", "7"),
        ("9223372036854775807", "9223372036854775807"),
        ("1.5", "1.5"),
        (".5", "0.5"),
        ("0.5", "0.5"),
        ("1.", "1"),
        ("1.e3", "1000"),
        ("1.5e-3", "0.0015"),
        ("12.25E+2", "1225"),
        ("with { }; 1e3", "(with { }; (1 e3))"),
        ("01.5", "(1 0.5)"),
        ("1..5", "(1 0.5)"),
        ("0.1", "0.1"),
        ("123456.789", "123457"),
        ("1234567.0", "1.23457e+06"),
        ("1.0e100", "1e+100"),
        ("0.00001", "1e-05"),
        ("0.0", "0"),
        ("1.0e-5", "1e-05"),
        ("100000.", "100000"),
        ("1000000.", "1e+06"),
        (
            "http://example.org/a?b=c&d",
            "\"http://example.org/a?b=c&d\"",
        ),
        ("x:x", "\"x:x\""),
        ("mailto:a@b.c", "\"mailto:a@b.c\""),
        ("a.b+c-d:e", "\"a.b+c-d:e\""),
        ("[ 1 2.5 x:y ]", "[ (1) (2.5) (\"x:y\") ]"),
        ("1.5.5", "(1.5 0.5)"),
    ]);
}

#[test]
fn strings_keep_what_nix_keeps() {
    prints(&[
        ("\"\"", "\"\""),
        ("\"a\"", "\"a\""),
        ("\"a\\n\\r\\t\\q\\\\\\\"\"", "\"a\\n\\r\\tq\\\\\\\"\""),
        ("\"$\"", "\"$\""),
        ("\"$$\"", "\"$$\""),
        ("\"$${x}\"", "\"$\\${x}\""),
        ("\"\\${x}\"", "\"\\${x}\""),
        ("\"$\\{x}\"", "\"\\${x}\""),
        ("\"a$\"", "\"a$\""),
        ("\"$a$\"", "\"$a$\""),
        ("\"a\r\nb\rc\"", "\"a\\nb\\nc\""),
        ("\"\\\r\nb\"", "\"\\r\\nb\""),
        ("x: \"${x}\"", "(x: (x))"),
        ("x: \"a${x}b${x}\"", "(x: (\"a\" + x + \"b\" + x))"),
        ("x: \"a${\"b\"}\"", "(x: (\"a\" + \"b\"))"),
        ("\"${\"a\"}\"", "(\"a\")"),
        (
            "\"a${\"b${\"c\"}\"}d\"",
            "(\"a\" + (\"b\" + \"c\") + \"d\")",
        ),
        ("x: \"${ { a = x; }.a }\"", "(x: (({ a = x; }).a))"),
        ("x: \"$$${x}\"", "(x: (\"$$\" + x))"),
        ("\"café\"", "\"café\""),
        ("\"\\u0041\"", "\"u0041\""),
        ("x: \"\\\\${x}\"", "(x: (\"\\\\\" + x))"),
        ("x: \"a\\\r\n${x}\"", "(x: (\"a\\r\\n\" + x))"),
        ("\"tab\there\"", "\"tab\\there\""),
    ]);
}

#[test]
fn indentation_is_stripped_as_nix_strips_it() {
    prints(&[
        ("''''", "\"\""),
        ("''a''", "\"a\""),
        ("''  a''", "\"a\""),
        ("''\n  a\n    b\n''", "\"a\\n  b\\n\""),
        ("''\n  a\n    b\n  ''", "\"a\\n  b\\n\""),
        ("''\n    a\n  b\n c''", "\"   a\\n b\\nc\""),
        ("''  \n  a''", "\"a\""),
        ("''\r\n  a\r\n''", "\"\\r\\n  a\\r\\n\""),
        ("''\n\ta\n  b\n''", "\"\\ta\\n  b\\n\""),
        ("''\n  a\n\n  b\n''", "\"a\\n\\nb\\n\""),
        ("''\n  a\n \n  b\n''", "\"a\\n\\nb\\n\""),
        ("''\n   ''", "\"\""),
        ("''   ''", "\"\""),
        ("''\n  \n  ''", "\"\\n\""),
        ("x: ''\n  ${x}\n    a\n''", "(x: (x + \"\\n  a\\n\"))"),
        ("x: ''${x}''", "(x: (x))"),
        ("''${\"a\"}''", "\"a\""),
        ("''${''b''}''", "\"b\""),
        ("x: ''\n  a ${x}\n   b''", "(x: (\"a \" + x + \"\\n b\"))"),
        ("x: ''  ${x}''", "(x: (x))"),
        ("x: ''\n    ${x}\n  ''", "(x: (x + \"\\n\"))"),
        ("''a''$b''", "(\"a\" + \"$\" + \"b\")"),
        ("''a''${b}''", "(\"a\" + \"$\" + \"{b}\")"),
        ("''a''''b''", "(\"a\" + \"''\" + \"'b\")"),
        ("''a'''b''", "(\"a\" + \"''\" + \"b\")"),
        ("''$''", "\"$\""),
        ("''$$''", "\"$$\""),
        ("''$${x}''", "\"$\\${x}\""),
        ("'''''a''", "(\"''\" + \"a\")"),
        ("''a'b''", "\"a'b\""),
        ("''a'$b''", "(\"a\" + \"'\" + \"$b\")"),
        ("''\\''", "\"\\\\\""),
        ("''''\\n''", "\"\\n\""),
        (
            "''\n  a''\\nb\n  ''\\tc''",
            "(\"a\" + \"\\n\" + \"b\\n\" + \"\\t\" + \"c\")",
        ),
        ("''''\\x''", "\"x\""),
        ("''\n    ''\\  a\n  b''", "(\"  \" + \" \" + \" a\\nb\")"),
        ("''\n  '''a\n  b''", "(\"''\" + \"a\\nb\")"),
        ("x: ''\n  a\n  ${x}''", "(x: (\"a\\n\" + x))"),
        ("x: ''\n  a\n${x}''", "(x: (\"  a\\n\" + x))"),
        ("x: ''a${x}\n  ''", "(x: (\"a\" + x + \"\\n\"))"),
        (
            "x: ''\n  ${x}\n  ''${x}\n''",
            "(x: (x + \"\\n\" + \"$\" + \"{x}\\n\"))",
        ),
        ("''\n  $\n  a''", "\"$\\na\""),
        ("x: ''${x}${x}''", "(x: (x + x))"),
        ("x: ''${x}\n\n''", "(x: (x + \"\\n\\n\"))"),
        ("''\n  a\n  b ''", "\"a\\nb \""),
    ]);
}

#[test]
fn paths_end_and_continue_where_nix_says() {
    prints(&[
        ("/a", "/a"),
        ("/a/b.c", "/a/b.c"),
        ("./a", "/srv/base/a"),
        ("../a", "/srv/a"),
        ("a/b", "/srv/base/a/b"),
        ("./.", "/srv/base"),
        ("../.", "/srv"),
        (".../a", "/srv/base/.../a"),
        ("-/a", "/srv/base/-/a"),
        ("1/2", "/srv/base/1/2"),
        ("a+b/c", "/srv/base/a+b/c"),
        ("/a/../b", "/b"),
        ("./a/../../c", "/srv/c"),
        ("x: ./a/${x}", "(x: (/srv/base/a/ + x))"),
        ("x: ./a${x}", "(x: (/srv/base/a + x))"),
        ("x: ./a${x}b", "(x: (/srv/base/a + x + \"b\"))"),
        (
            "x: ./a${x}/b/${x}/c",
            "(x: (/srv/base/a + x + \"/b/\" + x + \"/c\"))",
        ),
        ("x: /${x}", "(x: (/ + x))"),
        ("x: a/${x}", "(x: (/srv/base/a/ + x))"),
        ("x: /a/b/${x}", "(x: (/a/b/ + x))"),
        ("x: ./a//${x}", "(x: (/srv/base/a/ + \"/\" + x))"),
        (
            "x: ./${x}//${x}",
            "(x: (/srv/base/ + x + \"/\" + \"/\" + x))",
        ),
        ("x: ./a${x}${x}", "(x: (/srv/base/a + x + x))"),
        ("x: ./a/${x}b/c", "(x: (/srv/base/a/ + x + \"b/c\"))"),
        ("<a>", "(__findFile __nixPath \"a\")"),
        ("<a/b.c>", "(__findFile __nixPath \"a/b.c\")"),
        ("<nixpkgs/lib>", "(__findFile __nixPath \"nixpkgs/lib\")"),
        ("x: x /a", "(x: (x /a))"),
        ("x: y: x/y", "(x: (y: /srv/base/x/y))"),
        ("x: y: x / y", "(x: (y: (__div x y)))"),
        ("x: x/ 2", "(x: (__div x 2))"),
        ("x: y: x //y", "(x: (y: (x // y)))"),
        (
            "x: y: z: x<y>z",
            "(x: (y: (z: (x (__findFile __nixPath \"y\") z))))",
        ),
        ("x: y: x <y", "(x: (y: (__lessThan x y)))"),
        ("x: [ ./a ./b/c ]", "(x: [ (/srv/base/a) (/srv/base/b/c) ])"),
        (
            "x: ./a/${x}-${x}.d",
            "(x: (/srv/base/a/ + x + \"-\" + x + \".d\"))",
        ),
        ("x': x'/a", "(x': (x' /a))"),
        ("x: ../../../../../../${x}", "(x: (// + x))"),
        ("/a/./b", "/a/b"),
        ("x: ./${\"b\"}", "(x: (/srv/base/ + \"b\"))"),
        ("x: y: x.y/z", "(x: (y: /srv/base/x.y/z))"),
        ("x: -x/y", "(x: /srv/base/-x/y)"),
    ]);
}

#[test]
fn operators_group_as_in_nix() {
    prints(&[
        ("1+2", "(1 + 2)"),
        ("1 + 2 - 3", "(__sub (1 + 2) 3)"),
        ("1 - 2 + 3", "((__sub 1 2) + 3)"),
        ("1 * 2 / 3", "(__div (__mul 1 2) 3)"),
        ("1 + 2 * 3", "(1 + (__mul 2 3))"),
        ("[ ] ++ [ ] ++ [ ]", "([ ] ++ ([ ] ++ [ ]))"),
        ("{ } // { } // { }", "({ } // ({ } // { }))"),
        ("1 == 2", "(1 == 2)"),
        ("1 != 2", "(1 != 2)"),
        ("1 < 2", "(__lessThan 1 2)"),
        ("1 <= 2", "(! (__lessThan 2 1))"),
        ("1 > 2", "(__lessThan 2 1)"),
        ("1 >= 2", "(! (__lessThan 1 2))"),
        (
            "true: true && true || true -> true -> true",
            "(true: (((true && true) || true) -> (true -> true)))",
        ),
        ("x: !x", "(x: (! x))"),
        ("x: !!x", "(x: (! (! x)))"),
        ("x: !x == x", "(x: ((! x) == x))"),
        ("x: !x + x", "(x: (! (x + x)))"),
        ("x: !x // x", "(x: ((! x) // x))"),
        ("x: -x", "(x: (__sub 0 x))"),
        ("x: - -x", "(x: (__sub 0 (__sub 0 x)))"),
        ("x: -x + x", "(x: ((__sub 0 x) + x))"),
        ("x: -x.y", "(x: (__sub 0 (x).y))"),
        ("x: f: -f x", "(x: (f: (__sub 0 (f x))))"),
        ("x: x - -x", "(x: (__sub x (__sub 0 x)))"),
        ("x: -x ++ x", "(x: ((__sub 0 x) ++ x))"),
        ("x: x ? a", "(x: ((x) ? a))"),
        ("x: x ? a.b", "(x: ((x) ? a.b))"),
        ("x: x ? a ? b", "(x: ((((x) ? a)) ? b))"),
        ("x: !x ? a", "(x: (! ((x) ? a)))"),
        ("x: -x ? a", "(x: (((__sub 0 x)) ? a))"),
        ("x: x ? \"a\".${x}", "(x: ((x) ? a.\"${x}\"))"),
        ("x: x + x ? a", "(x: (x + ((x) ? a)))"),
        ("x: x == x && x == x", "(x: ((x == x) && (x == x)))"),
        (
            "x: x < x == x < x",
            "(x: ((__lessThan x x) == (__lessThan x x)))",
        ),
        ("x: x -> x || x && x", "(x: (x -> (x || (x && x))))"),
        ("x: (x + x) + x", "(x: ((x + x) + x))"),
        ("x: x + (x + x)", "(x: (x + (x + x)))"),
        ("x: (x - x) x", "(x: (__sub x x x))"),
        ("x: (-x) x", "(x: (__sub 0 x x))"),
        ("x: (x < x) x", "(x: (__lessThan x x x))"),
        ("x: (x <= x) x", "(x: ((! (__lessThan x x)) x))"),
        ("x: (x >= x) x", "(x: ((! (__lessThan x x)) x))"),
        ("<a> 1", "(__findFile __nixPath \"a\" 1)"),
        ("x: x * !x + x == x", "(x: ((__mul x (! (x + x))) == x))"),
        ("x: x ++ !x + x", "(x: (x ++ (! (x + x))))"),
        ("x: x // x ? a // x", "(x: (x // (((x) ? a) // x)))"),
        ("x: y: x.y or y + 1", "(x: (y: ((x).y or (y) + 1)))"),
        ("x: x -1", "(x: (__sub x 1))"),
        ("x-1: x-1", "(x-1: x-1)"),
        ("x: x - 1", "(x: (__sub x 1))"),
        ("x: x.a * -x.b", "(x: (__mul (x).a (__sub 0 (x).b)))"),
        ("x: 1 + (y: y) 2", "(x: (1 + ((y: y) 2)))"),
        ("x: !x -> x", "(x: ((! x) -> x))"),
    ]);
}

#[test]
fn calls_and_selections_group_as_in_nix() {
    prints(&[
        ("f: f 1", "(f: (f 1))"),
        ("f: f 1 2 3", "(f: (f 1 2 3))"),
        ("f: (f 1) 2", "(f: (f 1 2))"),
        ("f: ((f 1) 2) 3", "(f: (f 1 2 3))"),
        ("f: f (f 1) [ 2 ]", "(f: (f (f 1) [ (2) ]))"),
        ("f: f { } { }", "(f: (f { } { }))"),
        (
            "f: f \"a\" ''b'' ./c <d> e:f",
            "(f: (f \"a\" \"b\" /srv/base/c (__findFile __nixPath \"d\") \"e:f\"))",
        ),
        ("f: [ f 1 (f 2) ]", "(f: [ (f) (1) ((f 2)) ])"),
        (
            "f: [ f.a f.b or 1 (f.a or 2) ]",
            "(f: [ ((f).a) ((f).b or (1)) ((f).a or (2)) ])",
        ),
        ("f: f.a.b.c", "(f: (f).a.b.c)"),
        ("f: f.\"a\".${f}.\"b c\"", "(f: (f).a.\"${f}\".\"b c\")"),
        ("f: f.${\"a\"}", "(f: (f).a)"),
        ("f: f.\"${f}\"", "(f: (f).\"${(f)}\")"),
        ("f: f.${''a''}", "(f: (f).a)"),
        ("f: f.a or f.b or 3", "(f: (f).a or ((f).b or (3)))"),
        (
            "with { }; <a> or 1",
            "(with { }; ((__findFile __nixPath \"a\") or 1))",
        ),
        ("with { }; (-1) or 1", "(with { }; ((__sub 0 1) or 1))"),
        ("with { }; (f or) or", "(with { }; ((f or) or))"),
        ("f: f.a or f 3", "(f: ((f).a or (f) 3))"),
        ("f: f.a or (f 3)", "(f: (f).a or ((f 3)))"),
        ("f: (f 1).a", "(f: ((f 1)).a)"),
        ("f: { }.a", "(f: ({ }).a)"),
        ("f: [ ].a", "(f: ([ ]).a)"),
        ("f: \"a\".b", "(f: (\"a\").b)"),
        ("f: f.or", "(f: (f).or)"),
        ("f: f.a.or or 1", "(f: (f).a.or or (1))"),
        ("with { }; f or", "(with { }; (f or))"),
        ("with { }; f or 1", "(with { }; (f or 1))"),
        ("with { }; f 1 or", "(with { }; (f (1 or)))"),
        ("with { }; f f or 1", "(with { }; (f (f or) 1))"),
        ("with { }; (f 1) or", "(with { }; ((f 1) or))"),
        ("with { }; [ f or ]", "(with { }; [ ((f or)) ])"),
        ("with { }; [ (f or) ]", "(with { }; [ ((f or)) ])"),
        ("f: f.a.or", "(f: (f).a.or)"),
        ("f: { or = 1; }.or", "(f: ({ or = 1; }).or)"),
        ("f: f ? or", "(f: ((f) ? or))"),
        ("f: -f 1", "(f: (__sub 0 (f 1)))"),
        ("f: rec { a = 1; }.a", "(f: (rec { a = 1; }).a)"),
        (
            "f: let { body = 1; }.x",
            "(f: ((rec { body = 1; }).body).x)",
        ),
        (
            "f: f let { body = 1; }",
            "(f: (f (rec { body = 1; }).body))",
        ),
        ("f: f rec { }", "(f: (f rec { }))"),
        ("__curPos", "__curPos"),
        ("f: f __curPos", "(f: (f __curPos))"),
        ("f: f (x: x) (y: y)", "(f: (f (x: x) (y: y)))"),
        ("f: (x: x) f", "(f: ((x: x) f))"),
        ("f: f.a 1", "(f: ((f).a 1))"),
        ("f: (f.a) 1", "(f: ((f).a 1))"),
        (
            "f: f.${f.a}.${f.b or 1}",
            "(f: (f).\"${(f).a}\".\"${(f).b or (1)}\")",
        ),
        ("f: f.a.b or (f.c) 1", "(f: ((f).a.b or ((f).c) 1))"),
        ("with { }; ((f or) 1)", "(with { }; (f or 1))"),
    ]);
}

#[test]
fn functions_take_names_and_patterns() {
    prints(&[
        ("x: x", "(x: x)"),
        ("x: y: z: x", "(x: (y: (z: x)))"),
        ("{ }: 1", "({  }: 1)"),
        ("{ ... }: 1", "({ ... }: 1)"),
        ("{ a }: a", "({ a }: a)"),
        ("{ a, b }: a", "({ a, b }: a)"),
        ("{ a, b, }: a", "({ a, b }: a)"),
        ("{ b, a, ... }: a", "({ a, b, ... }: a)"),
        ("{ a ? 1, b ? a }: b", "({ a ? 1, b ? a }: b)"),
        ("{ a }@x: x", "({ a } @ x: x)"),
        ("x@{ a }: x", "({ a } @ x: x)"),
        ("x@{ }: x", "({  } @ x: x)"),
        ("{ }@x: x", "({  } @ x: x)"),
        ("{ ... }@x: x", "({ ... } @ x: x)"),
        ("x@{ ... }: x", "({ ... } @ x: x)"),
        ("{ a ? { b }: b }: a", "({ a ? ({ b }: b) }: a)"),
        (
            "{ z, y ? 1, x, ... }@w: [ w x y z ]",
            "({ x, y ? 1, z, ... } @ w: [ (w) (x) (y) (z) ])",
        ),
        (
            "{ a ? 1 + 2, b ? [ a ] }: b",
            "({ a ? (1 + 2), b ? [ (a) ] }: b)",
        ),
        ("x:y", "\"x:y\""),
        ("a: b: { c }: d: a", "(a: (b: ({ c }: (d: a))))"),
        ("x: with x; y", "(x: (with x; y))"),
        ("x: assert x; x", "(x: assert x; x)"),
        ("{a?1}:a", "({ a ? 1 }: a)"),
        ("x@{ a ? x }: a", "({ a ? x } @ x: a)"),
    ]);
}

#[test]
fn keywords_take_what_follows_to_the_end() {
    prints(&[
        ("x: if x then 1 else 2", "(x: (if x then 1 else 2))"),
        (
            "x: if x then 1 else if x then 2 else 3",
            "(x: (if x then 1 else (if x then 2 else 3)))",
        ),
        (
            "x: if x then y: y else y: y",
            "(x: (if x then (y: y) else (y: y)))",
        ),
        ("x: assert x; assert x; x", "(x: assert x; assert x; x)"),
        ("x: with x; with x; x", "(x: (with x; (with x; x)))"),
        ("let in 1", "(let in 1)"),
        ("let a = 1; in a", "(let a = 1; in a)"),
        (
            "let a = 1; b = a; in a + b",
            "(let a = 1; b = a; in (a + b))",
        ),
        ("let inherit; in 1", "(let in 1)"),
        (
            "let a = { }; inherit (a) b c; in b",
            "(let inherit (a) b c; a = { }; in b)",
        ),
        (
            "let a.b = 1; a.c = 2; in a",
            "(let a = { b = 1; c = 2; }; in a)",
        ),
        ("let { }", "(rec { }).body"),
        ("let { body = 1; }", "(rec { body = 1; }).body"),
        (
            "let { a = 1; body = a; } + 1",
            "((rec { a = 1; body = a; }).body + 1)",
        ),
        (
            "x: [ (if x then 1 else 2) ]",
            "(x: [ ((if x then 1 else 2)) ])",
        ),
        (
            "x: f: f (let a = 1; in a)",
            "(x: (f: (f (let a = 1; in a))))",
        ),
        ("x: x + (with x; y)", "(x: (x + (with x; y)))"),
        ("x: assert x == x; x", "(x: assert (x == x); x)"),
        ("let or = 1; in 1", "(let or = 1; in 1)"),
        (
            "let \"a\" = 1; ${\"b\"} = 2; in a",
            "(let a = 1; b = 2; in a)",
        ),
    ]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn sets_merge_as_in_nix() {
    prints(&[
        ("{ }", "{ }"),
        ("rec { }", "rec { }"),
        ("{ a = 1; }", "{ a = 1; }"),
        ("{ b = 1; a = 2; }", "{ a = 2; b = 1; }"),
        (
            "{ \"a\" = 1; \"b c\" = 2; \"\" = 3; \"if\" = 4; \"1a\" = 5; \"a'\" = 6; }",
            "{ \"\" = 3; \"1a\" = 5; a = 1; a' = 6; \"b c\" = 2; \"if\" = 4; }",
        ),
        ("{ a.b = 1; a.c = 2; }", "{ a = { b = 1; c = 2; }; }"),
        (
            "{ a.b.c = 1; a.b.d = 2; a.e = 3; }",
            "{ a = { b = { c = 1; d = 2; }; e = 3; }; }",
        ),
        ("{ a = { b = 1; }; a.c = 2; }", "{ a = { b = 1; c = 2; }; }"),
        ("{ a.b = 1; a = { c = 2; }; }", "{ a = { b = 1; c = 2; }; }"),
        (
            "{ a = { b = 1; }; a = { c = 2; }; }",
            "{ a = { b = 1; c = 2; }; }",
        ),
        (
            "{ a = rec { b = 1; }; a = { c = 2; }; }",
            "{ a = rec { b = 1; c = 2; }; }",
        ),
        (
            "{ a = { b = 1; }; a = rec { c = 2; }; }",
            "{ a = { b = 1; c = 2; }; }",
        ),
        (
            "{ a = rec { b = 1; }; a.c = 2; }",
            "{ a = rec { b = 1; c = 2; }; }",
        ),
        (
            "{ a = ({ b = 1; }); a.c = 2; }",
            "{ a = { b = 1; c = 2; }; }",
        ),
        (
            "{ a = { b.c = 1; }; a.b.d = 2; a = { b.e = 3; }; }",
            "{ a = { b = { c = 1; d = 2; e = 3; }; }; }",
        ),
        ("x: { ${x} = 1; }", "(x: { \"${x}\" = 1; })"),
        (
            "x: { \"${x}\" = 1; \"a${x}\" = 2; }",
            "(x: { \"${(x)}\" = 1; \"${(\"a\" + x)}\" = 2; })",
        ),
        (
            "x: { ${x}.a = 1; ${x}.b = 2; }",
            "(x: { \"${x}\" = { a = 1; }; \"${x}\" = { b = 2; }; })",
        ),
        (
            "x: { a.${x} = 1; a.${x} = 2; a = { ${x} = 3; }; }",
            "(x: { a = { \"${x}\" = 1; \"${x}\" = 2; \"${x}\" = 3; }; })",
        ),
        (
            "x: { a.${x}.b = 1; }",
            "(x: { a = { \"${x}\" = { b = 1; }; }; })",
        ),
        (
            "{ ${\"a\"} = 1; ${\"b\"}.c = 2; }",
            "{ a = 1; b = { c = 2; }; }",
        ),
        ("{ ${''a''}.b = 1; a.c = 2; }", "{ a = { b = 1; c = 2; }; }"),
        ("{ ${(\"a\")} = 1; }", "{ a = 1; }"),
        ("x: { inherit x; }", "(x: { inherit x; })"),
        ("x: { inherit; }", "(x: { })"),
        ("x: { inherit (x); }", "(x: { })"),
        (
            "x: { inherit x; inherit (x) b a; inherit (x) c; }",
            "(x: { inherit x; inherit (x) a b; inherit (x) c; })",
        ),
        (
            "x: { inherit (x) \"a\" ${\"b\"} or; }",
            "(x: { inherit (x) a b or; })",
        ),
        (
            "x: { inherit (x.y) a; c = 1; inherit x; }",
            "(x: { inherit x; inherit ((x).y) a; c = 1; })",
        ),
        (
            "x: { a = { inherit (x) b; }; a = { inherit (x.y) c; }; }",
            "(x: { a = { inherit (x) b; inherit ((x).y) c; }; })",
        ),
        (
            "x: { a = { inherit x; }; a.b = 1; }",
            "(x: { a = { inherit x; b = 1; }; })",
        ),
        (
            "x: rec { a = { b = 1; ${x} = 2; }; a = { ${x} = 3; c = 4; }; }",
            "(x: rec { a = { b = 1; c = 4; \"${x}\" = 2; \"${x}\" = 3; }; })",
        ),
        ("{ or = 1; or2 = 2; }", "{ or = 1; or2 = 2; }"),
        ("{ a = 1; b = { a = 1; }; }", "{ a = 1; b = { a = 1; }; }"),
        (
            "x: { x = { inherit (x) a; }; }",
            "(x: { x = { inherit (x) a; }; })",
        ),
        (
            "rec { a.b = 1; inherit (a) b; }",
            "rec { inherit (a) b; a = { b = 1; }; }",
        ),
        (
            "{ a.\"b\".${\"c\"} = 1; a.b.d = 2; }",
            "{ a = { b = { c = 1; d = 2; }; }; }",
        ),
        (
            "{ a1 = 1; a2 = 2; a3 = 3; a4 = 4; a5 = 5; a6 = 6; a7 = 7; a8 = 8; a9 = 9; b1 = 1; b2 = 2; b3 = 3; b4 = 4; b5 = 5; b6 = 6; b7 = 7; b8 = 8; b9 = { }; b9.x = 1; a1x = { }; a1x.y = 2; }",
            "{ a1 = 1; a1x = { y = 2; }; a2 = 2; a3 = 3; a4 = 4; a5 = 5; a6 = 6; a7 = 7; a8 = 8; a9 = 9; b1 = 1; b2 = 2; b3 = 3; b4 = 4; b5 = 5; b6 = 6; b7 = 7; b8 = 8; b9 = { x = 1; }; }",
        ),
    ]);
}

#[test]
fn comments_and_white_space_separate_tokens() {
    prints(&[
        (" 1 ", "1"),
        ("# c\n1", "1"),
        ("1 # c", "1"),
        ("/* c */ 1", "1"),
        ("/** doc */ 1", "1"),
        ("/**/ 1", "1"),
        ("/***/ 1", "1"),
        ("/*/ */ 1", "1"),
        ("1 /* a * b ** */ + 2", "(1 + 2)"),
        ("# a\r1", "1"),
        ("\t\r\n1", "1"),
        ("x: /* a */x", "(x: x)"),
        ("1 #", "1"),
        ("x: x/**/x", "(x: (x x))"),
        ("[1/**/2]", "[ (1) (2) ]"),
        ("1\u{0} anything ( ", "1"),
    ]);
}

#[test]
fn a_call_of_or_that_others_read_differently_is_warned_of() {
    let warnings = |source: &str| -> Vec<String> {
        let ast = parse(source.as_bytes()).expect(source);
        ast.remarks
            .iter()
            .map(|remark| {
                assert_eq!(remark.kind, RemarkKind::OrCall);
                let place = |offset: u32| offset.to_string();
                let warning = or_warning(source.as_bytes(), remark.span, place);
                let lines: Vec<&str> = warning.lines().collect();
                format!(
                    "{}{}",
                    lines[0].split_once(':').expect("a place").0,
                    lines[2]
                )
            })
            .collect()
    };
    assert_eq!(warnings("[ (x: x) or ]"), ["at 2    ((x: x) or)"]);
    assert_eq!(warnings("f (x: x) or"), ["at 2    ((x: x) or)"]);
    assert_eq!(warnings("a.b or c or"), ["at 7    (c or)"]);
    assert_eq!(
        warnings("f a or b or"),
        ["at 2    (a or)", "at 7    (b or)"]
    );
    for plain in [
        "f or",
        "f or 1",
        "f (f or)",
        "[ (f or) ]",
        "a.b or (c or)",
        "(f or) or",
        "[ a.or ]",
    ] {
        assert_eq!(warnings(plain), [""; 0], "of {plain}");
    }
}
