//! The soak example, with a few dozen kills.

#[expect(dead_code, reason = "the example's main")]
#[path = "../../examples/soak.rs"]
mod example;

use crate::scratch::PROGRAM;

#[test]
fn killed_at_random_instants_every_kind_of_sweep_ends_whole() {
    example::soak(PROGRAM, 7, 20261126).unwrap();
}
