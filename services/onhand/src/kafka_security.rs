//! How a service proves itself to the brokers, and they to it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use event_log::KafkaConfig;

/// Kafka over TLS and SASL, handed to librdkafka.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct KafkaSecurity {
    /// How to speak with the brokers: `plaintext`, `ssl`, `sasl_plaintext` or `sasl_ssl`. TLS is a
    /// build feature, `kafka-tls`, which the image has.
    #[arg(long, env = "ONHAND_KAFKA_SECURITY_PROTOCOL", value_name = "PROTOCOL")]
    kafka_security_protocol: Option<Protocol>,
    /// How to sign in: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER.
    #[arg(long, env = "ONHAND_KAFKA_SASL_MECHANISM", value_name = "MECHANISM", value_parser = mechanism)]
    kafka_sasl_mechanism: Option<String>,
    /// Who signs in.
    #[arg(long, env = "ONHAND_KAFKA_SASL_USERNAME", value_name = "USER")]
    kafka_sasl_username: Option<String>,
    /// File with the password; a line end behind it is not part of it.
    #[arg(long, env = "ONHAND_KAFKA_SASL_PASSWORD_FILE", value_name = "FILE")]
    kafka_sasl_password_file: Option<PathBuf>,
    /// File with the certificates of those who may vouch for a broker, in PEM; the system's otherwise.
    #[arg(long, env = "ONHAND_KAFKA_SSL_CA", value_name = "FILE")]
    kafka_ssl_ca: Option<PathBuf>,
    /// File with this service's certificate, in PEM, for brokers that ask for one.
    #[arg(
        long,
        env = "ONHAND_KAFKA_SSL_CERTIFICATE",
        value_name = "FILE",
        requires = "kafka_ssl_key"
    )]
    kafka_ssl_certificate: Option<PathBuf>,
    /// File with its key, in PEM.
    #[arg(
        long,
        env = "ONHAND_KAFKA_SSL_KEY",
        value_name = "FILE",
        requires = "kafka_ssl_certificate"
    )]
    kafka_ssl_key: Option<PathBuf>,
    /// Any other property of librdkafka, as in client.rack=north; again for more, in the variable with
    /// `;` between. What Onhand's promises rest on cannot be set, nor a secret.
    #[arg(
        long = "kafka-property",
        env = "ONHAND_KAFKA_PROPERTIES",
        value_name = "NAME=VALUE",
        value_delimiter = ';',
        value_parser = property
    )]
    kafka_properties: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
enum Protocol {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

impl Protocol {
    const fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }

    const fn signs_in(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

impl KafkaSecurity {
    /// The same settings, for the command line of another process.
    pub(crate) fn flags(&self) -> Vec<OsString> {
        let protocol = self.kafka_security_protocol.map(|protocol| protocol.name().into());
        let text = |text: &Option<String>| text.as_ref().map(OsString::from);
        let file = |file: &Option<PathBuf>| file.as_ref().map(OsString::from);
        let properties = self
            .kafka_properties
            .iter()
            .map(|(name, value)| ("--kafka-property", Some(format!("{name}={value}").into())));
        [
            ("--kafka-security-protocol", protocol),
            ("--kafka-sasl-mechanism", text(&self.kafka_sasl_mechanism)),
            ("--kafka-sasl-username", text(&self.kafka_sasl_username)),
            ("--kafka-sasl-password-file", file(&self.kafka_sasl_password_file)),
            ("--kafka-ssl-ca", file(&self.kafka_ssl_ca)),
            ("--kafka-ssl-certificate", file(&self.kafka_ssl_certificate)),
            ("--kafka-ssl-key", file(&self.kafka_ssl_key)),
        ]
        .into_iter()
        .chain(properties)
        .filter_map(|(flag, value)| Some([flag.into(), value?]))
        .flatten()
        .collect()
    }

    /// Puts the settings into the client's configuration, or says what makes no sense.
    pub(crate) fn apply(&self, mut config: KafkaConfig) -> Result<KafkaConfig, String> {
        let signs_in = self.kafka_security_protocol.is_some_and(Protocol::signs_in);
        let given = self.kafka_sasl_mechanism.is_some()
            || self.kafka_sasl_username.is_some()
            || self.kafka_sasl_password_file.is_some();
        if given && !signs_in {
            return Err("signing in to the brokers needs --kafka-security-protocol sasl_ssl, or \
                sasl_plaintext where nobody listens"
                .to_owned());
        }
        if signs_in && self.kafka_sasl_mechanism.is_none() {
            return Err("--kafka-sasl-mechanism is missing".to_owned());
        }
        for (name, value) in &self.kafka_properties {
            config = config
                .property(name, value)
                .map_err(|wrong| format!("--kafka-property: {wrong}"))?;
        }
        if let Some(protocol) = self.kafka_security_protocol {
            config = config.set("security.protocol", protocol.name());
        }
        for (name, value) in [
            ("sasl.mechanism", &self.kafka_sasl_mechanism),
            ("sasl.username", &self.kafka_sasl_username),
        ] {
            if let Some(value) = value {
                config = config.set(name, value);
            }
        }
        for (name, path) in [
            ("ssl.ca.location", &self.kafka_ssl_ca),
            ("ssl.certificate.location", &self.kafka_ssl_certificate),
            ("ssl.key.location", &self.kafka_ssl_key),
        ] {
            if let Some(path) = path {
                // librdkafka looks at it when it connects, and would say so in its own words, late.
                readable(path)?;
                config = config.set(name, &path.to_string_lossy());
            }
        }
        if let Some(path) = &self.kafka_sasl_password_file {
            let password = readable(path)?;
            let password = password.trim_end_matches(['\r', '\n']);
            if password.is_empty() {
                return Err(format!("{} has no password", path.display()));
            }
            config = config.set("sasl.password", password);
        }
        config.check()?;
        Ok(config)
    }
}

fn readable(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn mechanism(text: &str) -> Result<String, String> {
    let known = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"];
    let found = known.into_iter().find(|known| known.eq_ignore_ascii_case(text));
    found.map(str::to_owned).ok_or_else(|| format!("expected one of {}", known.join(", ")))
}

fn property(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}
