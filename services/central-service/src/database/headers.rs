//! Headers of a waiting record as text: JSON pairs of name and value, in which each character of a value
//! stands for one byte. Headers are text nearly always, and any bytes at times.

type Headers = Vec<(String, Vec<u8>)>;

pub(super) fn to_text(headers: &[(String, Vec<u8>)]) -> String {
    let text = |value: &Vec<u8>| value.iter().copied().map(char::from).collect::<String>();
    let pairs: Vec<_> = headers.iter().map(|(name, value)| (name, text(value))).collect();
    serde_json::to_string(&pairs).expect("text always serialises")
}

pub(super) fn from_text(text: &str) -> Result<Headers, String> {
    let pairs: Vec<(String, String)> =
        serde_json::from_str(text).map_err(|error| error.to_string())?;
    let bytes = |(name, value): (String, String)| {
        let value: Result<Vec<u8>, _> = value.chars().map(u8::try_from).collect();
        value.map(|value| (name, value)).map_err(|error| error.to_string())
    };
    pairs.into_iter().map(bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_survive() {
        let headers = vec![
            ("ce_id".to_owned(), b"A/1/17".to_vec()),
            ("".to_owned(), (0..=255).collect()),
            ("ce_id".to_owned(), "Käse".as_bytes().to_vec()),
        ];
        assert_eq!(from_text(&to_text(&headers)), Ok(headers));
    }

    #[test]
    fn what_is_no_byte_is_refused() {
        assert!(from_text(r#"[["a", "日"]]"#).is_err());
        assert!(from_text(r#"[["a", [1]]]"#).is_err());
    }
}
