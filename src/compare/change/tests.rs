//! Verdicts whose truth is known.

use super::*;
use crate::compare::noise::Run;
use crate::stats::mean;

fn run(value: f64, order: usize) -> Run {
    Run { value, round: 0, order: order as u32 }
}

/// A sweep of cells with these runs.
fn sweep(cells: &[&[f64]]) -> SweepRuns {
    let runs = |runs: &&[f64]| runs.iter().enumerate().map(|(order, value)| run(*value, order)).collect();
    SweepRuns { cells: cells.iter().map(runs).enumerate().collect() }
}

fn metric(better: Option<Better>, base: Vec<SweepRuns>, candidate: Vec<SweepRuns>) -> MetricRuns {
    let cells = base[0].cells.keys().copied().collect();
    MetricRuns { better, cells, base, candidate, ..MetricRuns::default() }
}

fn single(base: &[f64], candidate: &[f64], better: Option<Better>) -> Change {
    let judged =
        judge(&[metric(better, vec![sweep(&[base])], vec![sweep(&[candidate])])], &ServerOf::new(), &Judge::default());
    judged[0].changes[0]
}

/// Six base sweeps and a candidate of four servers under three loads each, as tests/data/mixed_model.csv has them.
fn stored() -> (MetricRuns, ServerOf) {
    let mut sweeps = vec![SweepRuns::default(); 7];
    let mut servers = ServerOf::new();
    for line in include_str!("../../../tests/data/mixed_model.csv").lines().skip(1) {
        let fields: Vec<f64> = line.split(',').map(|field| field.parse().unwrap()).collect();
        let cell = fields[3] as usize;
        servers.insert(cell, fields[2] as usize);
        sweeps[fields[0] as usize].cells.insert(cell, vec![run(fields[4], cell)]);
    }
    let candidate = sweeps.split_off(6);
    (metric(Some(Better::Lower), sweeps, candidate), servers)
}

// statsmodels 0.15: mixedlm("log ~ C(cell)*side", groups="sweep", re_formula="1", vc_formula={"server": "0+C(server)"}),
// REML; the contrasts of the mean of all cells and of the first
const REML_OVERALL: (f64, f64) = (0.057_953_228, 0.029_857_941);
const REML_CELL: (f64, f64) = (0.089_136_342, 0.035_771_690);

#[test]
fn the_errors_are_those_of_a_mixed_model() {
    let (metric, servers) = stored();
    let judged = &judge(&[metric], &servers, &Judge { threshold: 0.0, ..Judge::default() })[0];
    let near = |found: f64, expected: f64, by: f64| {
        assert!((found / expected - 1.0).abs() < by, "{found} is not {expected}");
    };
    near(judged.overall.ratio.ln_1p(), REML_OVERALL.0, 1e-6);
    let half = |(low, high): (f64, f64)| (high.ln_1p() - low.ln_1p()) / 2.0;
    near(half(judged.overall.interval.unwrap()) / t_quantile(0.975, 5.0), REML_OVERALL.1, 1e-3);
    near(judged.changes[0].ratio.ln_1p(), REML_CELL.0, 1e-6);
    // The model has one variance for all cells; ours has one for each, moderated. Their mean is the model's.
    let variances: Vec<f64> =
        judged.changes.iter().map(|change| change.sweep_sd.unwrap().powi(2) * (1.0 + 1.0 / 6.0)).collect();
    near(mean(&variances).sqrt(), REML_CELL.1, 0.01);
}

#[test]
fn of_one_sweep_a_side_nothing_is_said_but_what_no_noise_explains() {
    let base = [100.0, 101.0, 99.0];
    let change = single(&base, &[110.0, 111.0, 109.0], Some(Better::Lower));
    assert_eq!((change.verdict, change.interval, change.p_value), (Verdict::Unclear, None, None));
    let Reason::NoiseUnknown { doubt } = change.reason else { panic!("{change:?}") };
    // log(1.1) would be the 97.5 % quantile of the difference of two sweeps.
    assert!((doubt - 1.1f64.ln() / 1.959_964 / 2f64.sqrt()).abs() < 1e-4, "{doubt}");
    let change = single(&[100.0], &[400.0], Some(Better::Lower));
    assert_eq!((change.verdict, change.reason), (Verdict::Worse, Reason::BeyondNoise));
    // One run in twenty takes twice as long.
    assert_eq!(single(&[100.0], &[200.0], Some(Better::Lower)).verdict, Verdict::Unclear);
}

#[test]
fn what_collapses_is_worse_and_counts_of_a_few_are_not_told() {
    let verdict = |base: &[f64], candidate: &[f64], better| {
        let change = single(base, candidate, Some(better));
        (change.verdict, change.reason)
    };
    let worse = (Verdict::Worse, Reason::Collapsed);
    assert_eq!(verdict(&[1000.0, 990.0], &[0.0, 0.0], Better::Higher), worse);
    assert_eq!(verdict(&[500.0, 510.0], &[f64::INFINITY, 500.0], Better::Lower), worse);
    assert_eq!(verdict(&[500.0, 510.0], &[f64::NAN; 2], Better::Lower), worse);
    assert_eq!(verdict(&[0.0; 2], &[50.0; 2], Better::Lower), worse);
    assert_eq!(verdict(&[0.0; 2], &[0.0; 2], Better::Lower), (Verdict::Same, Reason::NoRatio));
    for (base, candidate) in
        [([0.0, 5.0], [2.0, 3.0]), ([0.0, 0.0], [1.0, 2.0]), ([2.0, 1.0], [0.0, 0.0]), ([-3.0, -4.0], [-5.0, -9.0])]
    {
        assert_eq!(
            verdict(&base, &candidate, Better::Lower),
            (Verdict::Unclear, Reason::NoRatio),
            "{base:?} {candidate:?}"
        );
    }
    assert_eq!(single(&[100.0], &[400.0], None).verdict, Verdict::Changed);
}

#[test]
fn a_few_equal_sweeps_do_not_make_a_huge_change_doubtful() {
    let base = vec![sweep(&[&[100.0, 101.0, 99.0]]), sweep(&[&[130.0, 131.0, 129.0]])];
    let judged = judge(
        &[metric(Some(Better::Lower), base, vec![sweep(&[&[1000.0, 1010.0, 990.0]])])],
        &ServerOf::new(),
        &Judge::default(),
    );
    assert_eq!((judged[0].changes[0].verdict, judged[0].changes[0].reason), (Verdict::Worse, Reason::BeyondNoise));
    // Where equal sweeps differ by as much, it is none.
    let wild = [20.0, 300.0, 60.0, 900.0].map(|level| sweep(&[&[level]])).to_vec();
    let judged =
        judge(&[metric(Some(Better::Lower), wild, vec![sweep(&[&[1000.0]])])], &ServerOf::new(), &Judge::default());
    assert_eq!(judged[0].changes[0].verdict, Verdict::Unclear);
}

#[test]
fn odd_runs_are_named_and_move_nothing_far() {
    let quiet: [&[f64]; 2] = [&[100.0, 101.0, 99.0, 100.5], &[50.0, 50.4, 49.6, 50.1]];
    let odd: [&[f64]; 2] = [&[100.0, 101.0, 199.0, 100.5], &[50.0, 50.4, 49.6, 50.1]];
    let base = vec![sweep(&quiet), sweep(&quiet), sweep(&quiet)];
    let judged =
        judge(&[metric(Some(Better::Lower), base, vec![sweep(&odd)])], &[(0, 0), (1, 1)].into(), &Judge::default());
    let named: Vec<(usize, usize)> = judged[0].odd.iter().map(|one| (one.cell, one.index)).collect();
    assert_eq!(named, [(0, 2)]);
    assert!(judged[0].changes[0].ratio.abs() < 0.02, "{:?}", judged[0].changes[0]);
}

// statsmodels: TTestIndPower().solve_power(log(1 + change) / sd, power=0.8, alpha=0.05), rounded up
#[test]
fn the_sweeps_that_are_needed_are_about_those_of_statsmodels() {
    for (sd, change, expected) in [(0.03, 0.05, 8), (0.01, 0.02, 6), (0.1, 0.05, 67)] {
        let found = sweeps_needed(sd, change);
        assert!(found.abs_diff(expected) <= 1, "sd {sd}, change {change}: {found} is not {expected}");
    }
}

#[test]
fn starts_that_differ_show_in_rounds() {
    // Runs of one start agree to a thousandth, starts differ by three hundredths.
    let side = |starts: [f64; 4], level: f64| {
        let mut sweep = SweepRuns::default();
        for cell in 0..2 {
            let runs = starts.iter().enumerate().flat_map(|(round, start)| {
                (0..3u32).map(move |repeat| Run {
                    value: level * start * (1.0 + 0.001 * f64::from(repeat)),
                    round: round as u32,
                    order: round as u32 * 6 + repeat * 2 + cell as u32,
                })
            });
            sweep.cells.insert(cell, runs.collect());
        }
        sweep
    };
    let told = Judge { assumed_sweep_sd: Some(0.0), ..Judge::default() };
    let verdict = |level: f64| {
        let (base, candidate) = (side([0.97, 1.02, 1.0, 1.03], 100.0), side([1.01, 0.98, 1.03, 0.99], level));
        let servers: ServerOf = [(0, 0), (1, 0)].into();
        judge(&[metric(Some(Better::Lower), vec![base], vec![candidate])], &servers, &told)[0].overall.verdict
    };
    assert_eq!((verdict(102.5), verdict(115.0)), (Verdict::Unclear, Verdict::Worse));
}

#[test]
fn a_number_that_is_gone_where_others_are_has_collapsed() {
    let base = vec![sweep(&[&[100.0, 101.0], &[50.0, 51.0]])];
    let mut candidate = sweep(&[&[100.0, 101.0], &[50.0, 51.0]]);
    candidate.cells.remove(&1);
    let judged =
        judge(&[metric(Some(Better::Lower), base.clone(), vec![candidate])], &ServerOf::new(), &Judge::default());
    assert_eq!((judged[0].changes[1].verdict, judged[0].changes[1].reason), (Verdict::Worse, Reason::Collapsed));
    // A metric that the candidate's benchmark does not report at all tells nothing.
    let judged =
        judge(&[metric(Some(Better::Lower), base, vec![SweepRuns::default()])], &ServerOf::new(), &Judge::default());
    assert!(judged[0].changes.iter().all(|change| change.reason == Reason::NoValue));
}
