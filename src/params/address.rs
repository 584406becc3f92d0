//! Where a server listens, and where a benchmark sends: read from the command.

use super::{Command, ParamSet};
use std::fmt;

/// Stand in a command for the port of a server, and for its address.
pub const PORT: &str = "{port}";
pub const BASE_URL: &str = "{base_url}";

/// Host and port of an HTTP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

/// How a benchmark is told where to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// By `--port` or `--base-url`.
    Port,
    /// By a URL that a flag holds: its spellings, first the one that is written.
    Url(&'static [&'static str]),
    /// Only by a placeholder.
    Nothing,
}

impl Default for Address {
    fn default() -> Self {
        Self { host: "127.0.0.1".into(), port: Self::DEFAULT_PORT }
    }
}

impl Address {
    /// vLLM's default port.
    pub const DEFAULT_PORT: u16 = 8000;
    /// From here on a port is looked for where a command leaves it open: the default one is for servers that are started by hand.
    const FIRST_FREE_PORT: u16 = Self::DEFAULT_PORT + 1;

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

    /// A command in which placeholders stand for this server.
    pub fn fill(&self, command: &Command) -> Command {
        command.filled(BASE_URL, &format!("http://{self}")).filled(PORT, &self.port.to_string())
    }

    /// The command of a server, made to listen here: at a placeholder, in what `docker run -p` publishes, or as `--port`.
    pub fn serve(&self, command: &Command) -> Command {
        if command.has(PORT) || command.has(BASE_URL) {
            return self.fill(command);
        }
        let published = command.flag(&["-p"]).filter(|_| command.flag(&["port"]).is_none());
        let Some((outer, inner)) = published.and_then(|text| text.rsplit_once(':')) else {
            return command.with_params(&ParamSet::unchanged().with("port", self.port.into()));
        };
        let host = outer.rsplit_once(':').map(|(host, _)| format!("{host}:")).unwrap_or_default();
        command.with_value("-p", &format!("{host}{}:{inner}", self.port))
    }

    /// The command of a benchmark, made to send here: at a placeholder, in a URL that a flag of it holds, or as `--port`, where it takes that.
    pub fn bench(&self, command: &Command, takes: Takes) -> Option<Command> {
        if command.has(PORT) || command.has(BASE_URL) {
            return Some(self.fill(command));
        }
        let url_flags: &[&str] = match takes {
            Takes::Port => &["base-url"],
            Takes::Url(flags) => flags,
            Takes::Nothing => return None,
        };
        let url = url_flags.iter().find_map(|flag| Some((*flag, command.flag(&[flag])?)));
        match (url, takes) {
            (Some((flag, url)), _) => Some(command.with_value(flag, &self.url_like(url))),
            (None, Takes::Url([flag, ..])) => Some(command.with_words([format!("--{flag}"), format!("http://{self}")])),
            (None, _) => Some(command.with_params(&ParamSet::unchanged().with("port", self.port.into()))),
        }
    }

    /// A URL with this port instead of its own.
    fn url_like(&self, url: &str) -> String {
        let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
        let (authority, path) =
            rest.split_once('/').map_or((rest, String::new()), |(at, path)| (at, format!("/{path}")));
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => host,
            _ => authority,
        };
        let scheme = if scheme.is_empty() { String::new() } else { format!("{scheme}://") };
        format!("{scheme}{host}:{}{path}", self.port)
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
    if command.has(PORT) {
        return Ok(Address::FIRST_FREE_PORT);
    }
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
    fn a_server_is_made_to_listen_elsewhere() {
        let at = Address { host: "127.0.0.1".into(), port: 9001 };
        let cases = [
            ("vllm serve m", "vllm serve m --port 9001"),
            ("vllm serve m --port=8000 -x", "vllm serve m --port 9001 -x"),
            ("./start.sh {port}", "./start.sh 9001"),
            ("docker run -p 8000:8000 image", "docker run -p 9001:8000 image"),
            ("docker run -p 127.0.0.1:8000:80 image", "docker run -p 127.0.0.1:9001:80 image"),
        ];
        for (text, expected) in cases {
            let command = at.serve(&Command::parse("f", text).unwrap());
            assert_eq!(command.quoted(), expected);
            // A script's word for it is not known.
            let told = if text.starts_with("./") { 8000 } else { 9001 };
            assert_eq!(Address::of_server(&command).unwrap().port, told);
        }
        assert_eq!(server("./start.sh --port {port}"), "127.0.0.1:8001");
    }

    #[test]
    fn a_benchmark_is_made_to_send_elsewhere() {
        let at = Address { host: "127.0.0.1".into(), port: 9001 };
        let sent = |text: &str, takes| at.bench(&Command::parse("f", text).unwrap(), takes).map(|found| found.quoted());
        let cases = [
            ("vllm bench serve", Takes::Port, Some("vllm bench serve --port 9001")),
            ("b --base-url http://h:8000/v1 -x", Takes::Port, Some("b --base-url http://h:9001/v1 -x")),
            ("b --base-url http://[::1] -x", Takes::Port, Some("b --base-url 'http://[::1]:9001' -x")),
            (
                "aiperf profile --url localhost:8000",
                Takes::Url(&["url", "-u"]),
                Some("aiperf profile --url localhost:9001"),
            ),
            ("aiperf profile", Takes::Url(&["url", "-u"]), Some("aiperf profile --url http://127.0.0.1:9001")),
            ("aiperf profile -u localhost:8000", Takes::Url(&["url", "-u"]), Some("aiperf profile -u localhost:9001")),
            ("./load.sh {base_url}", Takes::Nothing, Some("./load.sh http://127.0.0.1:9001")),
            ("./load.sh", Takes::Nothing, None),
        ];
        for (text, takes, expected) in cases {
            assert_eq!(sent(text, takes).as_deref(), expected, "for {text}");
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
