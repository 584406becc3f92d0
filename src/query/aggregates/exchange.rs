//! How a partial aggregate hands its state to the final one of the same query. In one process by a ticket: states of hundreds of
//! megabytes need not be copied into columns and out of them again. Between machines they have to be.

use arrow::array::{Array, ArrayRef, AsArray, LargeBinaryArray, UInt64Array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, UInt64Type};
use datafusion::common::{Result, exec_datafusion_err};
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

/// Whether the aggregates of a query all are of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    Process,
    Machines,
}

/// A state that can go through the network. (Not as lists: Flight gives long lists another type than they have.)
pub trait State: Sized {
    fn write(&self, bytes: &mut Vec<u8>);

    fn of_bytes(bytes: &[u8]) -> Option<Self>;
}

/// The way of an aggregate's states.
#[derive(Debug)]
pub enum Handover<T> {
    Tickets(Arc<Exchange<T>>),
    Columns,
}

impl<T: State> Handover<T> {
    pub fn new(reach: Reach) -> Self {
        match reach {
            Reach::Process => Self::Tickets(Exchange::new()),
            Reach::Machines => Self::Columns,
        }
    }

    /// The column of states of an aggregate.
    pub fn field(&self, aggregate: &str) -> Field {
        match self {
            Self::Tickets(_) => Field::new(format!("{aggregate}[ticket]"), DataType::UInt64, false),
            Self::Columns => Field::new(format!("{aggregate}[state]"), DataType::LargeBinary, false),
        }
    }

    pub fn give(&self, states: Vec<T>) -> ArrayRef {
        match self {
            Self::Tickets(exchange) => exchange.deposit(states),
            Self::Columns => Arc::new(column_of(&states)),
        }
    }

    pub fn take(&self, column: &dyn Array) -> Result<Vec<T>> {
        match self {
            Self::Tickets(exchange) => exchange.collect(column),
            Self::Columns => {
                let states = column.as_binary::<i64>().iter().map(|bytes| T::of_bytes(bytes?));
                let states: Option<Vec<T>> = states.collect();
                states.ok_or_else(|| exec_datafusion_err!("the state of an aggregate is damaged"))
            }
        }
    }
}

fn column_of<T: State>(states: &[T]) -> LargeBinaryArray {
    let (mut bytes, mut lengths) = (Vec::new(), Vec::with_capacity(states.len()));
    for state in states {
        let before = bytes.len();
        state.write(&mut bytes);
        lengths.push(bytes.len() - before);
    }
    LargeBinaryArray::new(OffsetBuffer::from_lengths(lengths), bytes.into(), None)
}

impl<T> Clone for Handover<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Tickets(exchange) => Self::Tickets(exchange.clone()),
            Self::Columns => Self::Columns,
        }
    }
}

impl<T> PartialEq for Handover<T> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tickets(own), Self::Tickets(other)) => Arc::ptr_eq(own, other),
            (Self::Columns, Self::Columns) => true,
            _ => false,
        }
    }
}

impl<T> Eq for Handover<T> {}

impl<T> Hash for Handover<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Tickets(exchange) => Arc::as_ptr(exchange).hash(state),
            Self::Columns => 0.hash(state),
        }
    }
}

/// States on their way. One for each aggregate of a plan: it goes when the plan does, whatever became of the query.
pub struct Exchange<T> {
    waiting: Mutex<(u64, HashMap<u64, T>)>,
}

impl<T> Exchange<T> {
    fn new() -> Arc<Self> {
        Arc::new(Self { waiting: Mutex::new((0, HashMap::new())) })
    }

    /// Tickets for the states, one for each.
    fn deposit(&self, states: Vec<T>) -> ArrayRef {
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
    fn collect(&self, tickets: &dyn Array) -> Result<Vec<T>> {
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
