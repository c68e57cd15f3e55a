//! Who approved a pull request.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// What a person said of a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// The person, by the name or number that the host's other requests take.
    pub user: String,
    /// What was said.
    pub verdict: Verdict,
    /// The commit that it was said of, where the host says that.
    pub commit: Option<String>,
    /// When, where the host does not say of which commit.
    pub time: Option<Timestamp>,
    /// Whether the person may write to the repository, where the host says that.
    pub may_write: Option<bool>,
}

/// What a review says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may be merged.
    Approved,
    /// It may not, or what was said before does not hold any more.
    Withdrawn,
}

/// A person whose last word of this commit is an approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Approval {
    pub(crate) user: String,
    pub(crate) may_write: Option<bool>,
}

/// Who approves `head`. Reviews are in the order of time. An approval of another commit does not count: its author may have pushed
/// since; where the host does not say which commit was meant, the approval must be younger than `pushed`.
pub(crate) fn approvals(
    reviews: &[Review],
    head: &str,
    pushed: Option<Timestamp>,
) -> Vec<Approval> {
    let mut last: BTreeMap<&str, &Review> = BTreeMap::new();
    for review in reviews {
        last.insert(&review.user, review);
    }
    let is_of_head = |review: &Review| match (&review.commit, review.time, pushed) {
        (Some(commit), _, _) => commit == head,
        (None, Some(time), Some(pushed)) => time > pushed,
        (None, _, _) => false,
    };
    let counts = |review: &&Review| review.verdict == Verdict::Approved && is_of_head(review);
    let approvals = last.into_values().filter(counts);
    approvals
        .map(|review| Approval {
            user: review.user.clone(),
            may_write: review.may_write,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn review(user: &str, verdict: Verdict, commit: Option<&str>, time: Option<i64>) -> Review {
        Review {
            user: user.to_owned(),
            verdict,
            commit: commit.map(str::to_owned),
            time: time.map(|second| Timestamp::from_second(second).expect("a time")),
            may_write: None,
        }
    }

    #[test]
    fn only_approvals_of_this_very_commit_count() {
        use Verdict::{Approved, Withdrawn};
        let reviews = [
            review("old", Approved, Some("a"), None),
            review("new", Approved, Some("b"), None),
            review("twice", Withdrawn, Some("a"), None),
            review("twice", Approved, Some("b"), None),
            review("back", Approved, Some("b"), None),
            review("back", Withdrawn, Some("b"), None),
            review("early", Approved, None, Some(10)),
            review("same", Approved, None, Some(20)),
            review("late", Approved, None, Some(30)),
            review("unknown", Approved, None, None),
        ];
        let users = |pushed: Option<i64>| -> Vec<String> {
            let pushed = pushed.map(|second| Timestamp::from_second(second).expect("a time"));
            let found = approvals(&reviews, "b", pushed);
            found.into_iter().map(|approval| approval.user).collect()
        };
        assert_eq!(users(Some(20)), ["late", "new", "twice"]);
        assert_eq!(users(None), ["new", "twice"]);
    }
}
