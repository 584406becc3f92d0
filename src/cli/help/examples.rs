//! Examples of each sub-command. A test runs them all, in this order, on a simulated server that is called `vllm`.

/// Of each sub-command, what it does and how.
pub const EXAMPLES: [(&str, &[(&str, &str)]); 31] = [
    (
        "serve",
        &[
            (
                "Sweep server settings over loads",
                "sweeplake serve --serve-cmd 'vllm serve MODEL' --bench-cmd 'vllm bench serve --model MODEL' --serve-grid max_num_seqs=64,256 --bench-grid max_concurrency=2,4 -e first",
            ),
            (
                "Run what is missing, after Ctrl-C or a failure",
                "sweeplake serve --serve-cmd 'vllm serve MODEL' --bench-cmd 'vllm bench serve --model MODEL' --serve-grid max_num_seqs=64,256 --bench-grid max_concurrency=2,4 --resume -e first",
            ),
            (
                "Show the plan of a grid with a condition",
                "sweeplake serve --serve-cmd 'vllm serve MODEL' --bench-cmd 'vllm bench serve --model MODEL' --serve-grid max_num_seqs=32..256*2 --bench-grid max_concurrency=1..256*4 --where 'max_concurrency <= 2 * max_num_seqs' --bench-set 'num_prompts = 10 * max_concurrency' --dry-run",
            ),
        ],
    ),
    (
        "serve_sla",
        &[
            (
                "Find the highest concurrency that meets each SLA in sla.json",
                "sweeplake serve_sla --serve-cmd 'vllm serve MODEL' --bench-cmd 'vllm bench serve --model MODEL' --sla-params sla.json --sla-variable max_concurrency -e tuned",
            ),
            (
                "Show how the search starts and what it takes at most",
                "sweeplake serve_sla --serve-cmd 'vllm serve MODEL' --bench-cmd 'vllm bench serve --model MODEL' --sla-params sla.json --dry-run",
            ),
        ],
    ),
    (
        "serve_workload",
        &[(
            "Measure five loads between one request at a time and all at once",
            "sweeplake serve_workload --serve-cmd 'vllm serve MODEL' --bench-cmd 'vllm bench serve --model MODEL' --workload-iters 5 -e levels",
        )],
    ),
    (
        "serve_tune",
        &[
            (
                "Find the best trade-offs of throughput and latency with 60 runs",
                "sweeplake serve_tune --serve-cmd 'vllm serve MODEL' --bench-cmd 'vllm bench serve --model MODEL' --serve-grid 'max_num_seqs=16..512*1.5' --serve-grid 'max_num_batched_tokens=1024..16384*2' --bench-grid 'max_concurrency=1..256*2' --budget '60 runs' -e frontier",
            ),
            (
                "Within limits, starting from what the lake knows",
                "sweeplake serve_tune --serve-cmd 'vllm serve MODEL' --bench-cmd 'vllm bench serve --model MODEL' --space space.toml --constraints sla.json --init-from results --budget 8h -e within",
            ),
        ],
    ),
    (
        "startup",
        &[(
            "Measure start-up with each set of engine parameters",
            "sweeplake startup --startup-cmd 'vllm bench startup --model MODEL' --serve-params serve.json -e starts",
        )],
    ),
    (
        "ab",
        &[(
            "Decide whether a flag helps; exit with 1 if P99 latency rises by over 5 %",
            "sweeplake ab --base-serve-cmd 'vllm serve MODEL' --candidate-serve-cmd 'vllm serve MODEL --max-num-seqs 512' --bench-cmd 'vllm bench serve --model MODEL' --fail-on 'p99_e2el_ms>5%' -e flag",
        )],
    ),
    (
        "submit",
        &[
            (
                "Four nodes of Slurm with eight GPUs each work at one sweep",
                "sweeplake submit slurm --nodes 4 --gpus-per-node 8 -- serve --serve-cmd 'vllm serve MODEL --port {port}' --serve-grid 'max_num_seqs=32..512*2' --bench-cmd 'vllm bench serve --model MODEL --port {port}' -e fleet",
            ),
            (
                "Print a job for Kubernetes, with the lake on a volume",
                "sweeplake submit kubernetes --image IMAGE --nodes 4 --gpus 8 --volume lake -- serve --serve-cmd 'vllm serve MODEL' --serve-grid 'max_num_seqs=32..512*2' --bench-cmd 'vllm bench serve --model MODEL' -e fleet",
            ),
        ],
    ),
    ("demo", &[("Sweep a simulated server, then look at the report", "sweeplake demo")]),
    (
        "report",
        &[
            ("Write results/first/report.html and open it", "sweeplake report results/first --open"),
            ("Put the comparison of two sweeps into the report", "sweeplake report results/first results/second"),
            ("Write an index of all sweeps", "sweeplake report --lake results"),
        ],
    ),
    (
        "show",
        &[
            ("Show the answer, then a table of the combinations", "sweeplake show results/first"),
            (
                "Choose columns, sorted by throughput",
                "sweeplake show results/first --columns max_num_seqs,max_concurrency,output_throughput_mean --sort -output_throughput_mean",
            ),
        ],
    ),
    ("explain", &[("Say what limited the runs of a sweep", "sweeplake explain results/first")]),
    (
        "sla",
        &[(
            "Ask the stored runs about other limits",
            "sweeplake sla results/tuned --sla-params sla.json --sla-variable max_concurrency",
        )],
    ),
    (
        "compare",
        &[
            ("Compare the latest sweep with the one before it", "sweeplake compare latest~1 latest --unclear pass"),
            (
                "In CI: exit with 1 if throughput drops by more than 3 %",
                "sweeplake compare --base 'nightly*' latest --fail-on 'output_throughput<-3%' --unclear pass",
            ),
            (
                "Find the changes in the history of a metric",
                "sweeplake compare --trend results --metric p99_e2el_ms --fig trend.png",
            ),
        ],
    ),
    ("tag", &[("Call a sweep `baseline`", "sweeplake tag first baseline")]),
    (
        "note",
        &[("Attach a note, which list, show and report display", "sweeplake note first 'new driver, fans at 100 %'")],
    ),
    ("mv", &[("Rename a sweep", "sweeplake mv second before-the-driver")]),
    ("rm", &[("Remove a sweep without asking", "sweeplake rm before-the-driver --yes")]),
    ("verify", &[("Check every file of a lake", "sweeplake verify results")]),
    (
        "watch",
        &[
            ("Print how the newest sweep stands", "sweeplake watch --once"),
            ("Follow a sweep until it ends", "sweeplake watch results/first"),
        ],
    ),
    (
        "plot",
        &[
            (
                "Draw a latency curve for each batch limit",
                "sweeplake plot results/first --var-x max_concurrency --var-y p99_e2el_ms --curve-by max_num_seqs --scale-x log2",
            ),
            (
                "Use part of the runs only",
                "sweeplake plot results/first --var-x max_concurrency --var-y output_throughput --filter-by 'max_num_seqs<=64'",
            ),
            (
                "Draw what happened during the runs of a load",
                "sweeplake plot results/first --timeline --filter-by max_concurrency==4",
            ),
        ],
    ),
    (
        "plot_pareto",
        &[
            ("Draw throughput per GPU against throughput per user", "sweeplake plot_pareto results/first"),
            (
                "Choose the axes, and say which direction is better",
                "sweeplake plot_pareto results/first --x median_ttft_ms:min --y output_throughput:max",
            ),
        ],
    ),
    (
        "query",
        &[
            (
                "Query one sweep or all of them with SQL",
                "sweeplake query results 'SELECT label, p99_ttft_ms_mean FROM combinations'",
            ),
            (
                "Run a built-in query",
                "sweeplake query results --name best --param metric=p99_ttft_ms --param limit=200",
            ),
            ("List the built-in queries and their parameters", "sweeplake query --list"),
        ],
    ),
    (
        "import",
        &[
            ("Import the results of another tool", "sweeplake import aiperf/ -o imported"),
            ("Show how the files are recognized", "sweeplake import aiperf/ --explain -o imported"),
        ],
    ),
    ("compact", &[("Merge the files of a lake with thousands of sweeps", "sweeplake compact results")]),
    (
        "list",
        &[
            ("List the sweeps of a lake, the newest first", "sweeplake list results"),
            ("For another program", "sweeplake list results --format json"),
        ],
    ),
    (
        "bench",
        &[(
            "Send 200 requests, at most 16 at a time",
            "sweeplake bench --port 8000 --num-prompts 200 --max-concurrency 16 --ignore-eos",
        )],
    ),
    (
        "worker",
        &[
            ("Answer other machines' queries about a lake", "sweeplake worker --listen 127.0.0.1:7077 results"),
            (
                "Ask with its help",
                "sweeplake query results --workers 127.0.0.1:7077 'SELECT sweep, count(*) FROM runs GROUP BY sweep'",
            ),
        ],
    ),
    ("sim", &[("Serve a simulated model on port 8000", "sweeplake sim any-model --port 8000 --max-num-seqs 64")]),
    (
        "completions",
        &[
            ("For bash: source the file in ~/.bashrc", "sweeplake completions bash > sweeplake.bash"),
            ("For zsh: in a folder of $fpath", "sweeplake completions zsh > _sweeplake"),
        ],
    ),
    ("man", &[("Write the pages, which `man -M share/man sweeplake` shows", "sweeplake man share/man/man1")]),
    (
        "doctor",
        &[
            ("Check the machine", "sweeplake doctor"),
            (
                "Check a planned sweep as well",
                "sweeplake doctor --serve-cmd 'vllm serve MODEL' --bench-cmd 'vllm bench serve --model MODEL' --bench-params bench.json",
            ),
        ],
    ),
];

/// As they stand at the end of `--help`.
pub fn examples_of(subcommand: &str) -> Option<String> {
    let (_, examples) = EXAMPLES.iter().find(|(name, _)| *name == subcommand)?;
    let lines = examples.iter().map(|(what, command)| format!("  # {what}\n  {}", broken(command)));
    Some(format!("Examples:\n{}", lines.collect::<Vec<_>>().join("\n")))
}

/// A command over several lines that fit 80 columns, as a shell reads it: a flag is never parted from its value.
fn broken(command: &str) -> String {
    const WIDTH: usize = 72;
    let mut lines: Vec<String> = Vec::new();
    for part in flags_of(command) {
        match lines.last_mut() {
            Some(line) if line.len() + part.len() < WIDTH => {
                line.push(' ');
                line.push_str(part);
            }
            _ => lines.push(part.to_owned()),
        }
    }
    lines.join(" \\\n    ")
}

/// A command cut before each flag, but not within quotes.
fn flags_of(command: &str) -> Vec<&str> {
    let mut quotes = 0;
    let cuts = command.char_indices().filter(|(index, letter)| {
        quotes += usize::from(*letter == '\'');
        *letter == ' ' && quotes % 2 == 0 && command[*index..].starts_with(" --")
    });
    let cuts: Vec<usize> = cuts.map(|(index, _)| index).collect();
    let starts = std::iter::once(0).chain(cuts.iter().map(|cut| cut + 1));
    let ends = cuts.iter().copied().chain([command.len()]);
    starts.zip(ends).map(|(start, end)| &command[start..end]).collect()
}
