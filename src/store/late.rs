//! Words that were acknowledged on this server's disk, and whose conversation another server has taken over before the database
//! got them.
//!
//! They were promised to be kept, and may change nothing of what the new owner has seen or written. So they become rows of their
//! own: with numbers that no owner gives out, under the epoch they were said in, behind everything of that epoch and before
//! everything of the next.

use super::record::{Change, Entry};

/// What must be known to find a place for late words: whether their conversation is still there, where that of its rows which
/// stands last among those of their epoch and earlier ones stands, and whether an item of this number was written in those.
/// Takes the conversation, the epoch and the item.
pub(super) const PLACE: &str = "SELECT CAST(COUNT(*) AS BIGINT), \
         (SELECT MAX(position) FROM items WHERE conversation_id = $1 AND epoch <= $2), \
         (SELECT CAST(COUNT(*) AS BIGINT) FROM items WHERE conversation_id = $1 AND epoch <= $2 AND item = $3) \
     FROM conversations WHERE id = $1";

/// Its answer.
pub(super) type Place = (i64, Option<f64>, i64);

/// The item that [`PLACE`] asks about.
pub(super) fn asked(entry: &Entry) -> Option<i64> {
    match &entry.change {
        Change::Item(row) => Some(row.item),
        Change::Receipt(row) => Some(row.turn.unwrap_or_default()),
        Change::Opened(_) | Change::Closed(_) | Change::Track(_) => None,
    }
}

/// The same, as it is added. `None` if it is not: its conversation was deleted, or it is a later state of an item that the new
/// owner has got as it was.
pub(super) fn added(entry: &Entry, (conversations, last, known): Place) -> Option<Entry> {
    if conversations == 0 {
        return None;
    }
    let number = |number: i64| apart(entry.epoch, number);
    let mut entry = entry.clone();
    match &mut entry.change {
        Change::Item(row) if known == 0 => {
            row.item = number(row.item);
            row.response = row.response.map(number);
            row.call = row.call.map(number);
            row.position = between(last.unwrap_or_default(), entry.epoch, row.position);
        }
        Change::Receipt(row) => {
            row.response = number(row.response);
            row.turn = row.turn.map(|turn| if known == 0 { number(turn) } else { turn });
        }
        Change::Item(_) | Change::Opened(_) | Change::Closed(_) | Change::Track(_) => return None,
    }
    Some(entry)
}

/// A number that owners, who count in 32 bits, do not give out: the same each time, and another one in another epoch.
const fn apart(epoch: i64, number: i64) -> i64 {
    (epoch << 32) | (number & NUMBERS)
}

/// Whether a row of this number was added late.
pub(crate) const fn is_late(number: i64) -> bool {
    number > NUMBERS
}

/// Whether `late` is the number under which the row `number` of an owner was added late.
pub(crate) const fn numbered(late: i64, number: i64) -> bool {
    is_late(late) && late & NUMBERS == number
}

/// What owners count in: 32 bits.
const NUMBERS: i64 = 0xffff_ffff;

/// A place after the last one that the new owner knows, and before the whole number after that, where its own items begin. Keeps
/// the order of those that are put there: by epoch, as several owners in turn may have been overtaken, then as they stood. (What
/// is too close for a float to tell apart is in order by its number.)
fn between(last: f64, epoch: i64, position: f64) -> f64 {
    let share = |epoch: i64| epoch as f64 / (epoch as f64 + 1.0);
    let (begin, end) = (share(epoch), share(epoch + 1));
    last.floor() + begin + (end - begin) * (0.5 + position / (2.0 * (1.0 + position.abs())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_places_are_in_order_and_before_the_next_owners() {
        let mut before = 7.0;
        for epoch in [1, 2, 3, 50] {
            for position in [-3.0, -0.5, 0.0, 0.5, 1.0, 8.0, 8.5, 9.0, 10_000.0, 10_001.0] {
                let place = between(before, epoch, position);
                assert!(place > before && place < 8.0, "{position} of {epoch} goes to {place}");
                before = place;
            }
        }
    }

    #[test]
    fn late_numbers_are_nobody_elses() {
        assert!(is_late(apart(1, 1)) && !is_late(i64::from(u32::MAX)));
        assert!(numbered(apart(1, 5), 5) && numbered(apart(2, 5), 5) && !numbered(apart(1, 5), 6) && !numbered(5, 5));
        assert_ne!(apart(1, 5), apart(2, 5));
        assert_eq!(apart(3, i64::from(u32::MAX)) >> 32, 3);
    }
}
