//! A symmetric positive definite matrix as the product of a triangle and its transpose, for systems of a few dozen equations.

/// The lower triangle, row by row.
pub struct Cholesky {
    size: usize,
    rows: Vec<f64>,
}

impl Cholesky {
    /// Of a symmetric matrix given by its elements on and below the diagonal; nothing where it is not positive definite.
    pub fn of(size: usize, element: impl Fn(usize, usize) -> f64) -> Option<Self> {
        let mut rows = vec![0.0; size * size];
        for row in 0..size {
            for column in 0..=row {
                let above = dot(&rows[row * size..row * size + column], &rows[column * size..column * size + column]);
                let rest = element(row, column) - above;
                rows[row * size + column] = match row == column {
                    true if rest > 0.0 && rest.is_finite() => rest.sqrt(),
                    true => return None,
                    false => rest / rows[column * size + column],
                };
            }
        }
        Some(Self { size, rows })
    }

    /// `L⁻¹ v`.
    pub fn forward(&self, values: &[f64]) -> Vec<f64> {
        let mut solved: Vec<f64> = Vec::with_capacity(self.size);
        for (row, value) in values.iter().enumerate() {
            let start = row * self.size;
            let known = dot(&self.rows[start..start + row], &solved);
            solved.push((value - known) / self.rows[start + row]);
        }
        solved
    }

    /// `A⁻¹ v`.
    pub fn solve(&self, values: &[f64]) -> Vec<f64> {
        let mut solved = self.forward(values);
        for row in (0..self.size).rev() {
            let known: f64 = (row + 1..self.size).map(|below| self.rows[below * self.size + row] * solved[below]).sum();
            solved[row] = (solved[row] - known) / self.rows[row * self.size + row];
        }
        solved
    }

    pub fn log_determinant(&self) -> f64 {
        2.0 * (0..self.size).map(|row| self.rows[row * self.size + row].ln()).sum::<f64>()
    }
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    let mut sum = 0.0;
    for (left, right) in left.iter().zip(right) {
        sum += left * right;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_numpys() {
        // numpy: linalg.solve(A, [1, 2, 3]), linalg.det(A)
        let matrix = [[4.0, 1.0, 0.5], [1.0, 3.0, 0.2], [0.5, 0.2, 2.0]];
        let factor = Cholesky::of(3, |row, column| matrix[row][column]).unwrap();
        let expected = [-0.08172851103804601, 0.596524189760451, 1.4607797087834662];
        let solved = factor.solve(&[1.0, 2.0, 3.0]);
        assert!(solved.iter().zip(expected).all(|(own, other)| (own - other).abs() < 1e-12), "{solved:?}");
        assert!((factor.log_determinant() - 21.29f64.ln()).abs() < 1e-12, "{}", factor.log_determinant().exp());
        assert!(Cholesky::of(2, |_, _| 1.0).is_none(), "singular");
    }
}
