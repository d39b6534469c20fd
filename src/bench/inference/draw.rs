//! Draws from the distributions that loads are made of.
//!
//! * Everything comes from one seeded sequence: the same seed draws the same again.
//! * A gamma of shape 1 is the exponential distribution, so intervals of burstiness 1 are a Poisson
//!   process.

use crate::proxy::random::Random;

/// A number above 0 and below 1.
pub fn unit(random: &mut Random) -> f64 {
    // 53 bits, moved by half a step: neither end is reached, so its logarithm is finite.
    ((random.draw() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

/// Mean 1.
pub fn exponential(random: &mut Random) -> f64 {
    -unit(random).ln()
}

/// Mean 0, deviation 1 (Box and Muller).
pub fn normal(random: &mut Random) -> f64 {
    let radius = (-2.0 * unit(random).ln()).sqrt();
    radius * (std::f64::consts::TAU * unit(random)).cos()
}

/// Of this shape and scale 1, so its mean is `shape` (Marsaglia and Tsang).
pub fn gamma(shape: f64, random: &mut Random) -> f64 {
    if shape < 1.0 {
        return gamma(shape + 1.0, random) * unit(random).powf(1.0 / shape);
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = normal(random);
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && unit(random).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(mut draw: impl FnMut(&mut Random) -> f64) -> (f64, f64) {
        const DRAWS: usize = 200_000;
        let mut random = Random::new(11);
        let all: Vec<f64> = (0..DRAWS).map(|_| draw(&mut random)).collect();
        let mean = all.iter().sum::<f64>() / DRAWS as f64;
        let variance = all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / DRAWS as f64;
        (mean, variance)
    }

    fn near(what: &str, found: (f64, f64), expected: (f64, f64)) {
        let close = |a: f64, b: f64| (a - b).abs() < 0.03 * b.abs().max(1.0);
        assert!(close(found.0, expected.0) && close(found.1, expected.1), "{what}: {found:?}");
    }

    #[test]
    fn draws_have_the_moments_of_their_distributions() {
        near("unit", moments(unit), (0.5, 1.0 / 12.0));
        near("exponential", moments(exponential), (1.0, 1.0));
        near("normal", moments(normal), (0.0, 1.0));
        // Mean and variance of a gamma are both its shape.
        for shape in [0.25, 1.0, 4.0] {
            near("gamma", moments(|random| gamma(shape, random)), (shape, shape));
        }
    }
}
