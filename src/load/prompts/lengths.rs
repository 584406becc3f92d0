//! How long prompts and answers are.

use rand::Rng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, LogNormal, Normal, Zipf};

/// A distribution of lengths, in tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lengths {
    Fixed(usize),
    /// Evenly between two lengths, both included.
    Uniform(usize, usize),
    Normal {
        mean: f64,
        std: f64,
    },
    /// Of this mean and standard deviation, of the lengths themselves and not of their logarithms.
    LogNormal {
        mean: f64,
        std: f64,
    },
    /// Lengths up to the most, each the rarer the longer: by its power.
    Zipf {
        most: usize,
        exponent: f64,
    },
}

impl Lengths {
    /// `len·(1 ± ratio)`, as vLLM draws them.
    pub fn around(len: usize, ratio: f64) -> Self {
        let low = (len as f64 * (1.0 - ratio)).floor() as usize;
        let high = (len as f64 * (1.0 + ratio)).ceil() as usize;
        if ratio == 0.0 { Self::Fixed(len.max(1)) } else { Self::Uniform(low.max(1), high.max(1)) }
    }

    /// `512`, `uniform:100,900`, `normal:512,64`, `lognormal:512,256` or `zipf:4096,1.5`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            "expected a number of tokens, uniform:LOW,HIGH, normal:MEAN,STD, lognormal:MEAN,STD or zipf:MOST,EXPONENT"
                .to_owned()
        };
        if let Ok(len) = text.parse::<usize>() {
            return if len > 0 { Ok(Self::Fixed(len)) } else { Err(wrong()) };
        }
        let (name, numbers) = text.split_once(':').ok_or_else(wrong)?;
        let (one, other) = numbers.split_once(',').ok_or_else(wrong)?;
        let (one, other): (f64, f64) = one
            .trim()
            .parse()
            .ok()
            .zip(other.trim().parse().ok())
            .filter(|(one, other): &(f64, f64)| one.is_finite() && other.is_finite() && *one >= 1.0 && *other >= 0.0)
            .ok_or_else(wrong)?;
        match name {
            "uniform" if other >= one => Ok(Self::Uniform(one as usize, other as usize)),
            "normal" => Ok(Self::Normal { mean: one, std: other }),
            "lognormal" => Ok(Self::LogNormal { mean: one, std: other }),
            "zipf" if other > 0.0 => Ok(Self::Zipf { most: one as usize, exponent: other }),
            _ => Err(wrong()),
        }
    }

    /// A length; at least 1.
    pub fn draw(&self, random: &mut StdRng) -> usize {
        let drawn = match *self {
            Self::Fixed(len) => return len,
            Self::Uniform(low, high) => return random.random_range(low..=high),
            Self::Normal { mean, std } => Normal::new(mean, std).map_or(mean, |normal| normal.sample(random)),
            Self::LogNormal { mean, std } => {
                let variance = (1.0 + (std / mean).powi(2)).ln();
                let normal = LogNormal::new(mean.ln() - variance / 2.0, variance.sqrt());
                normal.map_or(mean, |normal| normal.sample(random))
            }
            Self::Zipf { most, exponent } => Zipf::new(most as f64, exponent).map_or(1.0, |zipf| zipf.sample(random)),
        };
        drawn.round().max(1.0) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{mean, population_std};
    use rand::SeedableRng;

    fn drawn(text: &str) -> Vec<f64> {
        let mut random = StdRng::seed_from_u64(7);
        let lengths = Lengths::parse(text).unwrap();
        (0..20_000).map(|_| lengths.draw(&mut random) as f64).collect()
    }

    #[test]
    fn lengths_have_the_moments_that_are_asked_for() {
        for (text, center, spread) in [
            ("512", 512.0, 0.0),
            ("uniform:100,300", 200.0, 200.0 / 12f64.sqrt()),
            ("normal:512,64", 512.0, 64.0),
            ("lognormal:512,256", 512.0, 256.0),
        ] {
            let all = drawn(text);
            assert!((mean(&all) / center - 1.0).abs() < 0.02, "{text}: {}", mean(&all));
            assert!((population_std(&all) - spread).abs() <= 0.05 * spread + 0.5, "{text}: {}", population_std(&all));
        }
        let zipf = drawn("zipf:1000,1.5");
        let share = |len: f64| zipf.iter().filter(|one| **one == len).count() as f64;
        // Twice as long is 2^1.5 times as rare.
        assert!((share(1.0) / share(2.0) / 2f64.powf(1.5) - 1.0).abs() < 0.1, "{}", share(1.0) / share(2.0));
        assert!(zipf.iter().all(|len| (1.0..=1000.0).contains(len)));
    }

    #[test]
    fn what_is_no_distribution_is_refused() {
        for text in ["", "0", "-3", "normal:1", "normal:a,b", "uniform:9,3", "pareto:1,2", "normal:inf,1", "zipf:10,0"]
        {
            assert!(Lengths::parse(text).is_err(), "{text}");
        }
    }
}
