//! Which touches a conversion owes how much of itself to.

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

/// How credit is shared among the touches before a conversion, oldest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::AttributionModel)]
#[serde(rename_all = "snake_case")]
pub enum Model {
    First,
    #[default]
    Last,
    /// All the same.
    Linear,
    /// Half as much for every half-life before the conversion.
    TimeDecay,
    /// 40 % the first, 40 % the last, the rest among those between.
    Position,
}

/// The share of each touch; they add up to one, unless there are none. `touches` must be sorted.
pub fn shares(
    model: Model,
    half_life: Duration,
    touches: &[DateTime<Utc>],
    conversion: DateTime<Utc>,
) -> Vec<f64> {
    let last = touches.len().saturating_sub(1);
    let weight = |index: usize| match (model, touches.len()) {
        (Model::First, _) => f64::from(u8::from(index == 0)),
        (Model::Last, _) => f64::from(u8::from(index == last)),
        (Model::Linear, _) | (Model::Position, 1 | 2) => 1.0,
        (Model::TimeDecay, _) => {
            let ago = (conversion - touches[index]).num_milliseconds() as f64;
            (-ago / half_life.num_milliseconds().max(1) as f64).exp2()
        }
        (Model::Position, _) if index == 0 || index == last => 0.4,
        (Model::Position, count) => 0.2 / (count - 2) as f64,
    };
    let weights: Vec<f64> = (0..touches.len()).map(weight).collect();
    let sum: f64 = weights.iter().sum();
    match sum > 0.0 || touches.is_empty() {
        true => weights.iter().map(|weight| weight / sum).collect(),
        // All so long ago that nothing is left of them: the latest is the least forgotten.
        false => shares(Model::Last, half_life, touches, conversion),
    }
}

/// An amount cut by these shares, to the last minor unit: what rounding leaves goes to the largest
/// remainders, the earlier first.
pub fn cut(amount: i64, shares: &[f64]) -> Vec<i64> {
    let exact: Vec<f64> = shares.iter().map(|share| amount as f64 * share).collect();
    let mut parts: Vec<i64> = exact.iter().map(|part| part.floor() as i64).collect();
    let mut left = amount - parts.iter().sum::<i64>();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by(|a, b| {
        let rest = |index: &usize| exact[*index] - exact[*index].floor();
        rest(b).total_cmp(&rest(a)).then(a.cmp(b))
    });
    for index in order.iter().cycle().take(parts.len() * 2) {
        match left {
            0 => break,
            1.. => (parts[*index], left) = (parts[*index] + 1, left - 1),
            _ => (parts[*index], left) = (parts[*index] - 1, left + 1),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + hours * 3600, 0).expect("a time")
    }

    fn of(model: Model, hours: &[i64], conversion: i64) -> Vec<f64> {
        let touches: Vec<_> = hours.iter().map(|hour| at(*hour)).collect();
        shares(model, Duration::hours(24), &touches, at(conversion))
    }

    #[test]
    fn each_model_shares_as_it_is_named() {
        assert_eq!(of(Model::First, &[0, 1, 2], 3), [1.0, 0.0, 0.0]);
        assert_eq!(of(Model::Last, &[0, 1, 2], 3), [0.0, 0.0, 1.0]);
        assert_eq!(of(Model::Linear, &[0, 1], 3), [0.5, 0.5]);
        assert_eq!(of(Model::TimeDecay, &[0, 24], 24), [1.0 / 3.0, 2.0 / 3.0]);
        assert_eq!(of(Model::Position, &[0, 1, 2, 3], 3), [0.4, 0.1, 0.1, 0.4]);
        assert_eq!(of(Model::Position, &[0, 1], 3), [0.5, 0.5]);
        assert_eq!(of(Model::Position, &[0], 3), [1.0]);
        assert_eq!(of(Model::Linear, &[], 3), Vec::<f64>::new());
    }

    #[test]
    fn what_is_long_forgotten_still_adds_up() {
        assert_eq!(of(Model::TimeDecay, &[0, 1], 1_000_000), [0.0, 1.0]);
    }

    proptest! {
        #[test]
        fn money_is_cut_without_loss(amount in -1_000_000_000i64..1_000_000_000, hours in prop::collection::vec(0i64..500, 1..20)) {
            let mut hours = hours;
            hours.sort_unstable();
            for model in [Model::First, Model::Last, Model::Linear, Model::TimeDecay, Model::Position] {
                let shares = of(model, &hours, 500);
                prop_assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
                prop_assert_eq!(cut(amount, &shares).iter().sum::<i64>(), amount);
            }
        }
    }
}
