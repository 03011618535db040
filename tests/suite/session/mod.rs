//! The session loop with scripted engines on an in-memory socket and a paused clock: order, interruption, slow and lost
//! clients, draining, and nothing left behind.

mod failures;
mod leftovers;
mod life;
mod returning;
mod talk;
