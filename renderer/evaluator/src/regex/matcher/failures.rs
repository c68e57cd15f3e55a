//! What is remembered of trials, once a match takes long: so that none is made twice.

use super::super::RegexError;
use super::super::program::{NONE, Op};
use super::{Frame, Matcher};

/// Going through this many bytes of a run is as much work as a step.
const BYTES_PER_STEP: u64 = 8;
/// Trials that can be remembered.
const MOST_REMEMBERED: usize = 1 << 22;

/// A run that could go on to `end` and stops at `from` or after leads nowhere.
#[derive(Clone, Copy)]
pub(super) struct FailedRun {
    pub(super) from: u32,
    pub(super) end: u32,
    /// Known in this attempt only, if it is not 0.
    pub(super) attempt: u32,
}

/// What is remembered of a trial: it never leads to a match, or only what it came to in one attempt.
const NEVER: u32 = 0;

impl Matcher<'_> {
    #[cold]
    pub(super) fn enter_remembering(&mut self, node: u32, place: u32) -> Result<bool, RegexError> {
        if self.steps > self.most_steps {
            return Err(RegexError::TooLarge);
        }
        let key = self.passed_at(place);
        if key != 0 && self.memory.remembered.get(&(node, place, 0)) == Some(&NEVER) {
            return Ok(false);
        }
        match self.memory.remembered.get(&(node, place, key)) {
            Some(&NEVER) => return Ok(false),
            Some(&known) if known >> 1 == self.attempt => {
                self.matched |= known & 1 == 1;
                return Ok(false);
            }
            _ => {}
        }
        self.push(Frame::Remember { node, place, key });
        Ok(true)
    }

    pub(super) fn passed_at(&self, place: u32) -> u64 {
        let (at, key) = self.passed;
        if at == place { key } else { 0 }
    }

    pub(super) fn remember(&mut self, node: u32, place: u32, key: u64) {
        let never = !self.matched && !self.now.not_empty && !self.program.has_text_start;
        if self.memory.remembered.len() < MOST_REMEMBERED {
            let known = if never {
                NEVER
            } else {
                self.attempt << 1 | u32::from(self.matched)
            };
            self.memory.remembered.insert((node, place, key), known);
        }
        if let Op::Run { set, run, .. } = self.program.nodes[node as usize].op
            && !self.matched
        {
            let attempt = if never { 0 } else { self.attempt };
            // Stopping at once is another thing once guards are passed here, but stopping further on is not.
            self.remember_run(set, run, place, place + u32::from(key != 0), attempt);
        }
    }

    fn remember_run(&mut self, set: u32, run: u32, place: u32, from: u32, attempt: u32) {
        if self.memory.failed_runs.is_empty() {
            let none = FailedRun {
                from: NONE,
                end: NONE,
                attempt: 0,
            };
            self.memory.failed_runs.resize(self.program.runs, none);
        }
        let known = self.memory.failed_runs[run as usize];
        let end = self.run_end(set, place as usize, Some(known));
        let valid = known.attempt == 0 || known.attempt == self.attempt;
        let covered = valid && known.from <= from && end == known.end;
        if from <= end && !covered {
            self.memory.failed_runs[run as usize] = FailedRun { from, end, attempt };
        }
    }

    /// Where the bytes of a set end; `known`: runs that end like this one.
    pub(super) fn run_end(&mut self, set: u32, place: usize, known: Option<FailedRun>) -> u32 {
        if let Some(known) = known
            && known.from as usize <= place
            && place <= known.end as usize
        {
            return known.end;
        }
        let set = &self.program.sets[set as usize];
        let mut end = place;
        while let Some(&byte) = self.text.get(end) {
            if !set.contains(byte) {
                break;
            }
            end += 1;
            if let Some(known) = known
                && known.from as usize == end
            {
                self.steps += (end - place) as u64 / BYTES_PER_STEP;
                return known.end;
            }
        }
        self.steps += (end - place) as u64 / BYTES_PER_STEP;
        end as u32
    }
}
