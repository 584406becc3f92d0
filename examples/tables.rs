//! The tables and their columns, as docs/tables.md has them.
//!
//!     cargo run --example tables > docs/tables.md

fn main() {
    print!("{}", sweeplake::table::document());
}
