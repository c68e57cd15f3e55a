//! Lines: from a terminal, with editing, history and completion, or from anything else.

use std::cell::RefCell;
use std::io::{BufRead, IsTerminal, stdin};
use std::path::PathBuf;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::{FileHistory, History};
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use super::complete::{self, completions};
use super::session::{Next, Session};
use crate::flake::base_folder;

const PROMPT: &str = "nix-repl> ";
const MOST_HISTORY: usize = 10_000;

/// Where lines come from.
pub(super) struct Input {
    /// With a terminal: what was typed so far, and where it is kept.
    terminal: Option<(FileHistory, Option<PathBuf>)>,
}

impl Input {
    pub(super) fn new() -> rustyline::Result<Self> {
        if !stdin().is_terminal() {
            return Ok(Self { terminal: None });
        }
        let file = base_folder("XDG_STATE_HOME", ".local/state")
            .map(|folder| folder.join("niphas/repl-history"));
        let mut history = FileHistory::with_config(&config()?);
        if let Some(file) = &file {
            // The first session has none.
            let _ = history.load(file);
        }
        Ok(Self {
            terminal: Some((history, file)),
        })
    }

    /// Has a session take lines until it wants no more.
    pub(super) fn drive(&mut self, session: &mut Session<'_, '_>) -> Next {
        match self.terminal.take() {
            None => drive_by_lines(session),
            Some((history, file)) => {
                let (next, history) = drive_by_editor(session, history);
                self.terminal = history.map(|history| (history, file));
                next
            }
        }
    }

    /// Keeps what was typed. A session is no worse where that cannot be done.
    pub(super) fn save_history(&mut self) {
        if let Some((history, Some(file))) = &mut self.terminal {
            let folder = file.parent().map_or(Ok(()), std::fs::create_dir_all);
            if let Err(error) = folder
                .map_err(Into::into)
                .and_then(|()| history.append(file))
            {
                tracing::warn!(
                    "the history cannot be kept in '{}': {error}",
                    file.display()
                );
            }
        }
    }
}

fn config() -> rustyline::Result<Config> {
    Ok(Config::builder()
        .max_history_size(MOST_HISTORY)?
        .history_ignore_space(true)
        .completion_type(CompletionType::List)
        .auto_add_history(true)
        .build())
}

fn drive_by_lines(session: &mut Session<'_, '_>) -> Next {
    let mut text = String::new();
    for line in stdin().lock().lines() {
        let Ok(line) = line else { break };
        text.push_str(&line);
        if complete::is_incomplete(&text) {
            text.push('\n');
            continue;
        }
        match session.take(&text) {
            Next::Line => text.clear(),
            next => return next,
        }
    }
    if !text.trim().is_empty() {
        session.take(&text);
    }
    Next::End
}

fn drive_by_editor(
    session: &mut Session<'_, '_>,
    history: FileHistory,
) -> (Next, Option<FileHistory>) {
    let editor = config().and_then(|config| Editor::with_history(config, history));
    let mut editor = match editor {
        Ok(editor) => editor,
        Err(error) => {
            tracing::error!("the terminal cannot be used: {error}");
            return (Next::End, None);
        }
    };
    editor.set_helper(Some(SessionHelper {
        session: RefCell::new(session),
    }));
    let next = loop {
        match editor.readline(PROMPT) {
            Ok(line) => {
                let Some(helper) = editor.helper() else {
                    break Next::End;
                };
                match helper.session.borrow_mut().take(&line) {
                    Next::Line => {}
                    next => break next,
                }
            }
            // What was typed is thrown away.
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break Next::End,
            Err(error) => {
                tracing::error!("no line can be read: {error}");
                break Next::End;
            }
        }
    };
    (next, Some(std::mem::take(editor.history_mut())))
}

/// What the editor asks while a line is typed.
struct SessionHelper<'h, 's, 'a> {
    session: RefCell<&'h mut Session<'s, 'a>>,
}

impl Completer for SessionHelper<'_, '_, '_> {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(completions(&mut self.session.borrow_mut(), &line[..at]))
    }
}

impl Validator for SessionHelper<'_, '_, '_> {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if complete::is_incomplete(context.input()) {
            ValidationResult::Incomplete
        } else {
            ValidationResult::Valid(None)
        })
    }
}

impl Hinter for SessionHelper<'_, '_, '_> {
    type Hint = String;
}

impl Highlighter for SessionHelper<'_, '_, '_> {}

impl Helper for SessionHelper<'_, '_, '_> {}
