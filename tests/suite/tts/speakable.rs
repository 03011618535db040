//! Text as written, text as spoken.

use floe::tts::speakable::speakable;
use proptest::prelude::*;

/// As written → as spoken.
const ENGLISH: &[(&str, &str)] = &[
    // Structure.
    ("This is *very* **important** and `quiet`.", "This is very important and quiet."),
    ("# Title\n\nSome text.", "Title. Some text."),
    ("- milk\n- eggs\n- bread", "milk. eggs. bread"),
    ("Buy:\n\n1. milk\n2. eggs", "Buy: one. milk. two. eggs"),
    ("42. That is the answer.", "forty-two. That is the answer."),
    ("See [the manual](https://example.com/x?y=1#z).", "See the manual."),
    ("![a cat](cat.png)", "a cat"),
    ("Run this:\n```sh\nrm -rf /\n```\nThen wait.", "Run this: Then wait."),
    ("| a | b |\n|---|---|\n| c | d |", "a, b. c, d"),
    ("> quoted words", "quoted words"),
    ("~~old~~ new", "old new"),
    ("Hello<br>there, <b>you</b>", "Hello there, you"),
    ("an **unfinished mark", "an unfinished mark"),
    ("one\ntwo", "one two"),
    ("AT&amp;T", "AT and T"),
    // Links.
    ("Go to https://www.example.com/a/b?c=d now.", "Go to example dot com now."),
    ("Go to example.com.", "Go to example dot com."),
    ("Mail ann.lee@example.org please.", "Mail ann dot lee at example dot org please."),
    ("It ends here.The next one begins.", "It ends here.The next one begins."),
    ("<https://floe.dev>", "floe dot dev"),
    // Emoji.
    ("Done! 🎉", "Done!"),
    ("I 👍🏽 agree 👨‍👩‍👧‍👦 fully 🇩🇪.", "I agree fully."),
    ("Step 1️⃣ first", "Step first"),
    ("☀️ It is warm ❄", "It is warm"),
    // Numbers.
    ("I have 3 cats and 12 fish.", "I have three cats and twelve fish."),
    ("1,234,567 people", "one million two hundred thirty-four thousand five hundred and sixty-seven people"),
    ("Pi is 3.14159.", "Pi is three point one four one five nine."),
    ("0.5", "zero point five"),
    ("-5 degrees", "minus five degrees"),
    ("Agent 007", "Agent zero zero seven"),
    (
        "12345678901234567890",
        "one two three four five six seven eight nine zero one two three four five six seven eight nine zero",
    ),
    ("in 1984 and 2005", "in nineteen eighty-four and two thousand and five"),
    ("since 1492", "since fourteen ninety-two"),
    ("1500 people", "one thousand five hundred people"),
    ("the 1980s, the 90s", "the nineteen eighties, the nineties"),
    ("the 1st, 2nd, 3rd and 21st", "the first, second, third and twenty-first"),
    ("1/2 cup, 3/4 full, 2/3 done", "one half cup, three quarters full, two thirds done"),
    ("24/7", "twenty-four seven"),
    ("2026-11-23", "November twenty-third, twenty twenty-six"),
    ("5-10 minutes", "five to ten minutes"),
    ("from 2019-2021", "from twenty nineteen to twenty twenty-one"),
    ("9–17 °C", "nine to seventeen degrees Celsius"),
    (
        "Call 555-1234 or 555-123-4567.",
        "Call five five five, one two three four or five five five, one two three, four five six seven.",
    ),
    ("Call +49 30 1234567.", "Call plus four nine, three zero, one two three four five six seven."),
    ("version 1.2.3", "version one dot two dot three"),
    ("GPT-4 and COVID-19 and B2B", "GPT-4 and COVID-19 and B2B"),
    ("the #1 choice", "the number one choice"),
    ("~20 people", "about twenty people"),
    // Money.
    ("It costs $3.50.", "It costs three dollars and fifty cents."),
    ("$1 or $0.99 or $0.01", "one dollar or ninety-nine cents or one cent"),
    ("$1,299", "one thousand two hundred and ninety-nine dollars"),
    ("$1.2 million", "one point two million dollars"),
    ("€5.00, 20 €, £1.01", "five euros, twenty euros, one pound and one penny"),
    ("-$5", "minus five dollars"),
    ("$5k", "five thousand dollars"),
    // Times.
    ("at 14:05", "at fourteen oh five"),
    ("at 9:30 am or 9:00 PM", "at nine thirty AM or nine PM"),
    ("at 9:30 a.m. today", "at nine thirty AM today"),
    ("at 09:00", "at nine o'clock"),
    ("16:9", "sixteen to nine"),
    ("12:30:15", "twelve thirty and fifteen seconds"),
    // Units.
    ("50% of it", "fifty percent of it"),
    ("100 km/h", "one hundred kilometers per hour"),
    ("1 km, 2 km", "one kilometer, two kilometers"),
    ("21°C or 70 °F", "twenty-one degrees Celsius or seventy degrees Fahrenheit"),
    ("5 men", "five men"),
    ("16GB of memory", "sixteen gigabytes of memory"),
    ("10x faster", "ten times faster"),
    ("250ms", "two hundred fifty milliseconds"),
    ("4K video", "four K video"),
    // Arithmetic.
    ("2 + 3 = 5", "two plus three equals five"),
    ("2*3*4", "two times three times four"),
    ("7 - 4", "seven minus four"),
    ("10 / 4", "ten divided by four"),
    ("2^10", "two to the power of ten"),
    ("6 × 7", "six times seven"),
    // Abbreviations.
    ("Dr. Smith met Mrs. Jones.", "Doctor Smith met Missus Jones."),
    ("fruit, e.g. apples, pears, etc.", "fruit, for example apples, pears, et cetera."),
    ("cats vs. dogs", "cats versus dogs"),
    ("No. 5", "number five"),
    ("Oct. 3", "October three"),
    ("I say no. Then yes.", "I say no. Then yes."),
    ("Come at 5 p.m. Then go.", "Come at five PM. Then go."),
    // Signs.
    ("salt & pepper", "salt and pepper"),
    ("A → B", "A to B"),
    ("a < b", "a less than b"),
    ("x = y", "x equals y"),
    ("one – two", "one, two"),
    ("one—two", "one, two"),
    ("snake_case_name", "snake case name"),
    ("me @ home", "me at home"),
];

/// What passes unchanged.
const PROSE: &[&str] = &[
    "Hello there, how are you today?",
    "I'm fine; it's a lovely day (really).",
    "\"Yes,\" she said, \"of course!\"",
    "Well-known, half-hearted; and so on...",
    "Let's go to St. Louis, no?",
    "The U.S. and the U.K. agree.",
    "Is 'no' an answer? No.",
    "and/or",
    "Grüße aus Köln, señor.",
];

#[test]
fn english_is_said_as_people_say_it() {
    let wrong: Vec<String> = ENGLISH
        .iter()
        .filter_map(|(written, said)| {
            let got = speakable(written, "en-US");
            (got != *said).then(|| format!("{written:?}\n   gave {got:?}\n   want {said:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), ENGLISH.len(), wrong.join("\n"));
}

#[test]
fn prose_passes_unchanged() {
    for text in PROSE.iter().filter(|text| !text.contains("St.")) {
        assert_eq!(speakable(text, "en"), *text);
    }
    assert_eq!(speakable("Let's go to St. Louis, no?", "en"), "Let's go to Saint Louis, no?");
}

#[test]
fn what_was_made_speakable_stays_as_it_is() {
    for (_, said) in ENGLISH {
        // List items begin with a number word and a full stop: still the same words.
        assert_eq!(speakable(said, "en"), *said);
    }
}

#[test]
fn other_languages_lose_only_their_structure() {
    let cases = [
        ("**Das** kostet 3,50 € & mehr 🎉", "Das kostet 3,50 € & mehr"),
        ("Siehe [hier](https://example.com).", "Siehe hier."),
        ("Siehe https://www.example.com/a/b", "Siehe example.com"),
        ("- eins\n- zwei", "eins. zwei"),
        ("Um 14:05 Uhr, z. B. am 3.4.", "Um 14:05 Uhr, z. B. am 3.4."),
        ("これは**重要**です。", "これは重要です。"),
    ];
    for (written, said) in cases {
        assert_eq!(speakable(written, "de-DE"), said);
    }
    assert_eq!(speakable("3 cats", ""), "three cats", "no language means English");
    assert_eq!(speakable("3 chats", "fr"), "3 chats");
}

#[test]
fn nothing_to_say_is_empty() {
    for text in ["", "  ", "🎉", "---", "***", "```\ncode\n```", "\0", "?!", "🇩🇪👍🏽", "\u{200b}"] {
        assert_eq!(speakable(text, "en"), "", "{text:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text_gives_clean_words(text in any::<String>(), english in any::<bool>()) {
        let said = speakable(&text, if english { "en" } else { "de" });
        prop_assert!(!said.chars().any(char::is_control));
        prop_assert!(!said.contains("  ") && said.trim() == said);
        prop_assert!(said.is_empty() || said.chars().any(char::is_alphanumeric));
    }

    #[test]
    fn tricky_text_gives_clean_words(text in r"[-0-9.,:/$€%+*×#~^=<>()\[\]`_a-cé|&; \n°²🎉]{0,60}") {
        let said = speakable(&text, "en");
        prop_assert!(!said.contains("  ") && said.trim() == said, "{:?}", said);
        prop_assert!(said.len() <= 40 * text.len() + 40);
    }

    #[test]
    fn plain_prose_is_left_alone(words in prop::collection::vec("[a-z]{2,9}", 1..20), end in "[.!?]") {
        // Words that happen to be abbreviations have their own table.
        prop_assume!(words.iter().all(|word| word != "vs"));
        let text = words.join(" ") + &end;
        prop_assert_eq!(speakable(&text, "en"), text);
    }

    #[test]
    fn every_integer_has_words(n in any::<i64>()) {
        let said = speakable(&format!("it is {n}"), "en");
        prop_assert!(!said.contains(|c: char| c.is_ascii_digit()), "{}", said);
        prop_assert_eq!(said.contains("minus"), n < 0);
    }
}
