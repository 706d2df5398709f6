//! The variables that begin with `GEMINI_`.

use std::time::Duration;

use mcp_gemini::{BASE_URL, BuildError, GeminiClient, GeminiConfig, MODEL, ThinkingLevel};
use mcp_runtime::trace_context;
use mcp_runtime::vars::{ConfigError, Vars, invalid};
use url::{Host, Url};

/// How Gemini is asked.
#[derive(Clone, Debug)]
pub(crate) struct GeminiSettings {
    /// `GEMINI_API_KEY` or `GEMINI_API_KEY_FILE`, with `GEMINI_MODEL` (`gemini-3.8-flash`), `GEMINI_BASE_URL` (Google's),
    /// `GEMINI_THINKING_LEVEL` (`low`) and `GEMINI_MAX_OUTPUT_TOKENS` (16384). None without a key.
    pub(crate) client: Option<GeminiClient>,
    /// `GEMINI_TIMEOUT_MS` (50000): what a call of a tool may take at Gemini, waits included. Less than the worker's
    /// `WORKER_JOB_TIMEOUT_MS`, so that it learns why there is no picture.
    pub(crate) time: Duration,
    /// `GEMINI_CONCURRENCY` (16): calls under way to Gemini.
    pub(crate) concurrency: usize,
}

const KNOWN: &[&str] = &[
    "GEMINI_API_KEY",
    "GEMINI_API_KEY_FILE",
    "GEMINI_BASE_URL",
    "GEMINI_CONCURRENCY",
    "GEMINI_MAX_OUTPUT_TOKENS",
    "GEMINI_MODEL",
    "GEMINI_THINKING_LEVEL",
    "GEMINI_TIMEOUT_MS",
];

impl GeminiSettings {
    /// Reads and checks them, also those that do nothing without a key.
    ///
    /// # Errors
    /// The first that does not fit.
    pub(crate) fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        vars.refuse_misspelt("GEMINI_", KNOWN)?;
        let default = MODEL
            .parse()
            .map_err(|_| invalid("GEMINI_MODEL", MODEL, "a name"))?;
        let model = vars.parse(
            "GEMINI_MODEL",
            default,
            "the name of a model, such as gemini-3.8-flash",
        )?;
        let allowed = "an http or https URL without user, query and fragment";
        let base = vars.get("GEMINI_BASE_URL").unwrap_or(BASE_URL).trim();
        let bad_base = || invalid("GEMINI_BASE_URL", base, allowed);
        let base_url = Url::parse(base).map_err(|_| bad_base())?;
        let levels = [
            ("low", Some(ThinkingLevel::Low)),
            ("minimal", Some(ThinkingLevel::Minimal)),
            ("medium", Some(ThinkingLevel::Medium)),
            ("high", Some(ThinkingLevel::High)),
            ("default", None),
        ];
        let thinking = vars.choice("GEMINI_THINKING_LEVEL", levels[0].1, &levels)?;
        let max_output_tokens = vars.number("GEMINI_MAX_OUTPUT_TOKENS", 16_384, 256, 65_536)?;
        let client = match vars.secret("GEMINI_API_KEY")? {
            None => None,
            Some(api_key) => {
                let client = GeminiClient::new(GeminiConfig {
                    api_key,
                    base_url,
                    model,
                    thinking,
                    max_output_tokens,
                });
                let client = client.map_err(|error| match error {
                    BuildError::BaseUrl => bad_base(),
                    BuildError::ApiKey | BuildError::Http(_) => ConfigError::InvalidSecret {
                        name: "GEMINI_API_KEY".into(),
                        allowed: error.to_string(),
                    },
                })?;
                Some(client.with_propagation(trace_context::inject))
            }
        };
        Ok(Self {
            client,
            time: vars.millis("GEMINI_TIMEOUT_MS", 50_000, 1_000, 3_600_000)?,
            concurrency: vars.number("GEMINI_CONCURRENCY", 16, 1, 10_000)?,
        })
    }

    /// The model, or that there is none, for the log.
    pub(crate) fn model(&self) -> &str {
        match &self.client {
            Some(client) => client.config().model.as_ref(),
            None => "none: GEMINI_API_KEY is not set",
        }
    }

    /// Whether what is sent can be read on its way.
    pub(super) fn in_the_clear(&self) -> bool {
        let Some(client) = &self.client else {
            return false;
        };
        let url = &client.config().base_url;
        let here = match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        url.scheme() == "http" && !here
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<GeminiSettings, String> {
        GeminiSettings::from_vars(&pairs.iter().copied().collect()).map_err(|e| e.to_string())
    }

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let none = read(&[]).unwrap();
        assert!(none.client.is_none());
        assert!(none.model().contains("GEMINI_API_KEY"));
        let client = read(&[("GEMINI_API_KEY", "k")]).unwrap().client.unwrap();
        let config = client.config();
        assert_eq!(config.model.as_ref(), "gemini-3.8-flash");
        assert_eq!(
            config.base_url.as_str(),
            "https://generativelanguage.googleapis.com/"
        );
        assert_eq!(config.thinking, Some(ThinkingLevel::Low));
        assert_eq!(config.max_output_tokens, 16_384);
    }

    #[test]
    fn every_bad_value_is_refused_with_its_name_even_without_a_key() {
        for (name, value) in [
            ("GEMINI_MODEL", "a/b"),
            ("GEMINI_BASE_URL", "google"),
            ("GEMINI_THINKING_LEVEL", "deep"),
            ("GEMINI_MAX_OUTPUT_TOKENS", "1"),
            ("GEMINI_TIMEOUT_MS", "0"),
            ("GEMINI_CONCURRENCY", "0"),
            ("GEMINI_API_KEY_FILE", "/no/such/file"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(error.starts_with(name), "{error}");
        }
        let error = read(&[
            ("GEMINI_API_KEY", "k"),
            ("GEMINI_BASE_URL", "https://h?key=1"),
        ]);
        assert!(error.unwrap_err().starts_with("GEMINI_BASE_URL"));
        assert!(
            read(&[("GEMINI_MODLE", "x")])
                .unwrap_err()
                .contains("GEMINI_MODEL")
        );
    }

    #[test]
    fn a_key_that_can_not_be_sent_is_refused_without_showing_it() {
        let error = read(&[("GEMINI_API_KEY", "hunter2\u{7}")]).unwrap_err();
        assert!(
            error.starts_with("GEMINI_API_KEY") && !error.contains("hunter2"),
            "{error}"
        );
    }

    #[test]
    fn http_to_another_machine_is_in_the_clear() {
        let clear = |url| {
            let pairs = [("GEMINI_API_KEY", "k"), ("GEMINI_BASE_URL", url)];
            read(&pairs).unwrap().in_the_clear()
        };
        assert!(clear("http://proxy:4000"));
        assert!(!clear("http://127.0.0.1:1"));
        assert!(!clear("http://localhost"));
        assert!(!clear("https://proxy"));
    }
}
