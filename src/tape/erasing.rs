//! What was deleted is erased: whoever deletes a conversation leaves word in the database for each server that has its files, and
//! each looks for it at its start and from time to time. So a file outlives its row by at most that, whichever server was asked,
//! and whoever crashed in between.

use std::time::Duration;

use tokio::time;

use super::Deck;
use crate::store::Store;

/// Looks for ever. What fails is tried again.
pub(super) async fn run(deck: Deck, store: Store, node: String) {
    let mut rounds = time::interval(ROUND);
    rounds.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    let mut is_failing = false;
    loop {
        rounds.tick().await;
        // A database that is away is somebody else's to report.
        let Ok(conversations) = store.to_erase(&node, AT_A_TIME).await else { continue };
        for conversation in conversations {
            match deck.erase(conversation).await {
                Ok(()) => {
                    is_failing = false;
                    let _again_next_time = store.erased(&node, conversation).await;
                }
                Err(error) if !std::mem::replace(&mut is_failing, true) => {
                    tracing::error!(%error, %conversation, "the sound of a deleted conversation cannot be erased");
                }
                Err(_) => {}
            }
        }
    }
}

/// How often a server looks.
const ROUND: Duration = Duration::from_secs(30);

/// How many conversations it asks for.
const AT_A_TIME: u32 = 1_000;
