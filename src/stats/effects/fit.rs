//! Least squares, also where columns depend on each other.

use super::Noise;
use super::design::{Design, Term};
use crate::stats::{mean, t_quantile};
use nalgebra::{DMatrix, DVector, SymmetricEigen};

/// More columns than these are no question that a table can answer.
const MOST_COLUMNS: usize = 300;
/// An eigenvalue is zero below this share of the largest.
const ZERO: f64 = 1e-9;
/// Noise below this share of the mean square is that of arithmetic.
const ARITHMETIC: f64 = 1e-24;

/// A fitted model.
pub struct Fit {
    terms: Vec<Term>,
    coefficients: DVector<f64>,
    /// Of the normal equations.
    inverse: DMatrix<f64>,
    normal: DMatrix<f64>,
    pub rank: usize,
    /// Sums of squares about the model, and about the mean.
    pub residual: f64,
    pub total: f64,
    left_over: usize,
}

impl Fit {
    /// Nothing where there are no rows, or too many columns.
    pub fn of(design: &Design, terms: &[Term]) -> Option<Self> {
        let (rows, columns) = (design.logs.len(), design.columns(terms));
        if rows == 0 || columns > MOST_COLUMNS {
            return None;
        }
        let center = mean(&design.logs);
        let mut normal = DMatrix::<f64>::zeros(columns, columns);
        let mut right = DVector::<f64>::zeros(columns);
        let ones: Vec<Vec<usize>> = (0..rows).map(|row| design.row(terms, row)).collect();
        for (ones, log) in ones.iter().zip(&design.logs) {
            for &column in ones {
                right[column] += log - center;
                ones.iter().for_each(|&other| normal[(column, other)] += 1.0);
            }
        }
        let eigen = SymmetricEigen::new(normal.clone());
        let largest = eigen.eigenvalues.amax();
        let is_kept = |value: f64| value > ZERO * largest;
        let rank = eigen.eigenvalues.iter().filter(|value| is_kept(**value)).count();
        let inverted = eigen.eigenvalues.map(|value| if is_kept(value) { 1.0 / value } else { 0.0 });
        let vectors = &eigen.eigenvectors;
        let inverse = vectors * DMatrix::from_diagonal(&inverted) * vectors.transpose();
        let mut coefficients = &inverse * right;
        let of_row = |ones: &Vec<usize>| ones.iter().map(|column| coefficients[*column]).sum::<f64>();
        let residual = ones.iter().zip(&design.logs).map(|(ones, log)| (log - center - of_row(ones)).powi(2)).sum();
        coefficients[0] += center;
        let total = design.logs.iter().map(|log| (log - center).powi(2)).sum();
        Some(Self {
            terms: terms.to_vec(),
            coefficients,
            inverse,
            normal,
            rank,
            residual,
            total,
            left_over: rows - rank.min(rows),
        })
    }

    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// The noise about the model; nothing where it goes through every point because it has as many columns.
    pub fn noise(&self) -> Option<Noise> {
        let degrees = self.left_over as f64;
        let variance = (self.residual / degrees).max(ARITHMETIC * self.total);
        (self.left_over > 0).then_some(Noise { variance, degrees })
    }

    /// A combination of the coefficients, and half its 95 % interval; nothing where the data can't say what it is.
    pub fn estimate(&self, weights: &[f64], error: Option<Noise>) -> Option<(f64, Option<f64>)> {
        let weights = DVector::from_column_slice(weights);
        let seen = &self.normal * (&self.inverse * &weights);
        if (seen - &weights).amax() > 1e-6 {
            return None;
        }
        let variance = weights.dot(&(&self.inverse * &weights));
        let half = error.map(|error| t_quantile(0.975, error.degrees) * (variance.max(0.0) * error.variance).sqrt());
        Some((weights.dot(&self.coefficients), half))
    }
}
