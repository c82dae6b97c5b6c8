//! Short free text that people attach to a stock change.

use serde::{Deserialize, Deserializer, Serialize};

/// A reason or reference: 1 to 200 characters without control characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Text(Box<str>);

impl Text {
    /// Checks a text.
    ///
    /// # Errors
    /// The rule, when `text` breaks it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let fits = !text.is_empty() && text.len() <= 800 && text.chars().count() <= 200;
        if fits && !text.chars().any(char::is_control) {
            Ok(Self(text.into()))
        } else {
            Err("must be 1 to 200 characters without control characters")
        }
    }

    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}
