//! A few articles on the shelves, so that the first query finds something.

use shared_events::{
    CommandId, Location, Quantity, ReplaceStock, Sku, StockCommand, StoreId, Text,
};
use store_service::App;
use store_service::decisions::Command;
use store_service::writer::Request;
use tracing::warn;

/// An article every sample store has.
pub(super) const FIRST_SKU: &str = "ESPRESSO-1KG";

const CATALOGUE: [(&str, i64); 6] = [
    (FIRST_SKU, 24),
    ("OAT-MILK-1L", 60),
    ("MUG-BLUE", 12),
    ("TEE-BLACK-M", 8),
    ("BIKE-LIGHT-FRONT", 5),
    ("UMBRELLA", 17),
];

/// Where the sample stores are: Berlin, Hamburg, Munich. Further ones do not say.
const PLACES: [(f64, f64); 3] = [(52.5200, 13.4050), (53.5511, 9.9937), (48.1372, 11.5756)];

/// Where a store of the sample is.
pub(super) fn location(place: usize) -> Option<Location> {
    let (latitude, longitude) = PLACES.get(place)?;
    Location::from_degrees(*latitude, *longitude).ok()
}

/// Puts the catalogue on a store's shelf, once in its journal's life.
pub(super) fn stock(store: &StoreId, app: &App) {
    let handle = app.handle();
    let requests: Vec<_> =
        CATALOGUE.iter().filter_map(|(sku, units)| request(sku, *units)).collect();
    let store = store.clone();
    // The writer starts with the service; the answer is awaited beside it.
    tokio::spawn(async move {
        if let Err(error) = handle.execute(requests).await {
            warn!(%store, %error, "the sample catalogue is not on the shelf");
        }
    });
}

fn request(sku: &str, units: i64) -> Option<Request> {
    let command = ReplaceStock {
        sku: Sku::parse(sku).ok()?,
        quantity: Quantity::new(units).ok()?,
        expected_version: None,
        reason: Text::parse("sample catalogue").ok(),
        reference: None,
    };
    let id = CommandId::parse(&format!("sample:{sku}")).ok();
    let command = Command::Stock(StockCommand::Replace(command));
    Some(Request { command, id, principal: None, traceparent: None, answer_by_event: false })
}
