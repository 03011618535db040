//! `--limit final.p95=1200ms`.

use std::{str::FromStr, time::Duration};

/// What can be measured, in the order of the table.
pub(crate) const FIGURES: [&str; 6] = ["connect", "first_partial", "final", "first_text", "first_audio", "barge_in"];

/// Columns of the table and their quantiles.
pub(crate) const QUANTILES: [(&str, f64); 5] = [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)];

/// A figure that must not be exceeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limit {
    /// Index in [`FIGURES`].
    pub(crate) figure: usize,
    /// Index in [`QUANTILES`].
    pub(crate) quantile: usize,
    pub(crate) at_most: Duration,
    /// As it was written.
    pub(crate) text: String,
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "write FIGURE.pNN=TIME, such as final.p95=1200ms";
        let (name, time) = text.split_once('=').ok_or(form)?;
        let (figure, quantile) = name.split_once('.').ok_or(form)?;
        let find = |names: &[&str], name: &str| {
            let place = names.iter().position(|known| *known == name);
            place.ok_or_else(|| format!("no `{name}`; there are {}", names.join(", ")))
        };
        Ok(Self {
            figure: find(&FIGURES, figure)?,
            quantile: find(&QUANTILES.map(|(name, _)| name), quantile)?,
            at_most: crate::duration(time)?,
            text: text.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_read_or_explained() {
        let limit: Limit = "final.p95=1200ms".parse().expect("a limit");
        assert_eq!((FIGURES[limit.figure], QUANTILES[limit.quantile].0), ("final", "p95"));
        assert_eq!(limit.at_most, Duration::from_millis(1200));
        for (text, part) in [("final", "FIGURE.pNN"), ("end.p95=1s", "no `end`"), ("final.p7=1s", "no `p7`")] {
            assert!(text.parse::<Limit>().is_err_and(|error| error.contains(part)), "{text}");
        }
        assert!("final.p95=soon".parse::<Limit>().is_err_and(|error| error.contains("500ms")));
    }
}
