//! "Did you mean": the nearest of some known names.

/// The known name that `name` was likely meant to be.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    // A name longer than this is no slip of the finger.
    if name.len() > 64 {
        return None;
    }
    let tolerated = (name.chars().count() / 3).max(1);
    known
        .into_iter()
        .filter(|known| known.len() <= 128)
        .map(|known| (distance(&name.to_lowercase(), &known.to_lowercase()), known))
        .filter(|&(distance, _)| distance <= tolerated)
        .min()
        .map(|(_, known)| known.to_owned())
}

/// Insertions, deletions, replacements and swaps of neighbours that lead from one to the other.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before_last = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 4] = ["replicas", "resources", "podTemplate", "env"];

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        for (name, expected) in [
            ("replica", Some("replicas")),
            ("repilcas", Some("replicas")),
            ("podtemplate", Some("podTemplate")),
            ("envs", Some("env")),
            ("image", None),
            ("e", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, KNOWN).as_deref(), expected, "{name}");
        }
    }
}
