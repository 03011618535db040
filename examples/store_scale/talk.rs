//! Conversations made up from a seed: words as frequent as words are, a few whose number is known, and what a session
//! would hand to the recorder.

use floe::{
    ids::{ConversationId, SessionId},
    store::record::{Change, Closing, ItemRow, Opening, ReceiptRow},
};

/// Everything one conversation hands to the recorder after it was opened, and when.
pub(crate) struct Talk {
    pub(crate) id: ConversationId,
    pub(crate) session: SessionId,
    pub(crate) opening: Opening,
    pub(crate) began_ms: i64,
    pub(crate) changes: Vec<(i64, Change)>,
}

/// Whose almost everything is: the tenant that the API serves.
pub(crate) const BIG: &str = "default";
/// Whose one conversation in a hundred is.
pub(crate) const SMALL: &str = "small & co";
/// In one item of 100,000.
pub(crate) const RARE: &str = "zanzibar";
/// In one item of twenty of every other conversation, and in one of twenty of the others: they never meet.
pub(crate) const APART: [&str; 2] = ["harbour", "mountain"];
/// In every fifth item of one month, long ago.
pub(crate) const SEASON: &str = "carnival";
/// In one item of 30 of the big tenant, in none of the small one's.
pub(crate) const THEIRS: &str = "monday";
/// In none.
pub(crate) const NOBODYS: &str = "xylophonists";
/// Who answers, and the share of conversations.
const AGENTS: [(&str, f64); 5] =
    [("default", 0.6), ("booking", 0.2), ("support", 0.12), ("survey", 0.079), ("pilot", 0.001)];
/// Who answers least.
pub(crate) const PILOT: &str = "pilot";

/// Turns of the one long conversation: more than an hour.
const LONG_TURNS: u64 = 500;
const DAY_MS: i64 = 86_400_000;
const WORDS: usize = 20_000;
const COMMON: &str = "the to and a of in is you that it for on was with be this have are not but at we they can he my \
    your so do what all would about there one if out up no get when like time just know how please yes thank";

/// SplitMix64: the same seed, the same conversations.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap_or(1)).unwrap_or_default()
    }

    fn share(&mut self) -> f64 {
        f64::from(u32::try_from(self.next() >> 32).unwrap_or_default()) / f64::from(u32::MAX)
    }

    fn between(&mut self, from: i64, to: i64) -> i64 {
        from + i64::try_from(self.below(usize::try_from(to - from).unwrap_or(1))).unwrap_or_default()
    }
}

/// Makes conversations, one after another.
pub(crate) struct Talks {
    dice: Dice,
    vocabulary: Vec<String>,
    /// The word of each share: Zipf's law, word n is used 1/n times as often as the first.
    shares: Vec<f64>,
    conversations: u64,
    end_ms: i64,
    made: u64,
}

impl Talks {
    /// As many as hold about so many turns, spread over the year before `end_ms`.
    pub(crate) fn new(turns: u64, end_ms: i64) -> Self {
        let vocabulary = vocabulary();
        let mut sum = 0.0;
        let shares = (1..=vocabulary.len()).map(|rank| {
            sum += 1.0 / f64::from(u32::try_from(rank).unwrap_or(u32::MAX));
            sum
        });
        let shares = shares.collect();
        Self { dice: Dice(7), vocabulary, shares, conversations: (turns / 10).max(4), end_ms, made: 0 }
    }

    /// Words of these ranks.
    pub(crate) fn words(&self, ranks: std::ops::Range<usize>) -> &[String] {
        self.vocabulary.get(ranks).unwrap_or_default()
    }

    pub(crate) fn conversations(&self) -> u64 {
        self.conversations
    }

    fn text(&mut self, from: usize, to: usize, extra: &[&str]) -> String {
        let length = from + self.dice.below(to - from);
        let all = self.shares.last().copied().unwrap_or(1.0);
        let mut text = String::with_capacity(length * 7);
        for place in 0..length {
            let at = self.dice.share() * all;
            let rank = self.shares.partition_point(|share| *share < at);
            let word = self.vocabulary.get(rank).map_or("the", String::as_str);
            match (place, word.chars().next()) {
                (0, Some(first)) => text.extend(first.to_uppercase().chain(word.chars().skip(1))),
                _ => {
                    text.push_str(if place % 9 == 8 { ", " } else { " " });
                    text.push_str(word);
                }
            }
        }
        for word in extra {
            text.push(' ');
            text.push_str(word);
        }
        text.push('.');
        text
    }

    /// The known words that an item has.
    fn extra(&mut self, tenant: &str, began_ms: i64) -> Vec<&'static str> {
        let days_ago = (self.end_ms - began_ms) / DAY_MS;
        let apart = APART[usize::from(self.made.is_multiple_of(2))];
        let chances = [
            (RARE, 0.000_01),
            (apart, 0.05),
            (SEASON, if (300..330).contains(&days_ago) { 0.2 } else { 0.0 }),
            (THEIRS, if tenant == BIG { 0.033 } else { 0.0 }),
        ];
        chances.into_iter().filter(|(_, chance)| self.dice.share() < *chance).map(|(word, _)| word).collect()
    }
}

impl Iterator for Talks {
    type Item = Talk;

    fn next(&mut self) -> Option<Talk> {
        if self.made == self.conversations {
            return None;
        }
        let step = 365 * DAY_MS / i64::try_from(self.conversations).unwrap_or(i64::MAX);
        let left = i64::try_from(self.conversations - self.made).unwrap_or_default();
        let began_ms = self.end_ms - left * step;
        let random = (u128::from(self.dice.next()) << 64 | u128::from(self.dice.next())).to_le_bytes();
        let random: [u8; 10] = std::array::from_fn(|at| random[at]);
        let uuid = uuid::Builder::from_unix_timestamp_millis(u64::try_from(began_ms).unwrap_or_default(), &random);
        let uuid = uuid.into_uuid();
        let tenant = if self.made % 100 == 99 { SMALL } else { BIG };
        let mut share = self.dice.share();
        let agent = AGENTS.iter().find(|(_, of)| {
            share -= of;
            share < 0.0
        });
        let agent = agent.map_or("default", |(agent, _)| agent);
        let turns = if self.made == self.conversations / 2 {
            LONG_TURNS.min(self.conversations)
        } else {
            4 + self.dice.next() % 13
        };
        let changes = self.said(tenant, began_ms, turns);
        self.made += 1;
        Some(Talk {
            id: ConversationId::of_uuid(uuid),
            session: SessionId::of_uuid(uuid),
            opening: Opening {
                tenant: tenant.into(),
                user: None,
                agent: agent.into(),
                language: "en".into(),
                consent: None,
            },
            began_ms,
            changes,
        })
    }
}

impl Talks {
    /// Turns, replies, receipts, now and then a tool, and the end.
    fn said(&mut self, tenant: &str, began_ms: i64, turns: u64) -> Vec<(i64, Change)> {
        let mut changes = Vec::new();
        let (mut media_ms, mut spoken_ms, mut item) = (0, 0, 0);
        for response in 1..=i64::try_from(turns).unwrap_or_default() {
            media_ms += self.dice.between(500, 4_000);
            let spoke_ms = self.dice.between(800, 6_000);
            let extra = self.extra(tenant, began_ms);
            item += 1;
            let turn = item;
            let user = ItemRow {
                role: "user".into(),
                kind: "speech".into(),
                text: self.text(3, 16, &extra),
                language: "en".into(),
                start_ms: Some(media_ms),
                end_ms: Some(media_ms + spoke_ms),
                ..row(turn)
            };
            media_ms += spoke_ms;
            let mut rows = vec![user];
            if self.dice.below(20) == 0 {
                let (call, arguments) = (Some(response), Some(r#"{"city":"Bristol"}"#.to_owned()));
                let tool = || ItemRow { role: "tool".into(), call, response: Some(response), ..row(0) };
                let named = Some("look_up".to_owned());
                rows.push(ItemRow {
                    item: item + 1,
                    position: 0.0,
                    kind: "tool_call".into(),
                    tool: named,
                    arguments,
                    ..tool()
                });
                let text = r#"{"found":3}"#.into();
                rows.push(ItemRow { item: item + 2, position: 0.0, kind: "tool_output".into(), text, ..tool() });
                item += 2;
            }
            item += 1;
            let extra = self.extra(tenant, began_ms);
            let text = self.text(6, 30, &extra);
            let cut = self.dice.below(12) == 0;
            let heard = if cut { text.chars().take(text.chars().count() / 2).collect() } else { text.clone() };
            let reply_ms = 60 * i64::try_from(heard.len()).unwrap_or_default();
            rows.push(ItemRow {
                role: "assistant".into(),
                kind: "reply".into(),
                text: heard,
                written: cut.then_some(text),
                start_ms: Some(media_ms + 900),
                end_ms: Some(media_ms + 900 + reply_ms),
                interrupted: cut,
                response: Some(response),
                ..row(item)
            });
            media_ms += 900 + reply_ms;
            spoken_ms += reply_ms;
            let at_ms = began_ms + media_ms;
            changes.extend(rows.into_iter().map(|mut row| {
                row.position = f64::from(u32::try_from(row.item).unwrap_or_default());
                (at_ms, Change::Item(Box::new(row)))
            }));
            changes.push((at_ms, Change::Receipt(self.receipt(response, turn, cut))));
        }
        let (audio_in_ms, audio_out_ms) = (media_ms, spoken_ms);
        let ending = |lost, reason: &str| Closing { lost, reason: reason.into(), audio_in_ms, audio_out_ms };
        let left = self.conversations - self.made;
        match self.dice.below(100) {
            // A few go on.
            _ if left <= 40 && left.is_multiple_of(4) => {}
            0..=1 => changes.push((began_ms + media_ms, Change::Closed(ending(true, "server_lost")))),
            _ => changes.push((began_ms + media_ms, Change::Closed(ending(false, "client_ended")))),
        }
        changes
    }

    fn receipt(&mut self, response: i64, turn: i64, cut: bool) -> ReceiptRow {
        let endpoint_ms = self.dice.between(500, 530);
        let transcript_ms = endpoint_ms + self.dice.between(20, 120);
        let first_text_ms = transcript_ms + self.dice.between(150, 900);
        let first_audio_ms = first_text_ms + self.dice.between(60, 300);
        ReceiptRow {
            response,
            turn: Some(turn),
            status: if cut { "interrupted" } else { "completed" }.into(),
            reason: None,
            endpoint_ms: Some(endpoint_ms),
            transcript_ms: Some(transcript_ms),
            first_text_ms: Some(first_text_ms),
            first_audio_ms: Some(first_audio_ms),
            first_sent_ms: Some(first_audio_ms + 1),
            input_tokens: self.dice.between(80, 2_000),
            output_tokens: self.dice.between(8, 60),
        }
    }
}

fn row(item: i64) -> ItemRow {
    ItemRow { item, ..ItemRow::default() }
}

/// The commonest words of English, and after them words that nobody uses.
fn vocabulary() -> Vec<String> {
    let (heads, tails) = (
        ["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "br", "st", "tr"],
        ["a", "e", "i", "o", "u", "an", "er", "il", "on", "us"],
    );
    let mut dice = Dice(11);
    let mut words: Vec<String> = COMMON.split_whitespace().map(str::to_owned).collect();
    let mut known: std::collections::HashSet<String> = words.iter().cloned().collect();
    while words.len() < WORDS {
        let syllables = 2 + dice.below(3);
        let word: String =
            (0..syllables).map(|_| [heads[dice.below(heads.len())], tails[dice.below(tails.len())]].concat()).collect();
        if known.insert(word.clone()) {
            words.push(word);
        }
    }
    words
}
