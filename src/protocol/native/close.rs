//! Close codes: what the server says with its last breath.

use crate::conversation::CloseReason;

/// All is well: the client said goodbye.
pub const NORMAL: u16 = 1000;
/// The server is leaving and will not be back here.
pub const GOING_AWAY: u16 = 1001;
/// A WebSocket opcode that the protocol does not use.
pub const UNSUPPORTED_DATA: u16 = 1003;
/// A text message that is not UTF-8.
pub const INVALID_UTF8: u16 = 1007;
/// A message above the limits of `ready.limits`.
pub const TOO_BIG: u16 = 1009;
/// The server broke.
pub const INTERNAL: u16 = 1011;
/// The server restarts.
pub const RESTART: u16 = 1012;
/// The server, or the client's own reading, is too slow.
pub const OVERLOADED: u16 = 1013;
/// The credential with which the client came has expired, or was revoked, in the middle of the conversation.
pub const CREDENTIAL_ENDED: u16 = 4003;
/// The protocol was not kept: no hello, a bad frame.
pub const VIOLATION: u16 = 4400;
/// The token is missing, wrong or expired.
pub const UNAUTHENTICATED: u16 = 4401;
/// The token, or the origin, does not allow this.
pub const FORBIDDEN: u16 = 4403;
/// No such agent, or no such conversation.
pub const NOT_FOUND: u16 = 4404;
/// No audio format in common.
pub const NO_COMMON_FORMAT: u16 = 4406;
/// No hello in time, or nothing happened for too long.
pub const TIMEOUT: u16 = 4408;
/// Another connection took the session over.
pub const TAKEN_OVER: u16 = 4409;
/// The session reached its greatest length, or policy ended it.
pub const ENDED_BY_POLICY: u16 = 4410;
/// Too many messages, or too many sessions.
pub const RATE_LIMITED: u16 = 4429;

/// Bytes that the reason of a close frame may have (RFC 6455, 5.5: 125 less the code).
pub const REASON_MAX_BYTES: usize = 123;

/// The code with which an ended conversation closes its socket.
pub const fn code_for(reason: CloseReason) -> u16 {
    match reason {
        CloseReason::Goodbye => NORMAL,
        CloseReason::Idle => TIMEOUT,
        CloseReason::TooLong => ENDED_BY_POLICY,
        CloseReason::Restart => RESTART,
    }
}

/// What the close frame says of each way in which a conversation ends.
pub const fn farewell(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::Goodbye => "goodbye",
        CloseReason::Idle => "nothing happened for too long",
        CloseReason::TooLong => "the session reached its greatest length",
        CloseReason::Restart => "the server restarts; connect again",
    }
}

/// `text`, cut at a character so that it fits into a close frame.
pub fn reason(text: &str) -> &str {
    &text[..text.floor_char_boundary(REASON_MAX_BYTES)]
}
