//! Real servers and a real Postgres, killed and stopped at random moments of live conversations: nothing that was acknowledged
//! is lost, doubled or out of place, and nobody writes into a conversation that is another's.

mod chance;
mod checker;
mod client;
mod killing;
mod owners;
mod sound;

use crate::support::node;
