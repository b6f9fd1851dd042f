//! How much to take from which list. Pure.

use super::config::QueueOrder;

/// So many are asked for where nothing is known to lie: something may have come since the last look.
const BLIND: usize = 4;

/// A list to take from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    /// Messages it is known to hold.
    pub(super) length: u64,
    /// It must be left alone: a waiting command would take from it at the same time.
    pub(super) closed: bool,
}

/// How many to take from each list. `offers` are grouped by queue, each with its `steps` in the order of urgency; the
/// most urgent step of all queues goes first (kombu-layouts.md §2.2). `turn`: which queue is first by rotation.
pub(super) fn shares(
    offers: &[Offer],
    steps: usize,
    credit: usize,
    turn: usize,
    order: QueueOrder,
    blind: bool,
) -> Vec<usize> {
    let mut shares = vec![0; offers.len()];
    let queues = offers.len() / steps.max(1);
    if queues == 0 {
        return shares;
    }
    let first = if order == QueueOrder::RoundRobin { turn % queues } else { 0 };
    let mut left = credit;
    for step in 0..steps {
        let places: Vec<usize> = (0..queues).map(|queue| (first + queue) % queues * steps + step).collect();
        let known = |place: &usize| if offers[*place].closed { 0 } else { offers[*place].length as usize };
        if order == QueueOrder::RoundRobin {
            divide(&places, &known, &mut left, &mut shares);
        } else {
            for place in &places {
                let share = known(place).min(left);
                shares[*place] += share;
                left -= share;
            }
        }
    }
    if blind {
        for queue in 0..queues {
            let place = (first + queue) % queues * steps;
            if !offers[place].closed {
                let share = left.min(BLIND);
                shares[place] += share;
                left -= share;
            }
        }
    }
    shares
}

/// The same share to each, as long as it has so many.
fn divide(places: &[usize], known: &dyn Fn(&usize) -> usize, left: &mut usize, shares: &mut [usize]) {
    let mut asked: Vec<usize> = places.iter().filter(|place| known(place) > 0).copied().collect();
    while *left > 0 && !asked.is_empty() {
        let round = asked.len();
        let mut rich = Vec::new();
        for (position, place) in asked.into_iter().enumerate() {
            let wanted = left.div_ceil(round - position);
            let share = wanted.min(known(&place) - shares[place]);
            shares[place] += share;
            *left -= share;
            if known(&place) > shares[place] {
                rich.push(place);
            }
        }
        asked = rich;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(lengths: &[u64], steps: usize, credit: usize, turn: usize, order: QueueOrder) -> Vec<usize> {
        let offers: Vec<Offer> =
            lengths.iter().map(|length| Offer { length: *length, closed: false }).collect();
        shares(&offers, steps, credit, turn, order, false)
    }

    #[test]
    fn urgent_steps_go_first_and_queues_share_a_step() {
        use QueueOrder::{Priority, RoundRobin, Sorted};
        for (lengths, steps, credit, turn, order, expected) in [
            (&[100, 3, 0][..], 1, 10, 0, RoundRobin, &[7, 3, 0][..]),
            (&[100, 3, 0], 1, 1, 1, RoundRobin, &[0, 1, 0]),
            (&[2, 50, 50, 2], 2, 10, 0, RoundRobin, &[2, 0, 8, 0]),
            (&[100, 100], 1, 10, 5, Priority, &[10, 0]),
            (&[4, 100], 1, 10, 1, Sorted, &[4, 6]),
            (&[], 2, 10, 0, RoundRobin, &[]),
        ] {
            let found = taken(lengths, steps, credit, turn, order);
            assert_eq!(found.iter().sum::<usize>(), credit.min(lengths.iter().sum::<u64>() as usize));
            assert_eq!(found, expected, "{lengths:?}");
        }
    }

    #[test]
    fn where_nothing_is_known_a_few_are_asked_for_and_closed_lists_are_left_alone() {
        let offers = [
            Offer { length: 0, closed: false },
            Offer { length: 9, closed: true },
            Offer { length: 5, closed: true },
            Offer { length: 0, closed: false },
        ];
        assert_eq!(shares(&offers, 2, 10, 0, QueueOrder::RoundRobin, true), [4, 0, 0, 0]);
        assert_eq!(shares(&offers, 2, 3, 0, QueueOrder::RoundRobin, true), [3, 0, 0, 0]);
        assert_eq!(shares(&offers, 2, 3, 0, QueueOrder::RoundRobin, false), [0, 0, 0, 0]);
    }
}
