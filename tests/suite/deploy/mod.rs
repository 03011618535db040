//! The repository's Caddyfile in a real Caddy, in front of two real `floe serve` processes, over real TLS.
//!
//! `CADDY` names another Caddy than the one that `make setup-test` installs; what only newer ones can do is asserted of those.

mod files;
mod restarting;
mod site;
mod talking;
mod upstream;
mod visiting;
