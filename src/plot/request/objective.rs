//! What is to be gained on an axis of a Pareto chart.

use super::variable::{Variable, name_of};
use crate::metric::{Better, Metric};
use crate::plot::{Dress, PlotError, Role};
use crate::query::shipped::directed;
use crate::query::{Columns, Kind};
use crate::record::USERS;

/// What is to be gained on one axis.
#[derive(Clone, Debug, PartialEq)]
pub enum Objective {
    Metric {
        name: String,
        better: Better,
    },
    /// Output tokens per second of each user; the variable holds the number of users.
    PerUser {
        count_var: Option<String>,
    },
    /// Output tokens per second of each GPU; the variable holds the number of GPUs.
    PerGpu {
        count_var: Option<String>,
    },
}

impl Objective {
    /// `KEY`, `KEY:min`, `KEY:max`, or an expression, `EXPRESSION AS NAME:min`; without a direction it must be a metric whose better side
    /// is known.
    pub fn parse(text: &str) -> Result<Self, PlotError> {
        let (name, better) = directed(text);
        // An expression may have a metric's name.
        let better = better.or_else(|| Metric::of(name_of(name)).map(|metric| metric.better));
        let better = better.ok_or_else(|| PlotError::BadObjective { text: text.into() })?;
        Ok(Self::Metric { name: name.into(), better })
    }

    pub fn better(&self) -> Better {
        match self {
            Self::Metric { better, .. } => *better,
            Self::PerUser { .. } | Self::PerGpu { .. } => Better::Higher,
        }
    }

    pub fn label(&self, dress: &Dress) -> String {
        dress.name(&self.column())
    }

    /// What no run has of it, and what would give it.
    pub fn missing(&self) -> String {
        match self {
            Self::Metric { name, .. } => format!("`{name}` has no value"),
            Self::PerUser { .. } => {
                format!(
                    "the number of users is unknown (no value in {}); name another column that has it",
                    USERS.join(", ")
                )
            }
            Self::PerGpu { .. } => {
                "the number of GPUs is unknown; name another column that has it, or set gpu_count when importing".into()
            }
        }
    }

    /// The name of its column in a table.
    pub fn column(&self) -> String {
        match self {
            Self::Metric { name, .. } => name_of(name).to_owned(),
            Self::PerUser { .. } => "tokens_per_user".into(),
            Self::PerGpu { .. } => "tokens_per_gpu".into(),
        }
    }

    pub fn key(&self) -> String {
        match self {
            Self::Metric { name, .. } => name.clone(),
            Self::PerUser { count_var } => match count_var {
                Some(var) => format!("output_throughput ÷ {var}"),
                None => {
                    format!("output_throughput ÷ {} (if missing: {})", USERS[0], USERS[1..].join(", "))
                }
            },
            Self::PerGpu { count_var } => {
                format!("output_throughput ÷ {}", count_var.as_deref().unwrap_or("gpu_count"))
            }
        }
    }

    pub fn expression(&self, columns: &Columns) -> Result<String, PlotError> {
        let number = |role: Role, var: &str| {
            let variable = Variable::of(var, columns)?;
            match variable.holds {
                Kind::Number | Kind::Mixed => Ok(variable.number()),
                _ => Err(PlotError::NotANumber { role, var: variable.name }),
            }
        };
        // Of zero or infinitely many nothing can be divided.
        let usable =
            |count: String| format!("CASE WHEN {count} > 0 AND {count} < CAST('inf' AS DOUBLE) THEN {count} END");
        let throughput = number(Role::Objective, "output_throughput");
        match self {
            Self::Metric { name, .. } => number(Role::Objective, name),
            Self::PerUser { count_var: Some(var) } => {
                let asked = usable(number(Role::UserCount, var)?);
                Ok(format!("coalesce({} / {asked}, tokens_per_user)", throughput?))
            }
            Self::PerGpu { count_var: Some(var) } => {
                Ok(format!("{} / {}", throughput?, usable(number(Role::GpuCount, var)?)))
            }
            // What each run knows of its users and its GPUs was found out when it was stored.
            Self::PerUser { count_var: None } => number(Role::Objective, "tokens_per_user"),
            Self::PerGpu { count_var: None } => number(Role::Objective, "tokens_per_gpu"),
        }
    }
}

pub fn direction(better: Better) -> &'static str {
    if better == Better::Higher { "max" } else { "min" }
}
