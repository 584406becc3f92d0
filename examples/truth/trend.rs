//! Change points of series whose truth is known: how often any is seen in lakes without a change, and how soon a step is.

use rand::prelude::*;
use rand_distr::{Distribution, StandardNormal};
use serde_json::{Value, json};
use std::error::Error;
use std::path::PathBuf;
use sweeplake::stats::{Series, Shape, change_points};

const CELLS: usize = 24;
/// Sweeps before a step.
const BEFORE: usize = 10;
/// Sweeps that are waited for behind it.
const MOST_AFTER: usize = 20;
const THRESHOLD: f64 = 0.02;

pub fn run(lakes: u64, file: Option<PathBuf>) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut written = Vec::new();
    println!(
        "| the day, sd, % | lakes of 10 sweeps without a change: any point, % | of 30 sweeps, % | +5 %: seen after, median sweeps (never, %) | +10 % |"
    );
    println!("| --- | --- | --- | --- | --- |");
    for day in [0.01, 0.02, 0.05] {
        let any = |sweeps: usize, written: &mut Vec<Value>| {
            let seen = (0..lakes).filter(|seed| {
                let lake = lake(sweeps, day, 0.0, *seed);
                let is_seen = is_any(&lake);
                written.push(record("none", day, sweeps, &lake));
                is_seen
            });
            100.0 * seen.count() as f64 / lakes as f64
        };
        let (short, long) = (any(10, &mut written), any(30, &mut written));
        let delays = [0.05, 0.1].map(|step| delay(day, step, lakes / 3, &mut written));
        println!("| {} | {short:.1} | {long:.1} | {} | {} |", day * 100.0, delays[0], delays[1]);
    }
    if let Some(path) = file {
        std::fs::write(path, serde_json::to_string(&written)?)?;
    }
    Ok(())
}

fn record(kind: &str, day: f64, step_at: usize, lake: &[Series]) -> Value {
    let mean = |sweep: usize| lake.iter().filter_map(|cell| cell[sweep]).sum::<f64>() / lake.len() as f64;
    let values: Vec<f64> = (0..lake[0].len()).map(|sweep| mean(sweep).exp()).collect();
    let cells: Vec<Vec<f64>> =
        lake.iter().map(|cell| cell.iter().flatten().map(|level| level.exp()).collect()).collect();
    json!({"kind": kind, "day": day, "at": step_at, "mean": values, "cells": cells})
}

/// A lake of sweeps: the day is shared by all cells; three runs with 2 % noise each; the step is behind the tenth sweep.
fn lake(sweeps: usize, day: f64, step: f64, seed: u64) -> Vec<Series> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut normal = || -> f64 { StandardNormal.sample(&mut random) };
    let mut cells = vec![Series::new(); CELLS];
    for sweep in 0..sweeps {
        let shared = day * normal() + if sweep >= BEFORE { step.ln_1p() } else { 0.0 };
        for (index, cell) in cells.iter_mut().enumerate() {
            let level = 5.0 + 0.1 * index as f64;
            cell.push(Some(level + shared + 0.02 / 3f64.sqrt() * normal()));
        }
    }
    cells
}

fn is_any(lake: &[Series]) -> bool {
    change_points(lake, THRESHOLD).iter().flatten().any(|point| point.shape != Shape::Outlier)
}

/// After how many sweeps a step is seen in any cell, at about its place.
fn delay(day: f64, step: f64, lakes: u64, written: &mut Vec<Value>) -> String {
    let mut delays = Vec::new();
    for seed in 0..lakes {
        let whole = lake(BEFORE + MOST_AFTER, day, step, 1_000_000 + seed);
        let seen = (1..=MOST_AFTER).find(|after| {
            let so_far: Vec<Series> = whole.iter().map(|cell| cell[..BEFORE + after].to_vec()).collect();
            let mut points = change_points(&so_far, THRESHOLD).into_iter().flatten();
            points.any(|point| point.shape == Shape::Step && point.at.abs_diff(BEFORE) <= 2)
        });
        written.push(record(&format!("step {step}"), day, BEFORE, &whole));
        delays.push(seen.unwrap_or(usize::MAX));
    }
    delays.sort_unstable();
    let never = 100.0 * delays.iter().filter(|delay| **delay == usize::MAX).count() as f64 / lakes.max(1) as f64;
    match delays[delays.len() / 2] {
        usize::MAX => format!("– ({never:.0})"),
        median => format!("{median} ({never:.0})"),
    }
}
