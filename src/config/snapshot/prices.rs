//! `[[price]]`: what the tokens of a model cost.
//!
//! Money is counted in whole numbers. A price is in millionths of the currency for a million tokens, so a
//! token costs a whole number of millionths of a millionth, and sums are exact.

use std::fmt;

use super::Pattern;

/// Money for a million tokens, in millionths of the currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenPrice(pub u64);

impl TokenPrice {
    /// Digits behind the point.
    pub const DECIMALS: usize = 6;
}

/// As it is written: `2.5`.
impl fmt::Display for TokenPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, self.0.into(), TokenPrice::DECIMALS)
    }
}

/// Money, in millionths of a millionth of the currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money(u128);

impl Money {
    const DECIMALS: usize = 12;

    /// In billionths of the currency, rounded up.
    pub fn billionths(self) -> u64 {
        u64::try_from(self.0.div_ceil(1_000)).unwrap_or(u64::MAX)
    }

    fn of(tokens: u64, price: TokenPrice) -> Money {
        Money(u128::from(tokens) * u128::from(price.0))
    }
}

impl std::ops::AddAssign for Money {
    fn add_assign(&mut self, other: Money) {
        self.0 = self.0.saturating_add(other.0);
    }
}

/// In units of the currency, every digit of it: `0.00125`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, self.0, Money::DECIMALS)
    }
}

fn write_decimal(f: &mut fmt::Formatter<'_>, value: u128, decimals: usize) -> fmt::Result {
    let unit = 10u128.pow(decimals as u32);
    let (whole, part) = (value / unit, value % unit);
    if part == 0 {
        return write!(f, "{whole}");
    }
    let digits = format!("{part:0decimals$}");
    write!(f, "{whole}.{}", digits.trim_end_matches('0'))
}

/// `[[price]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelPrice {
    /// The models it holds for: one of these matches.
    pub models: Vec<Pattern>,
    pub input: TokenPrice,
    /// Of those tokens of the input that came from a cache.
    pub cached: TokenPrice,
    pub output: TokenPrice,
}

/// Tokens that are paid for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PaidTokens {
    /// Those from a cache included.
    pub input: u64,
    pub cached: u64,
    pub output: u64,
}

/// All prices, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriceTable(pub Vec<ModelPrice>);

impl PriceTable {
    /// What these tokens cost, by the first price for the model that has answered, else for the one that
    /// was asked for. `None`: neither has a price.
    pub fn cost(
        &self,
        model: Option<&str>,
        asked: Option<&str>,
        tokens: PaidTokens,
    ) -> Option<Money> {
        let of = |name: &str| {
            let matches = |pattern: &Pattern| pattern.matches(name.as_bytes());
            self.0.iter().find(|price| price.models.iter().any(matches))
        };
        let price = model.and_then(of).or_else(|| asked.and_then(of))?;
        let cached = tokens.cached.min(tokens.input);
        let mut cost = Money::of(tokens.input - cached, price.input);
        cost += Money::of(cached, price.cached);
        cost += Money::of(tokens.output, price.output);
        Some(cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(model: &str, input: u64, cached: u64, output: u64) -> ModelPrice {
        let [input, cached, output] = [input, cached, output].map(TokenPrice);
        ModelPrice { models: vec![Pattern::new(model)], input, cached, output }
    }

    #[test]
    fn the_model_that_answered_is_paid_for_and_else_the_one_asked_for() {
        let mini = price("gpt-4o-mini*", 150_000, 75_000, 600_000);
        let table = PriceTable(vec![mini, price("gpt-4o*", 2_500_000, 1_250_000, 10_000_000)]);
        let tokens = PaidTokens { input: 1_000, cached: 400, output: 100 };
        for (model, asked, expected) in [
            (Some("gpt-4o-2024-08-06"), Some("best"), Some("0.003")),
            (Some("gpt-4o-mini"), Some("gpt-4o"), Some("0.00018")),
            (None, Some("gpt-4o"), Some("0.003")),
            (Some("no-price"), Some("gpt-4o"), Some("0.003")),
            (Some("no-price"), None, None),
            (None, None, None),
        ] {
            let cost = table.cost(model, asked, tokens).map(|cost| cost.to_string());
            assert_eq!(cost.as_deref(), expected, "{model:?} {asked:?}");
        }
        // More from a cache than there was.
        let odd = PaidTokens { input: 1, cached: 5, output: 0 };
        assert_eq!(table.cost(None, Some("gpt-4o"), odd), Some(Money(1_250_000)));
    }

    #[test]
    fn money_is_exact_and_every_digit_is_told() {
        let mut sum = Money::default();
        for _ in 0..1_000_000 {
            sum += Money::of(1, TokenPrice(100_001));
        }
        assert_eq!(sum.to_string(), "0.100001");
        assert_eq!(Money(1).to_string(), "0.000000000001");
        assert_eq!(Money(12_000_000_000_000).to_string(), "12");
        assert_eq!(TokenPrice(2_500_000).to_string(), "2.5");
        assert_eq!(Money::of(u64::MAX, TokenPrice(u64::MAX)).0, u128::from(u64::MAX).pow(2));
    }
}
