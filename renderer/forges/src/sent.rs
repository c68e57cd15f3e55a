//! What a host was sent.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::commit::Commit;
use crate::status::{Context, Status};

/// Commits of which it is remembered: those of branches and pull requests that are under way at one time.
const MOST_COMMITS: usize = 32;
/// GitHub takes 1000 statuses of a commit and context. Those that are final are sent beyond this.
const MOST_UNDER_WAY: u32 = 100;

/// Which statuses a host has of the last commits. Its caller keeps it, for as long as it likes: what is forgotten is sent once more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// The oldest first.
    commits: Vec<(Commit, BTreeMap<Context, Last>)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Last {
    /// A hash of the status.
    status: String,
    count: u32,
}

/// What became of a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sending {
    /// The host has it now.
    Sent,
    /// The host had it.
    Unchanged,
    /// It was one of very many of this commit: only one that is final is sent.
    Held,
}

impl Sent {
    /// What becomes of this status, if all goes well.
    pub fn decide(&self, commit: &Commit, context: Context, status: &Status) -> Sending {
        let Some(last) = self.last(commit, context) else {
            return Sending::Sent;
        };
        if last.status == hash(status) {
            Sending::Unchanged
        } else if last.count >= MOST_UNDER_WAY && !status.state.is_final() {
            Sending::Held
        } else {
            Sending::Sent
        }
    }

    /// The host has this status.
    pub fn record(&mut self, commit: &Commit, context: Context, status: &Status) {
        let at = self.commits.iter().position(|(known, _)| known == commit);
        let mut entry = match at {
            Some(at) => self.commits.remove(at),
            None => (commit.clone(), BTreeMap::new()),
        };
        let last = entry.1.entry(context).or_insert(Last {
            status: String::new(),
            count: 0,
        });
        last.status = hash(status);
        last.count = last.count.saturating_add(1);
        self.commits.push(entry);
        let more = self.commits.len().saturating_sub(MOST_COMMITS);
        self.commits.drain(..more);
    }

    fn last(&self, commit: &Commit, context: Context) -> Option<&Last> {
        let (_, contexts) = self.commits.iter().find(|(known, _)| known == commit)?;
        contexts.get(&context)
    }
}

fn hash(status: &Status) -> String {
    let mut hash = Sha256::new();
    let link = status.link.as_ref().map_or("", |link| link.as_str());
    for part in [
        format!("{:?}", status.state).as_str(),
        &status.description,
        link,
    ] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    HEXLOWER.encode(&hash.finalize()[..12])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::State;

    fn commit(number: usize) -> Commit {
        Commit::new(&format!("{number:040x}")).expect("a commit")
    }

    fn status(state: State, description: &str) -> Status {
        Status {
            state,
            description: description.to_owned(),
            link: None,
        }
    }

    #[test]
    fn equal_statuses_are_sent_once() {
        let mut sent = Sent::default();
        let (context, one) = (Context::Build, status(State::Running, "1 of 3"));
        assert_eq!(sent.decide(&commit(1), context, &one), Sending::Sent);
        sent.record(&commit(1), context, &one);
        assert_eq!(sent.decide(&commit(1), context, &one), Sending::Unchanged);
        assert_eq!(sent.decide(&commit(2), context, &one), Sending::Sent);
        assert_eq!(
            sent.decide(&commit(1), Context::Render, &one),
            Sending::Sent
        );
        let two = status(State::Failure, "1 of 3");
        assert_eq!(sent.decide(&commit(1), context, &two), Sending::Sent);

        let text = serde_json::to_string(&sent).expect("JSON");
        assert_eq!(serde_json::from_str::<Sent>(&text).expect("a Sent"), sent);
    }

    #[test]
    fn after_very_many_statuses_only_final_ones_are_sent() {
        let mut sent = Sent::default();
        for number in 0..MOST_UNDER_WAY {
            let next = status(State::Running, &number.to_string());
            assert_eq!(
                sent.decide(&commit(1), Context::Build, &next),
                Sending::Sent
            );
            sent.record(&commit(1), Context::Build, &next);
        }
        let next = status(State::Running, "more");
        assert_eq!(
            sent.decide(&commit(1), Context::Build, &next),
            Sending::Held
        );
        let last = status(State::Success, "more");
        assert_eq!(
            sent.decide(&commit(1), Context::Build, &last),
            Sending::Sent
        );
    }

    #[test]
    fn only_the_last_commits_are_remembered() {
        let mut sent = Sent::default();
        let done = status(State::Success, "");
        for number in 0..MOST_COMMITS * 2 {
            sent.record(&commit(number), Context::Evaluate, &done);
        }
        assert_eq!(sent.commits.len(), MOST_COMMITS);
        let newest = commit(MOST_COMMITS * 2 - 1);
        assert_eq!(
            sent.decide(&newest, Context::Evaluate, &done),
            Sending::Unchanged
        );
        assert_eq!(
            sent.decide(&commit(0), Context::Evaluate, &done),
            Sending::Sent
        );
    }
}
