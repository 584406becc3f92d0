//! Queries on several machines: the same answers as on one, whatever happens to the workers.

use crate::one_truth::{ask, assert_same, queries, sweep, write};
use crate::scratch::{Ran, Running, Scratch};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;
use sweeplake::query::{Lake, OpenOptions, Workers};
use tokio::runtime::Runtime;

/// A worker of a lake, and where it listens.
struct Worker {
    _running: Running,
    address: String,
}

impl Worker {
    fn start(scratch: &Scratch, lake: &str, token: Option<&str>) -> Self {
        let mut command = scratch.command(&["worker", "--listen", "127.0.0.1:0", lake]);
        command.env_remove("SWEEPLAKE_TOKEN").envs(token.map(|token| ("SWEEPLAKE_TOKEN", token)));
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        // Whatever else it says is read, so that it never waits for us.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        let address = line.trim().rsplit(' ').next().unwrap().to_owned();
        assert!(address.starts_with("127.0.0.1:"), "{line}");
        Self { _running: Running(child), address }
    }

    fn three(scratch: &Scratch, lake: &str) -> (Vec<Self>, String) {
        let workers: Vec<Self> = (0..3).map(|_| Self::start(scratch, lake, None)).collect();
        let addresses: Vec<&str> = workers.iter().map(|worker| worker.address.as_str()).collect();
        let addresses = addresses.join(",");
        (workers, addresses)
    }
}

/// A lake of generated sweeps, stored as ours, and of one that was measured here, with requests and telemetry, as it was left.
fn lake(scratch: &Scratch) {
    let mut runner = TestRunner::deterministic();
    for index in 0..3 {
        let generated = sweep().new_tree(&mut runner).unwrap().current();
        write(scratch, &format!("vllm/a{index}"), &generated);
    }
    scratch.ok(&["import", "vllm", "-o", "lake"]);
    let bench = scratch.bench("--save-detailed");
    let grids = ["--serve-grid", "max_num_seqs=1,4", "--bench-grid", "max_concurrency=1,3", "--num-runs", "2"];
    scratch.serve_ok(&scratch.sim(""), &bench, &[&grids[..], &["-o", "lake", "-e", "measured"]].concat());
}

fn on(scratch: &Scratch, runtime: &Runtime, addresses: &str) -> Lake {
    // A core has enough to do with a byte: whatever can be shared is.
    let workers = runtime.block_on(Workers::find(addresses, None, Some(1))).unwrap();
    let options = OpenOptions { workers: Some(workers), ..OpenOptions::default() };
    Lake::open_with(&[scratch.path("lake")], &options).unwrap()
}

/// What is asked: everything that ships and what one_truth asks, and each aggregate, order and join of ours over all tables.
fn asked() -> Vec<(String, String)> {
    let mut asked: Vec<(String, String)> = queries();
    for sql in [
        "SELECT sweep, count(*) AS n, avg(e2el_ms) AS mean, percentile_cont(0.9) WITHIN GROUP (ORDER BY e2el_ms) AS p90, \
         percentile_cont(0.9) WITHIN GROUP (ORDER BY e2el_ms DESC) AS p10, max(e2el_ms) AS most FROM requests GROUP BY sweep ORDER BY sweep",
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY ttft_ms) AS p50, count(DISTINCT ttft_ms) AS n, count(DISTINCT run_id) AS runs FROM requests",
        "SELECT count(DISTINCT max_concurrency) AS loads, count(DISTINCT output_throughput) AS n FROM runs",
        "SELECT sweep, max(request_rate) AS most, min(request_rate) AS least FROM runs GROUP BY sweep ORDER BY sweep",
        "SELECT * FROM pareto(runs, 'output_throughput max', 'p99_e2el_ms min', group => 'sweep') ORDER BY run_id",
        "SELECT sweep, combination FROM pareto(requests, 'ttft_ms min', 'e2el_ms min') ORDER BY 1, 2",
        "SELECT r.sweep, r.run_id, count(*) AS n FROM runs r JOIN requests q USING (run_id) GROUP BY 1, 2 ORDER BY 1, 2",
        "SELECT label, p99_e2el_ms_mean, pooled_requests, pooled_p99_e2el_ms FROM combinations ORDER BY sweep, combination",
        "SELECT run_id, row_number() OVER (PARTITION BY sweep ORDER BY output_throughput, run_id) AS place FROM runs ORDER BY run_id",
        "SELECT sweep, count(*) AS n FROM telemetry GROUP BY 1 ORDER BY 1",
        "SELECT 'a' AS k, avg(e2el_ms) AS v FROM requests UNION ALL SELECT 'b', avg(output_throughput) FROM runs ORDER BY k, v",
        "SELECT 'a' AS k, count(DISTINCT run_id) AS v FROM requests UNION ALL SELECT 'b', count(*) FROM runs ORDER BY k, v",
        "SELECT * FROM (SELECT sweep, sum(e2el_ms) AS s FROM requests GROUP BY 1) CROSS JOIN (SELECT avg(output_throughput) AS t FROM runs) ORDER BY 1",
        "SELECT count(*) AS n FROM requests WHERE e2el_ms > (SELECT avg(e2el_ms) FROM requests)",
        "SELECT run_id FROM runs s WHERE p99_e2el_ms > (SELECT avg(e2el_ms) FROM requests) ORDER BY 1",
        "SELECT count(*) AS n FROM requests WHERE run_id IN (SELECT run_id FROM runs ORDER BY run_id LIMIT 2)",
        "SELECT r.run_id, q.n FROM runs r FULL JOIN (SELECT run_id, count(*) AS n FROM requests GROUP BY 1) q USING (run_id) ORDER BY 1, 2",
        "SELECT table_name, count(*) AS n FROM columns GROUP BY 1 ORDER BY 1",
        "SELECT e2el_ms FROM requests ORDER BY e2el_ms DESC, run_id LIMIT 5",
    ] {
        asked.push((sql.to_owned(), sql.to_owned()));
    }
    asked
}

#[test]
fn workers_say_what_one_machine_says() {
    let scratch = Scratch::new();
    lake(&scratch);
    let (_workers, addresses) = Worker::three(&scratch, "lake");
    let runtime = Runtime::new().unwrap();
    for form in ["as they were left", "compacted"] {
        let (alone, shared) = (Lake::open(&[scratch.path("lake")]).unwrap(), on(&scratch, &runtime, &addresses));
        for (name, sql) in asked() {
            assert_same(&name, &ask(&runtime, &alone, &sql), &ask(&runtime, &shared, &sql), form);
        }
        // What workers can't answer together is answered here, and said; that is the exception.
        let unshared = shared.take_warnings();
        assert!(unshared.len() < 5, "{unshared:?}");
        scratch.ok(&["compact", "lake"]);
    }
}

#[test]
fn a_worker_that_dies_makes_no_answer_wrong() {
    let scratch = Scratch::new();
    lake(&scratch);
    let runtime = Runtime::new().unwrap();
    let sql = "SELECT sweep, run_id, count(*) AS n, percentile_cont(0.5) WITHIN GROUP (ORDER BY e2el_ms) AS p50 FROM requests GROUP BY 1, 2 ORDER BY 1, 2";
    let right = ask(&runtime, &Lake::open(&[scratch.path("lake")]).unwrap(), sql);
    assert!(right.is_ok());
    let mut failures = Vec::new();
    for delay in [0, 2, 5, 10, 20, 40] {
        let (mut workers, addresses) = Worker::three(&scratch, "lake");
        let shared = on(&scratch, &runtime, &addresses);
        let victim = workers.remove(1);
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(delay));
            drop(victim);
        });
        for _ in 0..3 {
            match ask(&runtime, &shared, sql) {
                Err(error) => failures.push(error),
                answer => assert_same("killed", &right, &answer, "with a worker that dies"),
            }
        }
        killer.join().unwrap();
        // Who is asked after that is left out, and the rest answer.
        let again = on(&scratch, &runtime, &addresses);
        assert!(again.take_warnings().concat().contains("nothing answers there"));
        assert_same("after that", &right, &ask(&runtime, &again, sql), "with the other workers");
    }
    assert!(!failures.is_empty(), "no worker was missed");
    assert!(failures.iter().all(|error| error.contains("worker")), "{failures:?}");
}

#[test]
fn a_worker_reads_its_lake_and_nothing_else() {
    let scratch = Scratch::new();
    lake(&scratch);
    std::fs::create_dir(scratch.path("other")).unwrap();
    let (_workers, addresses) = Worker::three(&scratch, "other");
    let query = |sql: &str| scratch.run(&["query", "lake", sql, "--workers", &addresses, "--bytes-per-core", "1"]);
    for sql in ["SELECT sum(e2el_ms) FROM requests", "SELECT avg(output_throughput) FROM runs"] {
        let ran = query(sql);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let said = ["could not be shared", "the worker reads only"];
        assert!(said.iter().all(|text| ran.stderr.contains(text)), "{}", ran.stderr);
    }
}

#[test]
fn who_lacks_the_token_is_refused() {
    let scratch = Scratch::new();
    lake(&scratch);
    let worker = Worker::start(&scratch, "lake", Some("secret-of-ours"));
    let query = |token: Option<&str>| {
        let arguments = ["query", "lake", "SELECT count(*) AS n FROM runs", "--workers", &worker.address];
        let mut command: Command = scratch.command(&arguments);
        command.env_remove("SWEEPLAKE_TOKEN").envs(token.map(|token| ("SWEEPLAKE_TOKEN", token)));
        Ran::of(command.output().unwrap())
    };
    assert_eq!(query(Some("secret-of-ours")).code, Some(0));
    for token in [None, Some("secret-of-others"), Some("secret-of-our")] {
        let ran = query(token);
        assert_eq!(ran.code, Some(2));
        assert!(ran.stderr.contains("SWEEPLAKE_TOKEN") && !ran.stderr.contains("secret"), "{}", ran.stderr);
    }
    let open = scratch.command(&["worker", "--listen", "0.0.0.0:0", "lake"]).env_remove("SWEEPLAKE_TOKEN").output();
    let open = Ran::of(open.unwrap());
    assert_eq!(open.code, Some(2));
    assert!(open.stderr.contains("SWEEPLAKE_TOKEN"), "{}", open.stderr);
}

#[test]
fn workers_that_cannot_be_asked_are_named() {
    let scratch = Scratch::new();
    lake(&scratch);
    let nobody = format!("127.0.0.1:{}", scratch.port);
    for (addresses, said) in [
        (nobody.as_str(), "nothing answers there"),
        ("127.0.0.1", "expected HOST:PORT"),
        ("no-such-host.invalid:7077", "does not resolve"),
    ] {
        let ran = scratch.run(&["query", "lake", "SELECT 1 AS one", "--workers", addresses]);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
    let worker = Worker::start(&scratch, "lake", None);
    let both = format!("{nobody},{}", worker.address);
    let ran = scratch.ok(&["query", "lake", "SELECT count(*) AS n FROM runs", "--workers", &both]);
    assert!(ran.stderr.contains(&nobody) && ran.stderr.contains("the other workers"), "{}", ran.stderr);
    let variable = Ran::of(
        scratch
            .command(&["query", "lake", "SELECT count(*) AS n FROM runs"])
            .env("SWEEPLAKE_WORKERS", &nobody)
            .output()
            .unwrap(),
    );
    assert!(variable.stderr.contains(&nobody), "{}", variable.stderr);
    drop(worker);
    let missing = scratch.run(&["worker", "--listen", "127.0.0.1:0", "no-such-lake"]);
    assert!(missing.code == Some(2) && missing.stderr.contains("no-such-lake"), "{}", missing.stderr);
}
