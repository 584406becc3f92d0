//! Columns that hold numbers in some runs and texts in others, as `max_model_len` with 8192 and `auto`.
//!
//! They are texts, spelled as people write them, and marked. Arithmetic, comparisons with numbers and order work on the numbers,
//! comparisons with texts on the spellings, and grouping on the spellings, too, so that `auto` and NULL stay apart. What a query
//! means does not depend on whether a text is among the values.

mod arguments;
mod comparisons;

pub use arguments::{as_number, number_of, rewrite};
pub use comparisons::{MixedComparisons, may_be_mixed};
