//! What may stand after a number: units, and how they are said.

/// Written form, said of one, said of several.
const UNITS: &[(&str, &str, &str)] = &[
    ("km/h", "kilometer per hour", "kilometers per hour"),
    ("kph", "kilometer per hour", "kilometers per hour"),
    ("mph", "mile per hour", "miles per hour"),
    ("m/s", "meter per second", "meters per second"),
    ("km²", "square kilometer", "square kilometers"),
    ("m²", "square meter", "square meters"),
    ("m³", "cubic meter", "cubic meters"),
    ("km", "kilometer", "kilometers"),
    ("cm", "centimeter", "centimeters"),
    ("mm", "millimeter", "millimeters"),
    ("m", "meter", "meters"),
    ("ft", "foot", "feet"),
    ("mi", "mile", "miles"),
    ("kg", "kilogram", "kilograms"),
    ("mg", "milligram", "milligrams"),
    ("g", "gram", "grams"),
    ("lbs", "pound", "pounds"),
    ("lb", "pound", "pounds"),
    ("oz", "ounce", "ounces"),
    ("ml", "milliliter", "milliliters"),
    ("l", "liter", "liters"),
    ("L", "liter", "liters"),
    ("°C", "degree Celsius", "degrees Celsius"),
    ("°F", "degree Fahrenheit", "degrees Fahrenheit"),
    ("°", "degree", "degrees"),
    ("kWh", "kilowatt hour", "kilowatt hours"),
    ("kW", "kilowatt", "kilowatts"),
    ("MW", "megawatt", "megawatts"),
    ("GHz", "gigahertz", "gigahertz"),
    ("MHz", "megahertz", "megahertz"),
    ("kHz", "kilohertz", "kilohertz"),
    ("Hz", "hertz", "hertz"),
    ("TB", "terabyte", "terabytes"),
    ("GB", "gigabyte", "gigabytes"),
    ("MB", "megabyte", "megabytes"),
    ("KB", "kilobyte", "kilobytes"),
    ("kB", "kilobyte", "kilobytes"),
    ("ms", "millisecond", "milliseconds"),
    ("sec", "second", "seconds"),
    ("s", "second", "seconds"),
    ("min", "minute", "minutes"),
    ("hrs", "hour", "hours"),
    ("hr", "hour", "hours"),
    ("h", "hour", "hours"),
    ("%", "percent", "percent"),
    ("x", "times", "times"),
];

/// The unit at the start of `rest` (at most one space before it): its length and its words.
pub(super) fn unit(rest: &str, one: bool) -> Option<(usize, &'static str)> {
    let body = rest.strip_prefix(' ').unwrap_or(rest);
    let space = rest.len() - body.len();
    UNITS.iter().find_map(|&(short, singular, plural)| {
        let after = body.strip_prefix(short)?;
        // `5 m` is a length, `5 men` and `5 m's` are not; `x` only touches its number.
        let whole = short.ends_with(['°', '%', '²', '³'])
            || !after.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '\'' | '’' | '/' | '²' | '³'));
        let touching = short != "x" || space == 0;
        (whole && touching).then_some((space + short.len(), if one { singular } else { plural }))
    })
}

/// A currency sign: its length, then the words for one and many, and for one and many of its hundredths.
pub(super) fn currency(rest: &str) -> Option<(usize, [&'static str; 4])> {
    let words = match rest.chars().next()? {
        '$' => ["dollar", "dollars", "cent", "cents"],
        '€' => ["euro", "euros", "cent", "cents"],
        '£' => ["pound", "pounds", "penny", "pence"],
        '¥' => ["yen", "yen", "sen", "sen"],
        '₹' => ["rupee", "rupees", "paisa", "paise"],
        _ => return None,
    };
    Some((rest.chars().next()?.len_utf8(), words))
}

/// A magnitude after an amount of money: its length and its word.
pub(super) fn magnitude(rest: &str) -> Option<(usize, &'static str)> {
    const WORDS: &[(&str, &str)] = &[
        (" thousand", "thousand"),
        (" million", "million"),
        (" billion", "billion"),
        (" trillion", "trillion"),
        ("k", "thousand"),
        ("K", "thousand"),
        ("M", "million"),
        ("bn", "billion"),
        ("B", "billion"),
        ("T", "trillion"),
    ];
    WORDS.iter().find_map(|&(short, word)| {
        let after = rest.strip_prefix(short)?;
        (!after.starts_with(char::is_alphanumeric)).then_some((short.len(), word))
    })
}
