//! `docs/asyncapi.yaml`, read strictly: what it does not name is not allowed, although readers let it pass.

use std::collections::BTreeMap;

use jsonschema::Validator;
use serde_json::{Map, Value, json};
use shared_events::wire::header;

use crate::support::Record;

const PAGE: &str = include_str!("../../../docs/asyncapi.yaml");

/// The page, and how each type's records must look.
pub(crate) struct Description {
    pub(crate) document: Value,
    messages: BTreeMap<String, Message>,
}

struct Message {
    headers: Validator,
    key: Validator,
    payload: Validator,
}

impl Description {
    pub(crate) fn read() -> Self {
        let document: Value = serde_saphyr::from_str(PAGE).expect("the page is YAML");
        let mut strict = document.clone();
        close(&mut strict);
        let messages = strict["components"]["messages"].as_object().expect("messages").clone();
        let typed = messages.into_values().filter(|message| message["payload"].is_object());
        let messages = typed.map(|message| {
            let part = |schema: &Value| validator(&strict, schema);
            let name = message["name"].as_str().expect("a name").to_owned();
            let key = part(&message["bindings"]["kafka"]["key"]);
            let (headers, payload) = (part(&message["headers"]), part(&message["payload"]));
            (name, Message { headers, key, payload })
        });
        let messages = messages.collect();
        Self { document, messages }
    }

    /// Types that are described.
    pub(crate) fn types(&self) -> impl Iterator<Item = &str> {
        self.messages.keys().map(String::as_str)
    }

    /// Whether a record looks as described.
    pub(crate) fn fits(&self, record: &Record) -> Result<(), String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = record.headers.iter();
        let headers: Map<_, _> =
            headers.map(|(name, value)| (name.clone(), text(value).into())).collect();
        let headers = Value::Object(headers);
        let name = headers[header::TYPE].as_str().unwrap_or_default();
        let message = self.messages.get(name).ok_or_else(|| format!("type {name:?}"))?;
        let value = record.value.as_deref().unwrap_or_default();
        let payload = serde_json::from_slice(value).map_err(|error| error.to_string())?;
        let key = text(record.key.as_deref().unwrap_or_default()).into();
        let parts = [
            ("headers", &message.headers, headers.clone()),
            ("key", &message.key, key),
            ("value", &message.payload, payload),
        ];
        for (part, validator, value) in parts {
            validator.validate(&value).map_err(|error| {
                format!("{name}, {part}, at {}: {error}", error.instance_path())
            })?;
        }
        Ok(())
    }
}

/// A schema whose references lead into the document.
fn validator(document: &Value, schema: &Value) -> Validator {
    let mut whole =
        json!({"$schema": "http://json-schema.org/draft-07/schema#", "allOf": [schema]});
    whole["components"] = document["components"].clone();
    jsonschema::validator_for(&whole).expect("a JSON schema")
}

/// Allows no properties but those that are named.
fn close(schema: &mut Value) {
    if let Value::Object(fields) = schema {
        if fields.contains_key("properties") && fields.contains_key("type") {
            fields.entry("additionalProperties").or_insert(Value::Bool(false));
        }
        fields.values_mut().for_each(close);
    } else if let Value::Array(items) = schema {
        items.iter_mut().for_each(close);
    }
}
