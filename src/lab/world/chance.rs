//! Shapes of chance that the world is drawn from. None of them is the matcher's: that one reckons with a mixture of normals, this one
//! draws from Laplace and Student's t, with uniform tails.

use crate::lab::random::Random;

/// From 0 up to and without 1.
pub fn unit(rng: &mut Random) -> f64 {
    (rng.bits() >> 11) as f64 / (1u64 << 53) as f64
}

/// Evenly between two bounds.
pub fn uniform(rng: &mut Random, low: f64, high: f64) -> f64 {
    low + unit(rng) * (high - low)
}

/// Exponential with the given mean.
pub fn exponential(rng: &mut Random, mean: f64) -> f64 {
    -mean * (1.0 - unit(rng)).ln()
}

/// Standard normal (Box and Muller).
pub fn normal(rng: &mut Random) -> f64 {
    let (u, v) = (1.0 - unit(rng), unit(rng));
    (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()
}

/// Laplace around 0 with the given scale.
pub fn laplace(rng: &mut Random, scale: f64) -> f64 {
    let u = unit(rng) - 0.5;
    -scale * u.signum() * (1.0 - 2.0 * u.abs()).max(f64::MIN_POSITIVE).ln()
}

/// Student's t with `freedom` degrees of freedom: a normal over the root of a chi-square.
pub fn student(rng: &mut Random, freedom: u32, scale: f64) -> f64 {
    let chi: f64 = (0..freedom).map(|_| normal(rng).powi(2)).sum();
    let spread = (chi / f64::from(freedom.max(1)))
        .sqrt()
        .max(f64::MIN_POSITIVE);
    scale * normal(rng) / spread
}

/// Log-normal with the given median, and sigma of the logarithm.
pub fn log_normal(rng: &mut Random, median: f64, sigma: f64) -> f64 {
    median * (sigma * normal(rng)).exp()
}

/// A place in a list that is hit by Zipf's law with exponent 1: the first twice as often as the second. By inversion of the logarithm.
pub fn zipf(rng: &mut Random, len: usize) -> usize {
    let top = (len as f64 + 1.0).ln();
    let place = (unit(rng) * top).exp() - 1.0;
    (place as usize).min(len.saturating_sub(1))
}

/// A hash of a few numbers: choices that a switch makes the same way every time.
pub fn fixed(parts: &[u64]) -> u64 {
    parts.iter().fold(0x9e37_79b9_7f4a_7c15, |h, p| {
        let z = (h ^ p).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// [`fixed`] as a share from 0 up to 1.
pub fn fixed_unit(parts: &[u64]) -> f64 {
    (fixed(parts) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_have_their_spread() {
        let mut rng = Random::new(7, "shapes");
        let n = 20_000;
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let laplace: Vec<f64> = (0..n).map(|_| laplace(&mut rng, 2.0).abs()).collect();
        assert!((mean(&laplace) - 2.0).abs() < 0.1);
        let wait: Vec<f64> = (0..n).map(|_| exponential(&mut rng, 20.0)).collect();
        assert!((mean(&wait) - 20.0).abs() < 1.0);
        // The tails of t with three degrees of freedom: 1 in 70 beyond five scales, where a normal has none.
        let far = (0..n).filter(|_| student(&mut rng, 3, 1.0).abs() > 5.0);
        let far = far.count() as f64 / n as f64;
        assert!((0.01..0.021).contains(&far), "{far}");
        let first = (0..n).filter(|_| zipf(&mut rng, 200) == 0).count();
        assert!((0.11..0.15).contains(&(first as f64 / n as f64)));
    }
}
