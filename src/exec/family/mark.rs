//! Who started a process, kept in its environment: what it starts inherits that, wherever it goes.

use crate::os::{namespace, process, variable_of};
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

/// The environment variable. Where sweeps start sweeps it holds several marks, the innermost last.
pub const VARIABLE: &str = "SWEEPLAKE_STARTED_BY";

/// A process that starts others, told from all that had its number before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// In another one, numbers of processes mean others.
    namespace: u64,
    pub pid: i32,
    /// Clock ticks since the machine was started.
    pub started: u64,
}

/// One program that an owner started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mark {
    pub owner: Owner,
    number: u32,
}

impl Owner {
    /// The process that asks.
    pub fn this() -> std::io::Result<Self> {
        let this = process(std::process::id() as i32).ok_or(std::io::ErrorKind::Unsupported)?;
        Ok(Self { namespace: namespace()?, pid: this.pid, started: this.started })
    }

    pub fn is_alive(&self) -> bool {
        process(self.pid).is_some_and(|process| process.started == self.started && !process.is_ended)
    }

    /// Whether its number means the same process here.
    pub fn is_of_this_namespace(&self) -> bool {
        namespace().is_ok_and(|own| own == self.namespace)
    }
}

impl Mark {
    /// A mark that nothing else has.
    pub fn new() -> std::io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        Ok(Self { owner: Owner::this()?, number: NUMBER.fetch_add(1, Ordering::Relaxed) })
    }

    /// The variable's value for what this program starts.
    pub fn value(&self) -> String {
        match std::env::var(VARIABLE) {
            Ok(outer) if !outer.is_empty() => format!("{outer},{self}"),
            _ => self.to_string(),
        }
    }
}

/// The marks of a process, the innermost last; none where its environment can't be read.
pub fn marks_of(pid: i32) -> Vec<Mark> {
    variable_of(pid, VARIABLE).unwrap_or_default().split(',').filter_map(|text| text.parse().ok()).collect()
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Owner { namespace, pid, started } = self.owner;
        write!(f, "{namespace}-{pid}-{started}-{}", self.number)
    }
}

impl FromStr for Mark {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut numbers = text.split('-').map(str::parse::<u64>);
        let mut next = || numbers.next().and_then(Result::ok).ok_or(());
        let owner = Owner { namespace: next()?, pid: i32::try_from(next()?).map_err(drop)?, started: next()? };
        let mark = Self { owner, number: u32::try_from(next()?).map_err(drop)? };
        if numbers.next().is_none() { Ok(mark) } else { Err(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_is_written() {
        let mark = Mark::new().unwrap();
        assert_eq!(mark.to_string().parse(), Ok(mark));
        assert_ne!(Mark::new().unwrap(), mark);
        for text in ["", "1-2-3", "1-2-3-4-5", "a-2-3-4", "1-99999999999-3-4"] {
            assert_eq!(text.parse::<Mark>(), Err(()), "{text}");
        }
    }

    #[test]
    fn a_process_is_alive_and_an_earlier_one_of_its_number_is_not() {
        let this = Owner::this().unwrap();
        assert!(this.is_alive() && this.is_of_this_namespace());
        assert!(!Owner { started: this.started + 1, ..this }.is_alive());
        assert!(!Owner { namespace: this.namespace + 1, ..this }.is_of_this_namespace());
    }
}
