//! What is laid out, against loops that do the same.

use super::*;
use crate::params::Command;
use proptest::prelude::*;
use serde_json::{Value, json};

fn set(value: Value) -> ParamSet {
    ParamSet::of_record(value.as_object().unwrap())
}

fn axes(texts: &[&str]) -> Vec<Axis> {
    texts.iter().map(|text| Axis::parse(text).unwrap()).collect()
}

fn conditions(texts: &[&str]) -> Rules {
    Rules { conditions: texts.iter().map(|text| Condition::parse(text).unwrap()).collect(), ..Rules::default() }
}

fn laid(wanted: &Wanted) -> Result<Points, String> {
    let command = |text: &str| Command::parse("command", text).unwrap();
    let flags = Flags::of(&command("vllm serve m --max-model-len 4096 --port 1"), &command("bench --port 2 --seed 7"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(lay_out(wanted, &flags)).map_err(|error| error.to_string())
}

/// All pairs, as JSON.
fn pairs(wanted: &Wanted) -> Value {
    let points = laid(wanted).unwrap();
    let pairs = points
        .servers
        .iter()
        .flat_map(|(serve, benches)| benches.iter().map(move |bench| json!([serve.to_record(), bench.to_record()])));
    pairs.collect()
}

fn wanted(serve: &[&str], bench: &[&str]) -> Wanted {
    let side = |grids: &[&str]| Side { sets: Vec::new(), grids: axes(grids) };
    Wanted { serve: side(serve), bench: side(bench), most: 10_000, ..Wanted::default() }
}

#[test]
fn grids_multiply_with_each_other_and_with_sets() {
    let mut space = wanted(&["b=1,2", "c,d=3:4,5:6"], &[]);
    assert_eq!(laid(&space).unwrap().servers.len(), 4);
    space.serve.sets = vec![set(json!({"a": 0})), set(json!({"_benchmark_name": "x", "a": 9}))];
    let points = laid(&space).unwrap();
    assert_eq!((points.servers.len(), points.size), (8, 8));
    let records: Vec<Value> = points.servers.iter().map(|(serve, _)| json!(serve.to_record())).collect();
    assert_eq!(records[1], json!({"a": 0, "b": 1, "c": 5, "d": 6}));
    assert_eq!(records[7], json!({"_benchmark_name": "x b=2 c=5 d=6", "a": 9, "b": 2, "c": 5, "d": 6}));
}

#[test]
fn what_no_command_line_can_hold_is_refused_wherever_it_came_from() {
    let text = r#"x="a\u0000b""#;
    let expected = "\"x\": a NUL character can't stand in a command line";
    assert_eq!(laid(&wanted(&[text], &[])).unwrap_err(), expected);
    assert_eq!(laid(&wanted(&[], &[text])).unwrap_err(), expected);
    let mut space = wanted(&["y=1"], &[]);
    space.rules.serve_set = vec![Derived::parse("x = concat('a', chr(0))").unwrap()];
    assert!(laid(&space).is_err());
    space.serve.sets = vec![set(json!({"_grid": {"x": ["a\u{0}"]}}))];
    assert!(laid(&space).is_err());
}

#[test]
fn a_parameter_that_is_set_twice_is_refused() {
    assert!(laid(&wanted(&["a=1", "a=2"], &[])).unwrap_err().contains("\"a\" is set twice for the server"));
    let mut space = wanted(&[], &["max-concurrency=1"]);
    space.bench.sets = vec![set(json!({"max_concurrency": 2}))];
    assert!(laid(&space).unwrap_err().contains("set twice for the benchmark"));
}

#[test]
fn conditions_see_both_sides_and_the_commands() {
    let mut space = wanted(&["s=1,2,3"], &["c=1,2,3"]);
    space.rules = conditions(&["s <= c", "serve.s + bench.c + max_model_len < 4101"]);
    assert_eq!(
        pairs(&space),
        json!([[{"s": 1}, {"c": 1}], [{"s": 1}, {"c": 2}], [{"s": 1}, {"c": 3}], [{"s": 2}, {"c": 2}]])
    );
    let removed = laid(&space).unwrap().removed;
    assert_eq!(removed.iter().map(|removed| removed.count).collect::<Vec<_>>(), [3, 2]);
    space.rules = conditions(&["port = 1"]);
    assert_eq!(laid(&space).unwrap_err(), "\"port = 1\": no parameter `port`; did you mean `serve.port`?");
    space.rules = conditions(&["serve.port < bench.port"]);
    assert_eq!(laid(&space).unwrap().removed[0].count, 0);
}

#[test]
fn what_can_not_be_told_is_left_out_and_said() {
    let mut space = wanted(&[], &["c=1,2"]);
    space.serve.sets = vec![set(json!({"a": 5})), set(json!({}))];
    space.rules = conditions(&["a > c"]);
    let points = laid(&space).unwrap();
    assert_eq!(points.servers.len(), 1);
    assert_eq!(points.removed[0].to_string(), "2 removed by \"a > c\" (2 of them because a parameter is not set)");
}

#[test]
fn a_condition_means_the_same_in_every_part_of_a_space() {
    // The first part of the space has no `b`, and later ones have no `a`.
    let mut space = wanted(&[], &["c=1..9000+1"]);
    space.most = 20_000;
    space.serve.sets = vec![set(json!({"a": 1})), set(json!({"b": 2}))];
    space.rules = conditions(&["b is null and c < 3 or b > 1 and c = 9000"]);
    let expected = json!([[{"a": 1}, {"c": 1}], [{"a": 1}, {"c": 2}], [{"b": 2}, {"c": 9000}]]);
    assert_eq!(pairs(&space), expected);
    // Whatever is drawn, a link and a name that both sides have are judged alike.
    for seed in 0..8 {
        let mut space = wanted(&["a=1..3+1", "x=1,2"], &["c=1..3+1", "x=1,2"]);
        space.sample = Some(Sample { count: 9, method: Method::Lhs, seed });
        space.rules.links = Link::parse_list("a=c").unwrap();
        let points = laid(&space).unwrap();
        assert_eq!(points.servers.iter().map(|(_, benches)| benches.len()).sum::<usize>(), 9);
        space.rules = conditions(&["x > 0"]);
        assert_eq!(laid(&space).unwrap_err(), "\"x > 0\": no parameter `x`; did you mean `serve.x`?");
    }
}

#[test]
fn later_conditions_see_what_earlier_ones_kept() {
    let mut space = wanted(&["a=0,1,2"], &[]);
    space.rules = conditions(&["a <> 0", "10 / a > 5"]);
    assert_eq!(pairs(&space), json!([[{"a": 1}, {}]]));
}

#[test]
fn numbers_are_compared_as_numbers_though_some_values_are_texts() {
    let mut space = wanted(&[], &["request_rate=9,10,inf,auto"]);
    space.rules = conditions(&["request_rate >= 10"]);
    assert_eq!(pairs(&space), json!([[{}, {"request_rate": 10}], [{}, {"request_rate": "inf"}]]));
    space.rules = conditions(&["request_rate <> 'auto'"]);
    assert_eq!(laid(&space).unwrap().removed[0].count, 1);
}

#[test]
fn what_follows_from_others_is_set() {
    let derived = |text: &str| Derived::parse(text).unwrap();
    let mut space = wanted(&["s=8,64"], &["c=1,20"]);
    space.rules.serve_set = vec![derived("max_num_batched_tokens = 16 * s")];
    space.rules.bench_set =
        vec![derived("n = greatest(10 * c, 100)"), derived("w = CASE WHEN n > 100 THEN c * 0.5 END")];
    space.rules.conditions = vec![Condition::parse("max_num_batched_tokens > 128").unwrap()];
    let serve = json!({"s": 64, "max_num_batched_tokens": 1024});
    assert_eq!(pairs(&space), json!([[serve, {"c": 1, "n": 100}], [serve, {"c": 20, "n": 200, "w": 10}]]));
    // What is NULL is taken out of the command, too.
    space.rules = Rules { bench_set: vec![derived("seed = CASE WHEN c > 1 THEN c END")], ..Rules::default() };
    let found = pairs(&space);
    assert_eq!((&found[0][1], &found[1][1]), (&json!({"c": 1, "seed": null}), &json!({"c": 20, "seed": 20})));
    space.rules.serve_set = vec![derived("x = c")];
    assert!(laid(&space).unwrap_err().contains("no parameter `c`"));
}

#[test]
fn expressions_that_say_nothing_are_refused() {
    for (text, part) in [
        ("1 = 1", "names no parameter"),
        ("s + 1", "neither true nor false"),
        ("max(s) > 1", "aggregates"),
        ("s >", "Expected"),
        ("s > 1; DROP TABLE x", "Expected"),
        ("nothing > 1", "no parameter `nothing`"),
        ("random() < s", "each time"),
        ("row_number() OVER (ORDER BY s) < 2", "window function"),
    ] {
        let mut space = wanted(&["s=1,2"], &[]);
        let told = match Condition::parse(text) {
            Err(error) => error.to_string(),
            Ok(condition) => {
                space.rules.conditions = vec![condition];
                laid(&space).unwrap_err()
            }
        };
        assert!(told.contains(part), "{text}: {told}");
    }
    assert!(Derived::parse("x").is_err() && Derived::parse("--x = 1").is_err() && Derived::parse("x = ").is_err());
}

#[test]
fn a_set_of_a_file_may_be_a_grid_with_a_condition() {
    let mut space = wanted(&[], &[]);
    let grid = json!({"_grid": {"a": [1, 2], "b": "1..4*2"}, "_where": "b >= a * 2", "c": true});
    space.serve.sets = vec![set(json!({"a": 0})), set(grid)];
    let found: Vec<Value> = laid(&space).unwrap().servers.iter().map(|(serve, _)| json!(serve.params)).collect();
    let all = |a: i64, b: i64| json!({"c": true, "a": a, "b": b});
    assert_eq!(json!(found), json!([{"a": 0}, all(1, 2), all(1, 4), all(2, 4)]));
    for (grid, part) in [
        (json!({"_grid": 7}), "must be an object"),
        (json!({"_grid": {"a": []}}), "has no value"),
        (json!({"_grid": {"a": [1]}, "a": 2}), "is set twice"),
        (json!({"_where": "a > 1"}), "without `_grid`"),
        (json!({"_grid": {"a": "9..1*2"}}), "is empty"),
    ] {
        space.serve.sets = vec![set(grid.clone())];
        let told = laid(&space).unwrap_err();
        assert!(told.contains(part), "{grid}: {told}");
    }
}

#[test]
fn a_space_that_is_too_large_is_counted_and_refused() {
    let mut space = wanted(&["a=1..9999+1", "b=1..9999+1"], &["c=1..9999+1"]);
    assert_eq!(laid(&space).unwrap_err(), "999700029999 combinations are more than 10000");
    space.sample = Some(Sample { count: 30, method: Method::Sobol, seed: 1 });
    let points = laid(&space).unwrap();
    assert_eq!(points.servers.iter().map(|(_, benches)| benches.len()).sum::<usize>(), 30);
    space.sample = Some(Sample { count: 20_000, method: Method::Random, seed: 1 });
    assert_eq!(laid(&space).unwrap_err(), "20000 combinations to sample are more than 10000");
    // All that there are, though few are meant.
    let mut rare = wanted(&["a=1..300+1"], &["c=1..300+1"]);
    rare.rules = conditions(&["a = c"]);
    rare.sample = Some(Sample { count: 299, method: Method::Lhs, seed: 1 });
    assert_eq!(laid(&rare).unwrap().servers.len(), 299);
    let mut few = wanted(&["a=1..300+1"], &["c=1..300+1"]);
    few.rules = conditions(&["a = c"]);
    assert_eq!(laid(&few).unwrap().removed[0].count, 90_000 - 300);
    few.rules = conditions(&["a > 1000"]);
    assert!(laid(&few).unwrap_err().starts_with("no combination is left: 90000 removed by"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_condition_keeps_what_a_loop_would(
        left in prop::collection::btree_set(-20i64..20, 1..6),
        right in prop::collection::btree_set(-20i64..20, 1..6),
        limit in -20i64..20,
    ) {
        let list = |values: &std::collections::BTreeSet<i64>| values.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        let mut space = wanted(&[&format!("a={}", list(&left))], &[&format!("b={}", list(&right))]);
        space.rules = conditions(&[&format!("a + 2 * b <= {limit}")]);
        let expected: Vec<Value> = left.iter().flat_map(|a| right.iter().map(move |b| (*a, *b)))
            .filter(|(a, b)| a + 2 * b <= limit).map(|(a, b)| json!([{"a": a}, {"b": b}])).collect();
        match laid(&space) {
            Ok(_) => prop_assert_eq!(pairs(&space), json!(expected)),
            Err(_) => prop_assert!(expected.is_empty()),
        }
    }

    #[test]
    fn a_sample_is_of_the_space_without_repeats_and_in_its_order(
        count in 1usize..60,
        seed in 0u64..1000,
        method in prop::sample::select(vec![Method::Random, Method::Lhs, Method::Sobol, Method::Halton]),
    ) {
        let whole = wanted(&["a=1..6+1"], &["b=1..5+1", "c=0,1"]);
        let all = pairs(&whole).as_array().unwrap().clone();
        let drawn = pairs(&Wanted { sample: Some(Sample { count, method, seed }), ..whole });
        let places: Vec<usize> =
            drawn.as_array().unwrap().iter().map(|pair| all.iter().position(|other| other == pair).unwrap()).collect();
        prop_assert_eq!(places.len(), count.min(60));
        prop_assert!(places.is_sorted_by(|left, right| left < right));
    }
}
