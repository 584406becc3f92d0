//! What a search is asked, what it asks for, and what it answers.

/// The values that the variable may have, and how close the answer must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Domain {
    pub min: f64,
    pub max: f64,
    pub is_integer: bool,
    /// Relative: 0.01 asks for a least failing value at most 1 % above the greatest passing one. Adjacent integers are
    /// always close enough.
    pub tolerance: f64,
    /// Runs after which the search ends with what it has.
    pub max_runs: usize,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    Run(f64),
    Done(Answer),
}

/// What a search found. Values are measured ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    pub status: Status,
    /// The greatest value that more likely passes than fails.
    pub value: Option<f64>,
    /// The greatest value that passes for sure, and the least that fails for sure.
    pub lower: Option<f64>,
    pub upper: Option<f64>,
    /// How sure it is that the boundary lies between them.
    pub confidence: Option<f64>,
    /// Where the boundary lies with 95 % probability, between values that were measured.
    pub interval: Option<(f64, f64)>,
    pub is_monotone: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The bracket is as close as was asked for.
    Found,
    /// More runs would hardly narrow it, or there may be no more.
    Wide,
    /// Even the greatest value meets the SLA.
    PassesEverywhere,
    /// Even the least value does not.
    FailsEverywhere,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Wide => "wide",
            Self::PassesEverywhere => "passes_everywhere",
            Self::FailsEverywhere => "fails_everywhere",
        }
    }
}

impl Answer {
    /// Nothing is known.
    pub(super) fn none() -> Self {
        Self {
            status: Status::Wide,
            value: None,
            lower: None,
            upper: None,
            confidence: None,
            interval: None,
            is_monotone: true,
        }
    }
}
