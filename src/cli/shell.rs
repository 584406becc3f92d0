//! The interactive shell of `sweeplake query`, and its scripts: statements up to a semicolon, commands behind a backslash.

use super::table::{self, Output, OutputFormat};
use super::{Ended, Failure, query_failure};
use crate::cli::say::{out, say};
use crate::query::{Answer, Lake, TABLES, quoted, spelled};
use nix::sys::signal::{SigHandler, Signal, signal};
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use std::cell::OnceCell;
use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;
use tokio::runtime::Runtime;

const HELP: &str = "\
  SELECT …;      run a query, which may span several lines
  \\d             list the tables
  \\d TABLE       list a table's columns
  \\x             turn rows as columns on or off, for wide results
  \\timing        turn the time of each query on or off
  \\o FILE        write results to a file (.csv, .json, .jsonl, .parquet, .md, .txt); \\o alone returns to the screen
  \\?             show this help
  \\q             quit (or Ctrl-D)";

const PROMPT: &str = "lake> ";

/// What the user set for the rest of the session.
struct Shell {
    lake: Rc<Lake>,
    runtime: Rc<Runtime>,
    is_expanded: bool,
    tells_time: bool,
    output: Option<PathBuf>,
    format: Option<OutputFormat>,
}

/// How a statement or command ended.
enum Step {
    Done,
    Quit,
}

/// Reads statements from a person, or from a script on stdin, until there are no more.
#[expect(unsafe_code, reason = "a signal is ignored")]
pub fn run(lake: Lake, output: Output) -> Ended {
    // A pager that is left early must not end the shell.
    // SAFETY: ignoring a signal runs no handler.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::work)?;
    let mut shell = Shell {
        lake: Rc::new(lake),
        runtime: Rc::new(runtime),
        is_expanded: false,
        tells_time: false,
        output: output.output,
        format: output.format,
    };
    if std::io::stdin().is_terminal() { shell.converse() } else { shell.follow_script() }
}

impl Shell {
    fn converse(&mut self) -> Ended {
        let config = Config::builder().completion_type(CompletionType::List).auto_add_history(true).build();
        let mut editor: Editor<Assistant, DefaultHistory> = Editor::with_config(config).map_err(Failure::work)?;
        editor.set_helper(Some(Assistant {
            lake: self.lake.clone(),
            runtime: self.runtime.clone(),
            words: OnceCell::new(),
        }));
        let history = history_file();
        if let Some(path) = &history {
            // There is none yet when the shell is used for the first time.
            let _ = editor.load_history(path);
        }
        out!("{} sweeps. End each query with a semicolon; \\? for help.", self.lake.sweeps().len());
        loop {
            match editor.readline(PROMPT) {
                Ok(text) => match self.step(&text) {
                    Ok(Step::Done) => {}
                    Ok(Step::Quit) => break,
                    Err(Failure::Interrupted) => say!("stopped"),
                    Err(Failure::Input(message) | Failure::Work(message)) => say!("error: {message}"),
                },
                // What was being typed is thrown away, as in other shells.
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => break,
                Err(error) => return Err(Failure::work(error)),
            }
        }
        if let Some(path) = &history {
            let saved = path.parent().map_or(Ok(()), std::fs::create_dir_all).map(|()| editor.save_history(path));
            if !matches!(saved, Ok(Ok(()))) {
                say!("warning: {}: cannot save the history", path.display());
            }
        }
        Ok(())
    }

    fn follow_script(&mut self) -> Ended {
        let mut script = String::new();
        std::io::stdin().read_to_string(&mut script).map_err(Failure::input)?;
        for statement in statements(&script) {
            if let Step::Quit = self.step(statement)? {
                break;
            }
        }
        Ok(())
    }

    /// Follows one command, or the statements of a text.
    fn step(&mut self, text: &str) -> Result<Step, Failure> {
        for statement in statements(text) {
            let statement = statement.trim().trim_end_matches(';').trim();
            match statement.strip_prefix('\\') {
                Some(command) => {
                    if let Step::Quit = self.command(command)? {
                        return Ok(Step::Quit);
                    }
                }
                None if matches!(statement.to_ascii_lowercase().as_str(), "quit" | "exit") => return Ok(Step::Quit),
                None if is_blank(statement) => {}
                None => self.ask(statement)?,
            }
        }
        Ok(Step::Done)
    }

    fn command(&mut self, command: &str) -> Result<Step, Failure> {
        let (name, argument) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let on_or_off = |on: bool| if on { "on" } else { "off" };
        match (name, argument.trim()) {
            ("q", _) => return Ok(Step::Quit),
            ("?" | "h" | "help", _) => out!("{HELP}"),
            ("x", _) => {
                self.is_expanded = !self.is_expanded;
                say!("rows as columns: {}", on_or_off(self.is_expanded));
            }
            ("timing", _) => {
                self.tells_time = !self.tells_time;
                say!("timing: {}", on_or_off(self.tells_time));
            }
            ("o", "") => self.output = None,
            ("o", path) => self.output = Some(path.into()),
            ("d", "") => self.ask(
                "SELECT table_name, count(*) AS columns FROM information_schema.columns \
                 WHERE table_schema = 'lake' GROUP BY table_name ORDER BY table_name",
            )?,
            ("d", table) => self.ask(&format!("DESCRIBE {}", quoted(table)))?,
            (unknown, _) => return Err(Failure::input(format!("unknown command \\{unknown}; \\? lists all commands"))),
        }
        Ok(Step::Done)
    }

    fn ask(&self, sql: &str) -> Ended {
        let started = Instant::now();
        let asked = self.runtime.block_on(async {
            tokio::select! {
                ended = self.answer(sql) => ended,
                _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
            }
        })?;
        self.lake.take_warnings().iter().for_each(|warning| say!("warning: {warning}"));
        let took = started.elapsed();
        if let Some(answer) = asked {
            self.show(&answer)?;
        }
        if self.tells_time {
            say!("time: {:.1} ms", took.as_secs_f64() * 1000.0);
        }
        Ok(())
    }

    /// Asks; an answer for reading comes back, one for a program is written as it comes.
    async fn answer(&self, sql: &str) -> Result<Option<Answer>, Failure> {
        let rows = self.lake.rows(sql).await.map_err(query_failure)?;
        let output = self.output();
        match output.is_for_reading() {
            true => rows.collect().await.map(Some).map_err(query_failure),
            false => output.write_rows(rows).await.map(|()| None),
        }
    }

    fn output(&self) -> Output {
        Output { format: self.format, output: self.output.clone() }
    }

    fn show(&self, answer: &Answer) -> Ended {
        let output = self.output();
        if output.output.is_some() || output.format.is_some() || !std::io::stdout().is_terminal() {
            return output.write(answer);
        }
        let text = if self.is_expanded { table::records(answer) } else { table::wide_table(answer) };
        super::pager::page(&text.map_err(query_failure)?)
    }
}

/// `~/.local/state/sweeplake/history`, or where the desktop's rules put such files.
fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    let state = state.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")));
    state.map(|folder| folder.join("sweeplake/history"))
}

/// Splits a text behind each semicolon that stands outside quotes and comments. A line that begins with a backslash is
/// a command of its own.
fn statements(text: &str) -> Vec<&str> {
    let mut statements = Vec::new();
    let mut rest = text;
    while !rest.trim().is_empty() {
        let start = rest.trim_start();
        let end = match start.starts_with('\\') {
            true => start.find('\n').unwrap_or(start.len()),
            false => end_of_statement(start).unwrap_or(start.len()),
        };
        statements.push(&start[..end]);
        rest = &start[end..];
    }
    statements
}

/// Where the first statement ends: behind its semicolon. `None` while it has none.
fn end_of_statement(text: &str) -> Option<usize> {
    let mut rest = text;
    loop {
        if let Some(behind) = behind_comment(rest) {
            rest = behind;
            continue;
        }
        let letter = rest.chars().next()?;
        rest = &rest[letter.len_utf8()..];
        match letter {
            ';' => return Some(text.len() - rest.len()),
            '\'' | '"' => rest = rest.split_once(letter)?.1,
            _ => {}
        }
    }
}

/// What stands behind the comment that a text begins with, if it does.
fn behind_comment(text: &str) -> Option<&str> {
    let (inside, end) = match text.strip_prefix("--") {
        Some(inside) => (inside, "\n"),
        None => (text.strip_prefix("/*")?, "*/"),
    };
    Some(inside.split_once(end).map_or("", |(_, behind)| behind))
}

fn is_blank(statement: &str) -> bool {
    let mut rest = statement.trim_start();
    while let Some(behind) = behind_comment(rest) {
        rest = behind.trim_start();
    }
    rest.is_empty()
}

/// Helps at typing: goes on with a statement until it ends, and completes names.
struct Assistant {
    lake: Rc<Lake>,
    runtime: Rc<Runtime>,
    words: OnceCell<Vec<String>>,
}

impl Helper for Assistant {}
impl Highlighter for Assistant {}
impl Hinter for Assistant {
    type Hint = String;
}

impl Validator for Assistant {
    fn validate(&self, context: &mut ValidationContext) -> rustyline::Result<ValidationResult> {
        let text = context.input().trim();
        let is_whole = text.is_empty()
            || text.starts_with('\\')
            || matches!(text.to_ascii_lowercase().as_str(), "quit" | "exit")
            || end_of_statement(text).is_some();
        Ok(if is_whole { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

const KEYWORDS: [&str; 34] = [
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "ORDER BY",
    "HAVING",
    "LIMIT",
    "JOIN",
    "LEFT JOIN",
    "USING",
    "DISTINCT",
    "DESCRIBE",
    "EXPLAIN",
    "EXPLAIN ANALYZE",
    "SHOW TABLES",
    "BETWEEN",
    "IS NULL",
    "IS NOT NULL",
    "FILTER (WHERE",
    "WITH",
    "UNION ALL",
    "ROLLUP",
    "avg(",
    "count(",
    "max(",
    "min(",
    "median(",
    "stddev(",
    "percentile_cont(",
    "approx_percentile_cont(",
    "first_value(",
    "pareto(",
    "goodput(",
    "t_critical(",
];

impl Assistant {
    /// Keywords, tables and the columns of all tables.
    fn words(&self) -> &[String] {
        self.words.get_or_init(|| {
            let mut words: Vec<String> = KEYWORDS.iter().chain(&TABLES).map(|word| (*word).to_owned()).collect();
            for table in TABLES {
                // A table that can't be read has no columns to offer; asking it tells why.
                let columns = self.runtime.block_on(self.lake.columns(table));
                let names = columns.iter().flat_map(|columns| columns.names());
                words.extend(names.map(spelled));
            }
            words.sort();
            words.dedup();
            words
        })
    }
}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(&self, line: &str, position: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = &line[..position];
        let is_of_word = |letter: char| letter.is_alphanumeric() || "_.\"".contains(letter);
        let start = before.rfind(|letter| !is_of_word(letter)).map_or(0, |index| index + 1);
        let typed = before[start..].to_ascii_lowercase();
        let words = self.words().iter().filter(|word| word.to_ascii_lowercase().starts_with(&typed));
        let pairs = words.map(|word| Pair { display: word.clone(), replacement: word.clone() });
        Ok((start, if typed.is_empty() { Vec::new() } else { pairs.collect() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_at_semicolons_outside_quotes_and_comments() {
        let text = "SELECT ';' AS \"a;b\" -- not; here\nFROM runs;\\timing\n\\o x;y.csv\n SELECT 2; -- last\n";
        assert_eq!(
            statements(text),
            ["SELECT ';' AS \"a;b\" -- not; here\nFROM runs;", "\\timing", "\\o x;y.csv", "SELECT 2;", "-- last\n"]
        );
        assert_eq!(statements("SELECT /* ; */ 1; /* b; */ SELECT 2;"), ["SELECT /* ; */ 1;", "/* b; */ SELECT 2;"]);
        assert!(is_blank("-- last\n") && is_blank(" /* a\n */ -- b") && !is_blank("-- a\nSELECT 1"));
        assert_eq!(end_of_statement("SELECT 'it''s;"), None);
        assert_eq!(end_of_statement("SELECT 1 /* not yet;"), None);
    }
}
