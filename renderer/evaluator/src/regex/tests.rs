use super::{Regex, RegexError, Scratch};

fn matched(pattern: &str, text: &str) -> Option<Vec<Option<String>>> {
    let regex = Regex::new(pattern.as_bytes()).unwrap();
    let mut scratch = Scratch::default();
    let groups = regex.match_all(text.as_bytes(), &mut scratch).unwrap()?;
    let shown = |&(start, end): &(usize, usize)| text[start..end].to_owned();
    Some(
        groups
            .iter()
            .map(|group| group.as_ref().map(shown))
            .collect(),
    )
}

fn found(pattern: &str, text: &str) -> Vec<(usize, usize)> {
    let regex = Regex::new(pattern.as_bytes()).unwrap();
    let mut all = Vec::new();
    regex
        .for_each_match(text.as_bytes(), &mut Scratch::default(), |found| {
            all.push((found.start, found.end));
        })
        .unwrap();
    all
}

fn groups(texts: &[Option<&str>]) -> Vec<Option<String>> {
    texts.iter().map(|text| text.map(str::to_owned)).collect()
}

#[test]
fn a_group_keeps_what_it_matched_in_an_earlier_round() {
    assert_eq!(
        matched("((a)|b)*", "ab"),
        Some(groups(&[Some("b"), Some("a")]))
    );
}

#[test]
fn a_group_that_takes_no_part_is_absent() {
    assert_eq!(matched("(a)|(b)", "b"), Some(groups(&[None, Some("b")])));
}

#[test]
fn the_longest_alternative_is_found_but_a_repetition_does_not_give_way() {
    assert_eq!(found("a|ab", "ab"), [(0, 2)]);
    assert_eq!(found("a*(ab|)", "aab"), [(0, 2), (2, 2), (3, 3)]);
}

#[test]
fn a_repetition_of_what_is_empty_ends() {
    assert_eq!(matched("(a*)*", "aa"), Some(groups(&[Some("")])));
    assert_eq!(matched("(a*)+", "b"), None);
    assert_eq!(matched("(|a)+", "aaa"), Some(groups(&[Some("")])));
}

#[test]
fn empty_matches_advance() {
    assert_eq!(found("", "abc"), [(0, 0), (1, 1), (2, 2), (3, 3)]);
    assert_eq!(
        found("x*", "abxc"),
        [(0, 0), (1, 1), (2, 3), (3, 3), (4, 4)]
    );
}

#[test]
fn the_start_is_the_start_of_the_text() {
    assert_eq!(found("^a", "aa"), [(0, 1)]);
    assert_eq!(found("a$", "aa"), [(1, 2)]);
}

#[test]
fn what_is_no_pattern_is_refused() {
    let bad = [
        "(",
        ")",
        "[",
        "a{2",
        "a{2,1}",
        "a{,2}",
        "*a",
        "^*",
        "\\d",
        "\\",
        "[z-a]",
        "[[:foo:]]",
        "[[.foo.]]",
        "[a-c-e]",
        "{1}",
        "(*)",
        "a{99999999999}",
    ];
    for pattern in bad {
        let error = Regex::new(pattern.as_bytes()).err();
        assert_eq!(error, Some(RegexError::Invalid), "{pattern}");
    }
    for pattern in ["a{100001}", "((a{100}){100}){100}"] {
        let error = Regex::new(pattern.as_bytes()).err();
        assert_eq!(error, Some(RegexError::TooLarge), "{pattern}");
    }
}

#[test]
fn hostile_patterns_take_no_longer_than_pattern_times_text() {
    let text = "a".repeat(20_000);
    for pattern in [
        "(a*)*b",
        "(a|a)*b",
        "(a|aa)+b",
        "a*a*a*a*a*a*b",
        "(.*)(.*)(.*)(.*)(.*)[bc]",
        "((a*)*)*b",
        "(a?){30}a{30}b",
    ] {
        assert_eq!(matched(pattern, &text), None, "{pattern}");
        assert_eq!(found(pattern, &text), [], "{pattern}");
    }
}

#[test]
fn deep_nesting_needs_no_native_stack() {
    let pattern = format!("{}a{}", "(".repeat(20_000), ")*".repeat(20_000));
    assert!(Regex::new(pattern.as_bytes()).is_ok());
    let long = "ab".repeat(100_000);
    assert!(matched("((a|b)*)", &long).is_some());
}

/// Pseudo-random numbers, the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn pattern(&mut self, depth: usize) -> String {
        let mut out = String::new();
        for alternative in 0..=self.below(3) {
            if alternative > 0 {
                out.push('|');
            }
            for _ in 0..self.below(4) {
                match self.below(9) {
                    0..4 => out.push_str(["a", "b", "[ab]", "."][self.below(4)]),
                    4 => {
                        out.push_str(["^", "$"][self.below(2)]);
                        continue;
                    }
                    _ if depth > 0 => {
                        let inner = self.pattern(depth - 1);
                        out.extend(["(", &inner, ")"]);
                    }
                    _ => out.push('a'),
                }
                out.push_str(["", "", "*", "+", "?", "{0,2}", "{1,}"][self.below(7)]);
            }
        }
        out
    }
}

#[test]
fn remembering_changes_nothing() {
    let mut dice = Dice(1);
    let mut remembering = Scratch::default();
    remembering.matcher.remember_at_once = true;
    for _ in 0..5_000 {
        let pattern = dice.pattern(2);
        let regex = Regex::new(pattern.as_bytes()).unwrap();
        let text: Vec<u8> = (0..dice.below(9)).map(|_| b"aab"[dice.below(3)]).collect();
        let [plain, other] = [&mut Scratch::default(), &mut remembering].map(|scratch| {
            let whole = regex.match_all(&text, scratch)?.map(<[_]>::to_vec);
            let mut all = Vec::new();
            regex.for_each_match(&text, scratch, |found| {
                all.push((found.start, found.end, found.groups.to_vec()));
            })?;
            Ok((whole, all))
        });
        if plain != Err(RegexError::TooLarge) {
            let text = String::from_utf8_lossy(&text);
            assert_eq!(plain, other, "{pattern} and {text}");
        }
    }
}
