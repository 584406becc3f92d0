//! Two parameters at once, as a table whose cells are tinted by their value.

use super::ReportError;
use super::table::number;
use crate::metric::label;
use crate::plot::natural_order;
use crate::query::{LOADS, Lake, Value, Varied, quoted};
use std::collections::HashMap;

pub struct HeatMap {
    pub id: String,
    pub heading: String,
    pub corner: String,
    pub columns: Vec<String>,
    pub rows: Vec<(String, Vec<HeatCell>)>,
    pub sql: String,
}

pub struct HeatCell {
    pub text: String,
    /// The tint in percent: faint enough for any text on it.
    pub shade: u32,
}

const DARKEST: f64 = 32.0;
/// A larger table is no picture any more; its numbers are in the table of all combinations.
const MOST_VALUES: usize = 40;

/// The maps of a sweep in which two parameters vary; none where there are more, or fewer.
pub async fn maps(lake: &Lake, varied: &[Varied]) -> Result<Vec<HeatMap>, ReportError> {
    let [rows, columns] = independent(lake, varied).await?[..] else { return Ok(Vec::new()) };
    let mut maps = Vec::new();
    for metric in ["output_throughput", "p99_e2el_ms"] {
        let sql = format!(
            "SELECT {0} AS down, {1} AS across, avg({metric}_mean) AS mean FROM combinations WHERE {metric}_mean IS NOT NULL \
             GROUP BY 1, 2",
            quoted(&rows.name),
            quoted(&columns.name)
        );
        let cells: Vec<Tile> = lake.sql(&sql).await?.typed("heat map")?;
        let map = map(metric, [rows, columns], &cells, sql);
        if !cells.is_empty() && map.rows.len().max(map.columns.len()) <= MOST_VALUES {
            maps.push(map);
        }
    }
    Ok(maps)
}

/// The parameters that vary by themselves: not those that another one of them settles, as a number of prompts that
/// follows from the load.
async fn independent<'a>(lake: &Lake, varied: &'a [Varied]) -> Result<Vec<&'a Varied>, ReportError> {
    // Of two that settle each other the one that makes the better axis stays.
    let rank = |varied: &Varied| LOADS.iter().position(|load| *load == varied.name).map_or(0, |place| place + 1);
    let mut order: Vec<&Varied> = varied.iter().collect();
    order.sort_by_key(|varied| rank(varied));
    let mut kept: Vec<&Varied> = Vec::new();
    for one in order {
        let mut is_settled = false;
        for other in &kept {
            let (one, other) = (quoted(&one.name), quoted(&other.name));
            let sql = format!(
                "SELECT max(n) AS most FROM (SELECT count(DISTINCT {one}) AS n FROM combinations GROUP BY {other})"
            );
            let most = lake.sql(&sql).await?.numbers("most")?;
            is_settled |= most.first().copied().flatten().is_some_and(|most| most <= 1.0);
        }
        if !is_settled {
            kept.push(one);
        }
    }
    kept.sort_by_key(|one| varied.iter().position(|known| known.name == one.name));
    Ok(kept)
}

crate::query::typed_row! {
    struct Tile {
        down: Value,
        across: Value,
        mean: f64,
    }
}

fn map(metric: &str, [rows, columns]: [&Varied; 2], cells: &[Tile], sql: String) -> HeatMap {
    let name = |value: &Value| if *value == Value::Null { "(none)".to_owned() } else { value.to_text() };
    let names = |of: fn(&Tile) -> &Value| {
        let mut names: Vec<String> = cells.iter().map(|cell| name(of(cell))).collect();
        names.sort_by(|left, right| natural_order(left, right));
        names.dedup();
        names
    };
    let values = || cells.iter().map(|cell| cell.mean);
    let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    let shade = |value: f64| if most > least { ((value - least) / (most - least) * DARKEST).round() as u32 } else { 0 };
    let (row_names, column_names) = (names(|tile| &tile.down), names(|tile| &tile.across));
    let of_names: HashMap<(String, String), f64> =
        cells.iter().map(|cell| ((name(&cell.down), name(&cell.across)), cell.mean)).collect();
    let shown = row_names.into_iter().map(|row| {
        let cells = column_names.iter().map(|column| {
            let found = of_names.get(&(row.clone(), column.clone())).copied();
            HeatCell { text: found.map_or("–".into(), number), shade: found.map_or(0, shade) }
        });
        let cells = cells.collect();
        (row, cells)
    });
    HeatMap {
        id: format!("heat-{metric}"),
        heading: label(metric),
        corner: format!("{} ↓ {} →", label(&rows.name), label(&columns.name)),
        rows: shown.collect(),
        columns: column_names,
        sql,
    }
}
