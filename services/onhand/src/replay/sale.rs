//! One line of the file: what it says, or why it cannot be believed, and what is sent for it.

use std::collections::HashMap;
use std::fmt;

use clap::ValueEnum;
use csv::ByteRecord;
use serde::Serialize;
use shared_events::{MAX_UNITS, Sku, StoreId, Text, Timestamp};

/// Where the columns are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    timestamp: usize,
    store: usize,
    sku: usize,
    quantity: usize,
    reference: Option<usize>,
    width: usize,
}

impl Layout {
    /// Finds the columns by name; others may stand beside them.
    ///
    /// # Errors
    /// A column that is missing or there twice, as a sentence.
    pub(super) fn of(header: &ByteRecord) -> Result<Self, String> {
        let names: Vec<_> = header.iter().map(<[u8]>::trim_ascii).collect();
        let find = |name: &str| {
            let mut places = names.iter().zip(0..).filter(|(found, _)| **found == name.as_bytes());
            match (places.next(), places.next()) {
                (Some(_), Some(_)) => Err(format!("the header has the column {name} twice")),
                (place, _) => Ok(place.map(|(_, index)| index)),
            }
        };
        let require = |name: &str| {
            find(name)?.ok_or_else(|| {
                let found: Vec<_> =
                    names.iter().map(|name| String::from_utf8_lossy(name)).collect();
                format!(
                    "the header has no column {name}; its columns are {:?}, and \
                     timestamp,storeId,sku,quantity are needed",
                    found.join(",")
                )
            })
        };
        Ok(Self {
            timestamp: require("timestamp")?,
            store: require("storeId")?,
            sku: require("sku")?,
            quantity: require("quantity")?,
            reference: find("reference")?,
            width: names.len(),
        })
    }
}

/// Why a line is not sent: a stable name and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// For counting and sorting.
    pub(super) code: &'static str,
    /// For people.
    pub(super) reason: String,
}

impl Fault {
    pub(super) fn new(code: &'static str, reason: impl fmt::Display) -> Self {
        Self { code, reason: reason.to_string() }
    }
}

/// What a believable line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reading<'a> {
    /// Which of the stores that were named on the command line.
    pub(super) store: usize,
    pub(super) sku: Sku,
    /// Units sold; negative for a return.
    pub(super) quantity: i64,
    pub(super) reference: Option<&'a str>,
}

/// Reads lines for the stores that were named.
#[derive(Debug)]
pub(super) struct Reader {
    layout: Layout,
    stores: HashMap<String, usize>,
}

impl Reader {
    pub(super) fn new<'a>(layout: Layout, stores: impl Iterator<Item = &'a StoreId>) -> Self {
        let stores = stores.zip(0..).map(|(store, index)| (store.to_string(), index)).collect();
        Self { layout, stores }
    }

    /// The store a line is about, as far as that can be told from a bad one.
    pub(super) fn store(&self, fields: &ByteRecord) -> Option<usize> {
        let name = std::str::from_utf8(fields.get(self.layout.store)?).ok()?;
        self.stores.get(name).copied()
    }

    /// Reads a line.
    ///
    /// # Errors
    /// The first [`Fault`] found.
    pub(super) fn read<'a>(&self, fields: &'a ByteRecord) -> Result<Reading<'a>, Fault> {
        let layout = &self.layout;
        if fields.len() != layout.width {
            let reason = format!("{} fields where the header has {}", fields.len(), layout.width);
            return Err(Fault::new("wrong_field_count", reason));
        }
        if let Some(place) = fields.iter().position(|field| std::str::from_utf8(field).is_err()) {
            let reason = format!("field {} is not UTF-8", place.saturating_add(1));
            return Err(Fault::new("not_utf8", reason));
        }
        // Both were just checked, so the default is never used.
        let text = |place| {
            fields.get(place).and_then(|field| std::str::from_utf8(field).ok()).unwrap_or_default()
        };
        text(layout.timestamp)
            .parse::<Timestamp>()
            .map_err(|error| Fault::new("invalid_timestamp", error))?;
        let store = self.known(text(layout.store))?;
        let sku = Sku::parse(text(layout.sku)).map_err(|error| Fault::new("invalid_sku", error))?;
        let quantity = quantity(text(layout.quantity))?;
        let reference = layout.reference.map(text).filter(|reference| !reference.is_empty());
        if let Some(reference) = reference {
            Text::parse(reference)
                .map_err(|rule| Fault::new("invalid_reference", format!("a reference {rule}")))?;
        }
        Ok(Reading { store, sku, quantity, reference })
    }

    fn known(&self, name: &str) -> Result<usize, Fault> {
        if let Some(store) = self.stores.get(name) {
            return Ok(*store);
        }
        let store = StoreId::parse(name).map_err(|error| Fault::new("invalid_store", error))?;
        let reason = format!("no URL was given for store {store}; add --store {store}=URL");
        Err(Fault::new("unknown_store", reason))
    }
}

fn quantity(text: &str) -> Result<i64, Fault> {
    text.parse().ok().filter(|units| (-MAX_UNITS..=MAX_UNITS).contains(units)).ok_or_else(|| {
        let reason = format!("a quantity is an integer from -{MAX_UNITS} to {MAX_UNITS}");
        Fault::new("invalid_quantity", reason)
    })
}

/// What a store should do with a sale that its shelf cannot cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "camelCase")]
#[value(rename_all = "camelCase")]
pub(super) enum OnShortfall {
    /// Refuse it.
    Reject,
    /// Go to zero and record the difference.
    RecordDiscrepancy,
}

/// Something to send to a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) origin: Origin,
    pub(super) sku: Sku,
    /// The command as a line of NDJSON, with its line end.
    pub(super) json: Box<[u8]>,
}

/// Where an entry comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// The level to begin with.
    Opening,
    /// A line of the file.
    Sale {
        line: u64,
        /// Change of level that is asked for.
        delta: i64,
        /// The line as it stands in the file, for the rejects.
        raw: Box<[u8]>,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Command<'a> {
    store_id: &'a StoreId,
    sku: &'a Sku,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantity: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<i64>,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_shortfall: Option<OnShortfall>,
    command_id: String,
}

impl Command<'_> {
    fn json(&self) -> Box<[u8]> {
        let mut json = serde_json::to_vec(self).expect("a command is plain data");
        json.push(b'\n');
        json.into()
    }
}

/// Turns readings into commands that a second run names alike.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    pub(super) run: String,
    pub(super) on_shortfall: Option<OnShortfall>,
}

impl Writer {
    /// The command of a line; its quantity must not be 0.
    pub(super) fn sale(
        &self,
        store: &StoreId,
        reading: Reading<'_>,
        line: u64,
        fields: &ByteRecord,
        raw: &[u8],
    ) -> Entry {
        let delta = reading.quantity.saturating_neg();
        let place = line.to_le_bytes();
        let command = Command {
            store_id: store,
            sku: &reading.sku,
            quantity: None,
            delta: Some(delta),
            reason: if delta < 0 { "sale" } else { "return" },
            reference: reading.reference,
            on_shortfall: self.on_shortfall,
            command_id: self.id("replay:", std::iter::once(place.as_slice()).chain(fields)),
        };
        let json = command.json();
        Entry { origin: Origin::Sale { line, delta, raw: raw.into() }, sku: reading.sku, json }
    }

    /// The command that gives an item its level before the first sale.
    pub(super) fn opening(&self, store: &StoreId, sku: &Sku, quantity: i64) -> Entry {
        let names = [store.as_str().as_bytes(), sku.as_str().as_bytes()];
        let command = Command {
            store_id: store,
            sku,
            quantity: Some(quantity),
            delta: None,
            reason: "opening",
            reference: None,
            on_shortfall: None,
            command_id: self.id("opening:", names.into_iter()),
        };
        Entry { origin: Origin::Opening, sku: sku.clone(), json: command.json() }
    }

    fn id<'a>(&'a self, prefix: &str, parts: impl Iterator<Item = &'a [u8]>) -> String {
        let mut hasher = blake3::Hasher::new();
        for part in std::iter::once(self.run.as_bytes()).chain(parts) {
            // With its length before it, so that no two lists of parts read the same.
            hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            hasher.update(part);
        }
        let hex = hasher.finalize().to_hex();
        // 16 of the 32 bytes: a collision among all sales there ever were stays out of reach.
        format!("{prefix}{}", hex.get(..32).unwrap_or(&hex))
    }
}

#[cfg(test)]
mod tests;
