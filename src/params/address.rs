//! Where a server listens, and where a benchmark sends: read from the command.

use super::Command;
use std::fmt;

/// Host and port of an HTTP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

impl Default for Address {
    fn default() -> Self {
        Self { host: "127.0.0.1".into(), port: Self::DEFAULT_PORT }
    }
}

impl Address {
    /// vLLM's default port.
    pub const DEFAULT_PORT: u16 = 8000;

    /// The address at which a server started by this command can be reached.
    /// `Err` holds the word that is no port number.
    pub fn of_server(command: &Command) -> Result<Self, String> {
        let host = command.flag(&["host"]).unwrap_or("127.0.0.1");
        let port = port_of(command)?;
        Ok(Self { host: reachable(host), port })
    }

    /// The address to which a benchmark sends, when its command says so.
    pub fn of_benchmark(command: &Command) -> Result<Self, String> {
        if let Some(url) = command.flag(&["base-url"]) {
            let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
            let authority = authority.split('/').next().unwrap_or_default();
            let default = if url.starts_with("https:") { 443 } else { 80 };
            let (host, port) = match authority.rsplit_once(':') {
                Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| port.to_owned())?),
                _ => (authority, default),
            };
            return Ok(Self { host: reachable(host), port });
        }
        Self::of_server(command)
    }

    /// Whether both name the same place: every spelling of this machine is one.
    pub fn is_same_place(&self, other: &Self) -> bool {
        let this_machine = |host: &str| matches!(host, "127.0.0.1" | "localhost" | "::1");
        self.port == other.port && (self.host == other.host || (this_machine(&self.host) && this_machine(&other.host)))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

fn port_of(command: &Command) -> Result<u16, String> {
    match command.flag(&["port", "-p"]) {
        // `docker run -p 8001:8000` publishes the port inside at the one before it.
        Some(text) => text.rsplit(':').nth(1).unwrap_or(text).parse().map_err(|_| text.to_owned()),
        None => Ok(Address::DEFAULT_PORT),
    }
}

/// A server bound to every interface is reached on this machine.
fn reachable(host: &str) -> String {
    match host.trim_start_matches('[').trim_end_matches(']') {
        "0.0.0.0" | "" => "127.0.0.1".into(),
        "::" => "::1".into(),
        host => host.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(command: &str) -> String {
        Address::of_server(&Command::parse("f", command).unwrap()).map_or_else(|bad| bad, |found| found.to_string())
    }

    #[test]
    fn every_form_of_host_and_port_is_found() {
        let cases = [
            ("vllm serve m", "127.0.0.1:8000"),
            ("vllm serve m --port 8001", "127.0.0.1:8001"),
            ("vllm serve m --port=8001 --host=10.0.0.1", "10.0.0.1:8001"),
            ("vllm serve m -p 9 --port 10", "127.0.0.1:10"),
            ("vllm serve m --host 0.0.0.0", "127.0.0.1:8000"),
            ("vllm serve m --host ::", "[::1]:8000"),
            ("vllm serve m --host [::1] --port 7", "[::1]:7"),
            ("vllm serve m --port x", "x"),
            ("docker run -p 8001:8000 image", "127.0.0.1:8001"),
            ("docker run -p 127.0.0.1:8002:8000 image", "127.0.0.1:8002"),
        ];
        for (command, expected) in cases {
            assert_eq!(server(command), expected, "for {command}");
        }
    }

    #[test]
    fn a_benchmark_may_name_a_url() {
        let to = |command: &str| Address::of_benchmark(&Command::parse("f", command).unwrap()).unwrap();
        assert_eq!(to("b --base-url http://localhost:81/v1").port, 81);
        assert_eq!(to("b --base-url http://[::1]:82").to_string(), "[::1]:82");
        assert_eq!(to("b --base-url https://example.org").port, 443);
        assert!(to("b --host localhost --port 5").is_same_place(&to("b --port 5")));
        assert!(!to("b --port 6").is_same_place(&to("b --port 5")));
    }
}
