//! How fast logs are redacted: lines as a server writes them, some with secrets, in the pieces in which a pipe gives them.
//!
//!     cargo run --release --example redact_speed

use std::io::Write;
use std::time::Instant;
use sweeplake::redact::{Redactor, Stream};

const MIB: usize = 1024 * 1024;
/// What a pipe gives at a time.
const PIECE: usize = 64 * 1024;

/// Counts what is written.
#[derive(Default)]
struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn main() -> std::io::Result<()> {
    let plain = "INFO 11-26 05:12:44 [loggers.py:122] Engine 000: Avg prompt throughput: 5123.4 tokens/s, Avg generation throughput: 812.1 \
                 tokens/s, Running: 64 reqs, Waiting: 0 reqs, GPU KV cache usage: 41.2%, Prefix cache hit rate: 12.1%\n";
    let secret = "INFO 11-26 05:12:45 [api_server.py:88] args: Namespace(model='m', api_key='qZ3kTtPq9dE2', header='Authorization: Bearer \
                  hf_abcdefghijklmnopqrstuvwxyz012345')\n";
    println!("| lines with secrets | input, MiB | MiB/s |");
    println!("| --- | --- | --- |");
    for every in [0, 1000, 10, 1] {
        let mut text = String::with_capacity(64 * MIB);
        for line in 1.. {
            text.push_str(if every > 0 && line % every == 0 { secret } else { plain });
            if text.len() >= 64 * MIB {
                break;
            }
        }
        let redactor = Redactor::new([7; 32]).knowing((0..20).map(|number| format!("a-known-secret-{number}")));
        let start = Instant::now();
        let mut stream = Stream::new(redactor, Counter::default());
        for piece in text.as_bytes().chunks(PIECE) {
            stream.push(piece)?;
        }
        stream.finish()?;
        let speed = text.len() as f64 / MIB as f64 / start.elapsed().as_secs_f64();
        let share = if every == 0 { "none".into() } else { format!("1 in {every}") };
        println!("| {share} | {} | {speed:.0} |", text.len() / MIB);
    }
    Ok(())
}
