//! The questions, as SQL: one statement each. Which index serves which stands in the migrations, what each costs in
//! docs/operations.md; public so that anybody can ask a database how it would answer (`make bench-store`).
//!
//! Parameters are the same everywhere: `$1` the tenant, or the conversation where only that is asked for.

use super::Engine;

/// What is asked of a list besides time: a statement per set of filters. SQLite makes its plan before it knows which of them are
/// empty. It also has to be told which index: without statistics it takes the tenant's, and looks through all conversations
/// for those of an agent that has few.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Filters {
    /// One user's. They are few enough that the other filters are compared one by one.
    pub user: bool,
    /// One agent's.
    pub agent: bool,
    /// Those in one state.
    pub state: bool,
}

/// The list: `$2` and `$3` ids between which they lie, `$4` how many, then the filters in the order of [`Filters`].
pub const fn list(engine: Engine, filters: Filters) -> &'static str {
    macro_rules! list {
        ($index:literal, $filters:literal) => {
            concat!(
                "SELECT id, session_id, user_id, agent, language, title, summary, summary_by, consent, state, end_reason, ",
                "started_at_ms, ended_at_ms, audio_in_ms, audio_out_ms FROM conversations",
                $index,
                " WHERE tenant_id = $1 AND id < $2 AND id >= $3",
                $filters,
                " ORDER BY id DESC LIMIT $4"
            )
        };
    }
    let Filters { user, agent, state } = filters;
    match (engine, user, agent, state) {
        (_, false, false, false) => list!("", ""),
        (Engine::Sqlite, true, false, false) => list!(" INDEXED BY conversations_by_user", " AND user_id = $5"),
        (Engine::Sqlite, true, true, false) => {
            list!(" INDEXED BY conversations_by_user", " AND user_id = $5 AND agent = $6")
        }
        (Engine::Sqlite, true, false, true) => {
            list!(" INDEXED BY conversations_by_user", " AND user_id = $5 AND state = $6")
        }
        (Engine::Sqlite, true, true, true) => {
            list!(" INDEXED BY conversations_by_user", " AND user_id = $5 AND agent = $6 AND state = $7")
        }
        (Engine::Sqlite, false, true, false) => list!(" INDEXED BY conversations_by_agent", " AND agent = $5"),
        (Engine::Sqlite, false, false, true) => list!(" INDEXED BY conversations_by_state", " AND state = $5"),
        (Engine::Sqlite, false, true, true) => {
            list!(" INDEXED BY conversations_by_agent_and_state", " AND agent = $5 AND state = $6")
        }
        (_, true, false, false) => list!("", " AND user_id = $5"),
        (_, true, true, false) => list!("", " AND user_id = $5 AND agent = $6"),
        (_, true, false, true) => list!("", " AND user_id = $5 AND state = $6"),
        (_, true, true, true) => list!("", " AND user_id = $5 AND agent = $6 AND state = $7"),
        (_, false, true, false) => list!("", " AND agent = $5"),
        (_, false, false, true) => list!("", " AND state = $5"),
        (_, false, true, true) => list!("", " AND agent = $5 AND state = $6"),
    }
}

/// One conversation, `$2` its id.
pub const ONE: &str = "SELECT id, session_id, user_id, agent, language, title, summary, summary_by, consent, state, end_reason, \
         started_at_ms, ended_at_ms, audio_in_ms, audio_out_ms \
     FROM conversations WHERE tenant_id = $1 AND id = $2";

/// The same if it is the user's, `$3`.
pub const ONE_OF_USER: &str = "SELECT id, session_id, user_id, agent, language, title, summary, summary_by, consent, state, end_reason, \
         started_at_ms, ended_at_ms, audio_in_ms, audio_out_ms \
     FROM conversations WHERE tenant_id = $1 AND id = $2 AND user_id = $3";

/// A user's conversations, `$2` whose, `$3` after which, `$4` how many.
pub const OF_USER: &str = "SELECT id, session_id, user_id, agent, language, title, summary, summary_by, consent, state, end_reason, \
         started_at_ms, ended_at_ms, audio_in_ms, audio_out_ms \
     FROM conversations WHERE tenant_id = $1 AND user_id = $2 AND id > $3 ORDER BY id LIMIT $4";

/// A conversation's items.
pub const TIMELINE: &str = "SELECT item, position, role, kind, text, written, language, start_ms, end_ms, interrupted, response, call, \
         tool, arguments, failed, recorded_at_ms, revision \
     FROM items WHERE conversation_id = $1 AND kind <> 'deleted' ORDER BY position, item";

/// A conversation's receipts.
pub const RECEIPTS: &str = "SELECT response, turn, status, reason, endpoint_ms, transcript_ms, first_text_ms, first_audio_ms, \
         first_sent_ms, input_tokens, output_tokens \
     FROM receipts WHERE conversation_id = $1 ORDER BY response";

/// What is told of a hit. When its conversation began is looked up for those that are told, and for no others.
macro_rules! hits {
    ($($found:tt)+) => {
        concat!(
            "SELECT f.number, f.conversation_id, \
             (SELECT c.started_at_ms FROM conversations c WHERE c.id = f.conversation_id) AS started_at_ms, \
             f.item, f.role, f.text, f.start_ms FROM (",
            $($found)+,
            ") f ORDER BY f.number DESC"
        )
    };
}

/// How many of a tenant's items a search looks through before it asks the index of words. A word that is in one of 600 items
/// (in one of 200 with SQLite) fills a page within them; a rarer one has so few hits that all can be sorted. Postgres reads
/// every hit's row for that, FTS5 only those it tells: it asks its index sooner.
macro_rules! newest {
    (postgres) => {
        "12000"
    };
    (sqlite) => {
        "4000"
    };
}

/// The newest items with these words: `$2` below which number, `$3` how many, `$4` the words as a `tsquery`.
pub const SEARCH_NEWEST_POSTGRES: &str = hits!(concat!(
    "SELECT i.number, i.conversation_id, i.item, i.role, i.text, i.start_ms FROM (\
     SELECT number, conversation_id, item, role, text, start_ms, lexemes FROM items \
     WHERE tenant_id = $1 AND number < $2 ORDER BY number DESC LIMIT ",
    newest!(postgres),
    ") i WHERE i.lexemes @@ CAST($4 AS tsquery) ORDER BY i.number DESC LIMIT $3"
));

/// The same for SQLite, of so many words: `$4` and on the words with blanks around them.
pub fn search_newest_sqlite(words: usize) -> String {
    const HEAD: &str = "SELECT f.number, f.conversation_id, \
         (SELECT c.started_at_ms FROM conversations c WHERE c.id = f.conversation_id) AS started_at_ms, \
         f.item, f.role, f.text, f.start_ms FROM (SELECT i.* FROM (\
         SELECT number, conversation_id, item, role, text, start_ms, ' ' || words || ' ' AS words FROM items \
         WHERE tenant_id = $1 AND number < $2 ORDER BY number DESC LIMIT ";
    let mut statement = format!("{HEAD}{}) i WHERE TRUE", newest!(sqlite));
    for word in 4..words + 4 {
        statement.push_str(&format!(" AND instr(i.words, ${word}) > 0"));
    }
    statement.push_str(" ORDER BY i.number DESC LIMIT $3) f ORDER BY f.number DESC");
    statement
}

/// All items with these words, the newest told: parameters as those of [`SEARCH_NEWEST_POSTGRES`]. `number + 0` because an
/// index that knows the order of numbers knows no words: looking for rare ones in that order means to read the table.
pub const SEARCH_ALL_POSTGRES: &str = hits!(
    "SELECT number, conversation_id, item, role, text, start_ms FROM items \
     WHERE lexemes @@ (CAST($4 AS tsquery) && CAST('''@' || md5($1) || '''' AS tsquery)) AND tenant_id = $1 AND number < $2 \
     ORDER BY number + 0 DESC LIMIT $3"
);

/// The same for words (`$5` as a `tsquery`) that are rare without the last one. The index would first collect every item that
/// has a word with the last one's beginning, a million if it is short; instead the few items with the other words are read.
/// `OFFSET 0` because Postgres would ask the index for all of them.
pub const SEARCH_FEW_POSTGRES: &str = hits!(
    "SELECT i.number, i.conversation_id, i.item, i.role, i.text, i.start_ms FROM (\
     SELECT number, conversation_id, item, role, text, start_ms, lexemes FROM items \
     WHERE lexemes @@ (CAST($5 AS tsquery) && CAST('''@' || md5($1) || '''' AS tsquery)) AND tenant_id = $1 AND number < $2 \
     OFFSET 0) i WHERE i.lexemes @@ CAST($4 AS tsquery) ORDER BY i.number DESC LIMIT $3"
);

/// Whether words (`$3` as a `tsquery`) are rare: in less than one of eighty of a tenant's newest items below a number
/// (`$2`).
pub const IS_RARE_POSTGRES: &str = "SELECT COUNT(*) < 50 FROM (\
     SELECT lexemes FROM items WHERE tenant_id = $1 AND number < $2 ORDER BY number DESC LIMIT 4000) i \
     WHERE lexemes @@ CAST($3 AS tsquery)";

/// The same for SQLite, `$4` the words in FTS5's. FTS5 does know the order of numbers.
pub const SEARCH_ALL_SQLITE: &str = hits!(
    "SELECT i.number, i.conversation_id, i.item, i.role, i.text, i.start_ms \
     FROM items_by_words w CROSS JOIN items i ON i.number = w.rowid \
     WHERE items_by_words MATCH ('\"@' || hex($1) || '\" AND ' || $4) AND w.rowid < $2 AND i.tenant_id = $1 \
     ORDER BY w.rowid DESC LIMIT $3"
);

/// A user's items with these words: parameters as those of [`SEARCH_NEWEST_POSTGRES`], `$5` the user. Looks through everything
/// the user ever said, and nothing else: what that costs does not grow with the tenant.
pub const SEARCH_USER_POSTGRES: &str = hits!(
    "SELECT i.number, i.conversation_id, i.item, i.role, i.text, i.start_ms \
     FROM conversations c JOIN items i ON i.conversation_id = c.id \
     WHERE c.tenant_id = $1 AND c.user_id = $5 AND i.number < $2 AND i.lexemes @@ CAST($4 AS tsquery) \
     ORDER BY i.number + 0 DESC LIMIT $3"
);

/// The same for SQLite, of so many words: `$4` the user, `$5` and on the words with blanks around them.
pub fn search_user_sqlite(words: usize) -> String {
    const HEAD: &str = "SELECT i.number, i.conversation_id, c.started_at_ms, i.item, i.role, i.text, i.start_ms \
         FROM conversations c INDEXED BY conversations_by_user CROSS JOIN items i ON i.conversation_id = c.id \
         WHERE c.tenant_id = $1 AND c.user_id = $4 AND i.number < $2";
    let mut statement = HEAD.to_owned();
    for word in 5..words + 5 {
        statement.push_str(&format!(" AND instr(' ' || i.words || ' ', ${word}) > 0"));
    }
    statement.push_str(" ORDER BY i.number DESC LIMIT $3");
    statement
}

macro_rules! usage {
    ($whose:literal) => {
        concat!(
            "SELECT started_at_ms / 86400000 AS day, CAST(COUNT(*) AS BIGINT) AS conversations, \
             CAST(SUM(audio_in_ms) AS BIGINT) AS audio_in_ms, CAST(SUM(audio_out_ms) AS BIGINT) AS audio_out_ms, \
             CAST(SUM(replies) AS BIGINT) AS replies, CAST(SUM(input_tokens) AS BIGINT) AS input_tokens, \
             CAST(SUM(output_tokens) AS BIGINT) AS output_tokens \
             FROM conversations WHERE tenant_id = $1 AND id >= $2 AND id < $3",
            $whose,
            " GROUP BY started_at_ms / 86400000 ORDER BY day"
        )
    };
}

/// Usage per day: `$2` and `$3` ids between which the conversations lie.
pub const USAGE: &str = usage!("");

/// The same of one user, `$4`.
pub const USAGE_OF_USER: &str = usage!(" AND user_id = $4");

/// Deletes a conversation, `$2` its id.
pub const DELETE: &str = "DELETE FROM conversations WHERE tenant_id = $1 AND id = $2";

/// A conversation's files of sound.
pub const TRACKS: &str = "SELECT part, track, node, offset_ms, started_at_ms, length_ms, bytes, complete \
     FROM recordings WHERE conversation_id = $1 ORDER BY part, track DESC";

/// Conversations that were deleted, and of which a node (`$1`) may have files; `$2` how many.
pub const TO_ERASE: &str =
    "SELECT conversation_id FROM recordings_deleted WHERE node = $1 ORDER BY conversation_id LIMIT $2";

/// The node (`$1`) has erased those of a conversation (`$2`).
pub const ERASED: &str = "DELETE FROM recordings_deleted WHERE node = $1 AND conversation_id = $2";

/// Takes a session (`$1`) over for a node (`$2`) at a time (`$3`).
pub const CLAIM: &str =
    "UPDATE sessions SET epoch = epoch + 1, node = $2, written_at_ms = $3 WHERE id = $1 RETURNING epoch";

/// Marks the conversations of a node (`$1`) lost that it left live before a time (`$2`).
pub const MARK_LOST: &str = "UPDATE conversations SET state = 'lost', end_reason = 'server_lost' \
     WHERE state = 'live' AND session_id IN (SELECT id FROM sessions WHERE node = $1 AND written_at_ms < $2) \
     RETURNING id, tenant_id";
