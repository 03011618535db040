//! Time zones by the names people say: a city or country, or an IANA name.

use std::{collections::HashMap, sync::LazyLock};

use jiff::tz::{TimeZone, TimeZoneDatabase};

/// The zones inside the executable: those of the machine are files, and a tool must not wait for a disk.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// Places that people ask for and that give no IANA zone their name.
const PLACES: &[(&str, &str)] = &[
    ("atlanta", "America/New_York"),
    ("australia", "Australia/Sydney"),
    ("austria", "Europe/Vienna"),
    ("bangalore", "Asia/Kolkata"),
    ("barcelona", "Europe/Madrid"),
    ("beijing", "Asia/Shanghai"),
    ("boston", "America/New_York"),
    ("brazil", "America/Sao_Paulo"),
    ("california", "America/Los_Angeles"),
    ("china", "Asia/Shanghai"),
    ("cologne", "Europe/Berlin"),
    ("dallas", "America/Chicago"),
    ("delhi", "Asia/Kolkata"),
    ("england", "Europe/London"),
    ("france", "Europe/Paris"),
    ("frankfurt", "Europe/Berlin"),
    ("geneva", "Europe/Zurich"),
    ("germany", "Europe/Berlin"),
    ("hamburg", "Europe/Berlin"),
    ("hawaii", "Pacific/Honolulu"),
    ("houston", "America/Chicago"),
    ("india", "Asia/Kolkata"),
    ("italy", "Europe/Rome"),
    ("kyoto", "Asia/Tokyo"),
    ("las vegas", "America/Los_Angeles"),
    ("miami", "America/New_York"),
    ("milan", "Europe/Rome"),
    ("mumbai", "Asia/Kolkata"),
    ("munich", "Europe/Berlin"),
    ("netherlands", "Europe/Amsterdam"),
    ("new delhi", "Asia/Kolkata"),
    ("osaka", "Asia/Tokyo"),
    ("philadelphia", "America/New_York"),
    ("rio de janeiro", "America/Sao_Paulo"),
    ("san diego", "America/Los_Angeles"),
    ("san francisco", "America/Los_Angeles"),
    ("seattle", "America/Los_Angeles"),
    ("south africa", "Africa/Johannesburg"),
    ("spain", "Europe/Madrid"),
    ("sweden", "Europe/Stockholm"),
    ("switzerland", "Europe/Zurich"),
    ("texas", "America/Chicago"),
    ("united kingdom", "Europe/London"),
    ("washington", "America/New_York"),
];

/// Names as said, in lower case, to IANA names: the last part of each IANA name, then [`PLACES`].
static BY_NAME: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    let mut names = HashMap::new();
    for name in ZONES.available() {
        let name = name.as_str();
        // `America/Indiana/Knox` and the like are no places one asks for, and `Etc/…` is none at all.
        if let Some((area, city)) = name.split_once('/')
            && !city.contains('/')
            && area != "Etc"
        {
            names.insert(said(city), name.to_owned());
        }
    }
    names.extend(PLACES.iter().map(|(place, zone)| ((*place).to_owned(), (*zone).to_owned())));
    names
});

fn said(name: &str) -> String {
    name.trim().to_lowercase().replace(['_', '-'], " ")
}

/// The zone of an IANA name, or of a city or country; `None` if there is none of that name.
pub(super) fn named(name: &str) -> Option<TimeZone> {
    let zone = BY_NAME.get(&said(name)).map_or(name.trim(), String::as_str);
    ZONES.get(zone).ok()
}

/// The zone of the configuration; empty = that of the machine, or UTC where it has none.
pub(super) fn configured(name: &str) -> Option<TimeZone> {
    if name.is_empty() { Some(TimeZone::try_system().unwrap_or(TimeZone::UTC)) } else { ZONES.get(name).ok() }
}
