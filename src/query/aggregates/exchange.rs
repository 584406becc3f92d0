//! How a partial aggregate hands its state to the final one of the same query: by a ticket. States of hundreds of megabytes
//! need not be copied into columns and out of them again.

use arrow::array::{Array, ArrayRef, AsArray, UInt64Array};
use arrow::datatypes::UInt64Type;
use datafusion::common::{Result, exec_datafusion_err};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// States on their way. One for each aggregate of a plan: it goes when the plan does, whatever became of the query.
pub struct Exchange<T> {
    waiting: Mutex<(u64, HashMap<u64, T>)>,
}

impl<T> Exchange<T> {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { waiting: Mutex::new((0, HashMap::new())) })
    }

    /// Tickets for the states, one for each.
    pub fn deposit(&self, states: impl IntoIterator<Item = T>) -> ArrayRef {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let tickets = states.into_iter().map(|state| {
            waiting.0 += 1;
            let ticket = waiting.0;
            waiting.1.insert(ticket, state);
            ticket
        });
        Arc::new(UInt64Array::from_iter_values(tickets))
    }

    /// The states of tickets, each once.
    pub fn collect(&self, tickets: &dyn Array) -> Result<Vec<T>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let tickets = tickets.as_primitive::<UInt64Type>().values().iter();
        let states = tickets.map(|ticket| waiting.1.remove(ticket));
        states
            .collect::<Option<_>>()
            .ok_or_else(|| exec_datafusion_err!("the state of an aggregate was asked for twice"))
    }
}

impl<T> fmt::Debug for Exchange<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exchange")
    }
}
