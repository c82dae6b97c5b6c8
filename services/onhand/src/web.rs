//! Asking services over HTTP.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Client, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Services answer within 30 s or say that they could not.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(35);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Items of a page: the most that services give.
const PAGE: &str = "1000";

/// Parses the address of a service.
pub(crate) fn base(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{text:?} is no URL: {error}"))?;
    if url.scheme() != "http" || url.query().is_some() || url.fragment().is_some() {
        return Err(format!("expected http://HOST:PORT, got {text:?}"));
    }
    Ok(url)
}

/// A path below the address of a service, with each segment encoded.
pub(crate) fn below(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// The token that services are asked with.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Token {
    /// File with the token to call services with; `onhand token` makes one.
    #[arg(long, env = "ONHAND_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl Token {
    /// As a header of every request.
    fn headers(&self) -> anyhow::Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        if let Some(file) = &self.token_file {
            let token = std::fs::read_to_string(file)
                .with_context(|| format!("read the token in {}", file.display()))?;
            let value = HeaderValue::try_from(format!("Bearer {}", token.trim()));
            let mut value = value.map_err(|_quotes_the_token| {
                anyhow::anyhow!("{} has something else than a token in it", file.display())
            })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(headers)
    }
}

/// The client all services are asked with.
pub(crate) fn client(give_up_after: Duration, token: &Token) -> anyhow::Result<Client> {
    Client::builder()
        .default_headers(token.headers()?)
        .connect_timeout(CONNECT_WITHIN)
        .timeout(ANSWER_WITHIN.min(give_up_after))
        .build()
        .context("make an HTTP client")
}

/// An error with its causes: the HTTP client keeps the interesting part inside.
pub(crate) fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// Asks for a document.
pub(crate) async fn get<T: DeserializeOwned>(client: &Client, url: Url) -> anyhow::Result<T> {
    let answer = async {
        let response = client.get(url).send().await?.error_for_status()?;
        response.json().await
    };
    answer.await.map_err(|error: reqwest::Error| anyhow::Error::msg(causes(&error)))
}

/// One page of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next: Option<String>,
}

/// The address of a page of a list, behind the one that ended with `after`.
pub(crate) fn page(list: &Url, after: Option<&String>) -> Url {
    let mut url = list.clone();
    url.query_pairs_mut()
        .append_pair("limit", PAGE)
        .extend_pairs(after.iter().map(|after| ("after", *after)));
    url
}
