//! How a limit is divided among the members of a fleet.
//!
//! | all that is asked for | a member gets |
//! |---|---|
//! | fits into the limit | what it asks for and a quarter more, and an equal part of what is spare |
//! | does not | a floor, and of the rest a part by how much it asks for beyond that |
//!
//! Whole numbers. All shares together are the limit, never more; each member is given one at least, where
//! there are so many.

/// The floors of all members together are this part of a limit.
const FLOORS: u64 = 8;
/// What a gateway grants itself that has never had a share is this part of a limit.
const FIRST: u64 = 8;

/// The share of each member, in the order of their demands. A demand beyond the limit counts as the limit:
/// nobody gets all by asking for more than there is.
pub fn divide(limit: u64, demands: &[u64]) -> Vec<u64> {
    let members = demands.len() as u64;
    if members == 0 {
        return Vec::new();
    }
    if limit < members {
        return some_get_one(limit, demands);
    }
    let floor = (limit / (FLOORS * members)).max(1);
    let needs: Vec<u64> = demands.iter().map(|&demand| need(limit, demand).max(floor)).collect();
    let sum: u128 = needs.iter().copied().map(u128::from).sum();
    match u64::try_from(sum).ok().and_then(|sum| limit.checked_sub(sum)) {
        Some(spare) => {
            let parts =
                (0..members).map(|place| spare / members + u64::from(place < spare % members));
            needs.iter().zip(parts).map(|(need, part)| need + part).collect()
        }
        None => beyond_the_floor(limit, floor, &needs),
    }
}

/// What a gateway grants itself that has never had a share: at least one.
pub fn first_share(limit: u64) -> u64 {
    (limit / FIRST).max(1).min(limit)
}

/// A quarter more than is asked for: who asks for more from one round to the next is not held up.
fn need(limit: u64, demand: u64) -> u64 {
    let demand = demand.min(limit);
    demand.saturating_add(demand.div_ceil(4)).min(limit)
}

/// There are fewer than members: those that ask for most.
fn some_get_one(limit: u64, demands: &[u64]) -> Vec<u64> {
    let mut order: Vec<usize> = (0..demands.len()).collect();
    order.sort_by_key(|&place| std::cmp::Reverse(demands[place]));
    let mut shares = vec![0; demands.len()];
    // It is less than their number.
    order.iter().take(limit as usize).for_each(|&place| shares[place] = 1);
    shares
}

fn beyond_the_floor(limit: u64, floor: u64, needs: &[u64]) -> Vec<u64> {
    let rest = u128::from(limit - floor * needs.len() as u64);
    let beyond: Vec<u128> = needs.iter().map(|need| need.saturating_sub(floor).into()).collect();
    // It is more than the rest, since all needs are more than the limit.
    let all: u128 = beyond.iter().sum::<u128>().max(1);
    // A part of the rest fits.
    let mut shares: Vec<u64> =
        beyond.iter().map(|part| floor + (rest * part / all) as u64).collect();
    let mut left = limit.saturating_sub(shares.iter().sum());
    let mut order: Vec<usize> = (0..needs.len()).collect();
    order.sort_by_key(|&place| std::cmp::Reverse(rest * beyond[place] % all));
    for place in order {
        let one = left.min(1);
        shares[place] += one;
        left -= one;
    }
    shares
}
