//! One caller: streams a recording at a server like a live microphone and listens to what comes back.
