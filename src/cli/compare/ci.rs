//! A comparison for programs that run tests: JUnit's XML, and annotations of GitHub's workflows. Both say what the exit code says: what
//! fails is a gate, and all else is told.

use super::Compared;
use super::judging::{Judging, Outcome, line_with_advice};
use crate::cli::Failure;
use crate::compare::{Comparison, GateResult, Word};
use crate::report::comparison::{gate_reason, gate_text, overall, verdict};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

/// A suite for each comparison, with a case for each gate and for each metric over all combinations.
pub fn junit(compared: &Compared, judging: &Judging) -> Result<String, Failure> {
    let mut report = Report::new("sweeplake compare");
    for comparison in &compared.comparisons {
        let mut suite = TestSuite::new(names(comparison));
        suite.set_system_out(verdict(comparison));
        suite.add_test_cases(comparison.gates.iter().map(|gate| case_of_gate(comparison, gate, judging)));
        suite.add_test_cases(cases_of_metrics(comparison));
        report.add_test_suite(suite);
    }
    for dead in &compared.dead {
        let mut suite = TestSuite::new(dead.name.as_str());
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_message(dead.reason.as_str());
        suite.add_test_case(TestCase::new("any run that ended well", status));
        report.add_test_suite(suite);
    }
    report.to_string().map_err(Failure::work)
}

fn names(comparison: &Comparison) -> String {
    format!("{} vs. {}", comparison.candidate.sweeps.join(", "), comparison.base.sweeps.join(", "))
}

fn case_of_gate(comparison: &Comparison, gate: &GateResult, judging: &Judging) -> TestCase {
    let line = line_with_advice(comparison, gate);
    let status = match judging.outcome(gate) {
        Outcome::Passed => TestCaseStatus::success(),
        Outcome::Unclear => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(line.clone());
            status
        }
        Outcome::Failed => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            let reasons = gate.reasons.iter().map(|reason| gate_reason(comparison, gate, reason));
            status.set_message(line.clone()).set_type(gate.passage.as_str());
            status.set_description(reasons.collect::<Vec<_>>().join("\n"));
            status
        }
    };
    let mut case = TestCase::new(gate_text(gate), status);
    case.set_classname("gate").set_system_out(line);
    case
}

/// What is told of each metric; none of them fails.
fn cases_of_metrics(comparison: &Comparison) -> Vec<TestCase> {
    let table = overall(comparison);
    let told = |row: &Vec<String>| {
        let cells = table.columns.iter().zip(row).map(|(column, cell)| format!("{column}: {cell}"));
        cells.collect::<Vec<_>>().join(", ")
    };
    let cases = comparison.metrics.iter().zip(&table.rows).map(|(metric, row)| {
        let mut case = TestCase::new(metric.as_str(), TestCaseStatus::success());
        case.set_classname("metric").set_system_out(told(row));
        case
    });
    cases.collect()
}

/// A workflow command for each gate that does not pass, then the verdict.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>
pub fn annotations(compared: &Compared, judging: &Judging) -> String {
    let mut lines = Vec::new();
    for comparison in &compared.comparisons {
        let title = names(comparison);
        for gate in &comparison.gates {
            let level = match judging.outcome(gate) {
                Outcome::Passed => continue,
                Outcome::Unclear => "warning",
                Outcome::Failed => "error",
            };
            lines.push(annotation(level, &title, &line_with_advice(comparison, gate)));
        }
        let level = if comparison.word() == Word::Worse { "warning" } else { "notice" };
        lines.push(annotation(level, &title, &verdict(comparison)));
    }
    lines.extend(compared.dead.iter().map(|dead| annotation("error", &dead.name, &dead.reason)));
    lines.join("\n") + "\n"
}

fn annotation(level: &str, title: &str, message: &str) -> String {
    let escaped = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let title = escaped(title).replace(':', "%3A").replace(',', "%2C");
    format!("::{level} title={title}::{}", escaped(message))
}
