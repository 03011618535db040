//! The edges over real sockets: who is let in, health, numbers, the page, and stopping.

mod admission;
mod after;
mod audio;
mod conversations;
mod going_on;
mod moving;
mod openai;
mod openapi;
mod process;
mod routes;
mod shared;
