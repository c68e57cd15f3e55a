//! What replicas tell the one that leads of pull requests: the value of an annotation; pure.
//!
//! `NUMBER:SECONDS` or `NUMBER:SECONDS:COMMIT`, separated by commas: a pull request, when something happened to it, and the commit that
//! was the last one when the label was set which lets it be built.

use std::collections::BTreeMap;

use niphas_forges::Commit;

/// Pull requests of one source. Of more the ones in which nothing happened for the longest time are dropped.
pub(crate) const MOST: usize = 50;

/// What is known of a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Announced {
    /// When something happened last, in seconds since 1970.
    pub(crate) at: i64,
    /// The commit that has the label.
    pub(crate) labelled: Option<Commit>,
}

/// The pull requests of a source, by number.
pub(crate) type Announcements = BTreeMap<u64, Announced>;

/// What happened to a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Happening {
    /// It may have another commit, or may be approved.
    Changed,
    /// This commit got the label.
    Labelled(Commit),
    /// It is closed.
    Closed,
}

/// Reads the annotation. What is not of its form is passed over: people may write into it.
pub(crate) fn read(text: &str) -> Announcements {
    let entries = text.split(',').filter_map(|entry| {
        let mut parts = entry.trim().splitn(3, ':');
        let number = parts.next()?.parse().ok()?;
        let at = parts.next()?.parse().ok()?;
        let labelled = parts.next().and_then(|commit| Commit::new(commit).ok());
        Some((number, Announced { at, labelled }))
    });
    entries.take(MOST).collect()
}

/// The annotation.
pub(crate) fn write(announcements: &Announcements) -> String {
    let entries = announcements.iter().map(|(number, of)| {
        let commit = of.labelled.as_ref();
        let commit = commit.map(|commit| format!(":{commit}"));
        format!("{number}:{}{}", of.at, commit.unwrap_or_default())
    });
    entries.collect::<Vec<_>>().join(",")
}

/// Notes what happened to a pull request.
pub(crate) fn note(announcements: &mut Announcements, number: u64, what: Happening, now: i64) {
    let before = announcements.remove(&number);
    let labelled = match what {
        Happening::Closed => return,
        Happening::Changed => before.as_ref().and_then(|before| before.labelled.clone()),
        Happening::Labelled(commit) => Some(commit),
    };
    // Two in one second are two.
    let at = before.map_or(now, |before| now.max(before.at + 1));
    announcements.insert(number, Announced { at, labelled });
    while announcements.len() > MOST {
        let oldest = announcements.iter().min_by_key(|(_, of)| of.at);
        let Some(oldest) = oldest.map(|(number, _)| *number) else {
            return;
        };
        announcements.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn commit(digit: char) -> Commit {
        Commit::new(&digit.to_string().repeat(40)).unwrap()
    }

    #[test]
    fn a_label_holds_for_its_commit_until_another_has_it() {
        let mut all = Announcements::new();
        note(&mut all, 7, Happening::Changed, 100);
        note(&mut all, 7, Happening::Labelled(commit('a')), 100);
        note(&mut all, 7, Happening::Changed, 90);
        let expected = Announced {
            at: 102,
            labelled: Some(commit('a')),
        };
        assert_eq!(all.get(&7), Some(&expected));
        assert_eq!(write(&all), format!("7:102:{}", "a".repeat(40)));
        note(&mut all, 7, Happening::Labelled(commit('b')), 200);
        assert_eq!(all[&7].labelled, Some(commit('b')));
        note(&mut all, 7, Happening::Closed, 300);
        assert!(all.is_empty());
    }

    #[test]
    fn only_the_last_ones_are_remembered() {
        let mut all = Announcements::new();
        for number in 0..200 {
            note(
                &mut all,
                number,
                Happening::Changed,
                1000 + i64::try_from(number).unwrap(),
            );
        }
        assert_eq!(all.len(), MOST);
        assert!(all.contains_key(&199) && !all.contains_key(&149));
        let most = write(&all);
        assert!(most.len() < 5000);
        assert_eq!(read(&format!("{most},999:1")).len(), MOST);
    }

    #[test]
    fn what_people_write_into_it_is_passed_over() {
        let text = format!(
            "1:2,x:1,3,4:y, 5:6:{} ,7:8:main,-1:2,,9:1:2:3",
            "a".repeat(40)
        );
        let numbers: Vec<u64> = read(&text).into_keys().collect();
        assert_eq!(numbers, [1, 5, 7, 9]);
        assert_eq!(read(&text)[&7].labelled, None);
        assert_eq!(read(&text)[&5].labelled, Some(commit('a')));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(entries in prop::collection::btree_map(any::<u64>(), (any::<i64>(), any::<bool>()), 0..MOST)) {
            let all: Announcements = entries
                .into_iter()
                .map(|(number, (at, has_label))| {
                    let labelled = has_label.then(|| commit('c'));
                    (number, Announced { at, labelled })
                })
                .collect();
            prop_assert_eq!(read(&write(&all)), all);
        }

        #[test]
        fn any_text_is_read(text in ".{0,300}") {
            prop_assert!(read(&text).len() <= MOST);
        }
    }
}
