//! The edges over real sockets: who is let in, health, numbers, the page, and stopping.

mod access;
mod admission;
mod after;
mod audio;
mod commands;
mod conversations;
mod going_on;
mod identities;
mod moving;
mod openai;
mod openapi;
mod process;
mod routes;
mod shared;
mod tokens;
