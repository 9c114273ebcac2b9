//! `[notify]`: how people are told what they must know at once.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[notify]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Notify {
    /// How the person on call is paged: the ways are tried in this order, until one took the message.
    pub page: Vec<PageChannel>,
}

/// One way to page people: a program, or an address that is posted to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PageChannel {
    /// A program and its arguments. It gets the message as JSON on standard input and as `WINDLASS_MESSAGE`; it took it
    /// when it ends with 0.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// An address that gets the message as JSON by POST; it took it when it answers 200 to 299.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Headers of that request. `secret:NAME` stands for the value of a secret.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

impl PageChannel {
    /// Whether the parts go together.
    ///
    /// # Errors
    /// What is missing or too much.
    pub fn check(&self) -> Result<(), String> {
        match (&self.url, self.command.first()) {
            (Some(_), Some(_)) | (None, None) => Err("needs one of `command` and `url`".into()),
            (None, Some(program)) if program.is_empty() => Err("has a `command` without a program".into()),
            (None, Some(_)) if !self.headers.is_empty() => {
                Err("has `headers`, which belong to a `url`".into())
            }
            (Some(url), None) if !(url.starts_with("http://") || url.starts_with("https://")) => {
                Err("has a `url` that is no address, such as \"https://example.com/page\"".into())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn channels_are_read_in_their_order() {
        for (text, expect) in [
            (
                "[notify]\npage = [{ command = [\"./page.sh\", \"a b\"] }, { url = \"https://p\", headers = { K = \"secret:T\" } }]",
                "",
            ),
            ("[[notify.page]]\ncommand = [\"x\"]", ""),
            ("[notify]\npage = [{}]", "needs one of `command` and `url`"),
            ("[notify]\npage = [{ command = [\"x\"], url = \"https://p\" }]", "needs one of"),
            ("[notify]\npage = [{ command = [\"\"] }]", "without a program"),
            ("[notify]\npage = [{ command = [\"x\"], headers = { A = \"b\" } }]", "belong to a `url`"),
            ("[notify]\npage = [{ url = \"pager\" }]", "is no address"),
            ("[notify]\npage = [{ comand = [\"x\"] }]", "comand"),
            ("[notify]\npage = [\"x\"]", "table"),
            ("[notify]\npages = []", "pages"),
        ] {
            let (config, findings) = Config::parse(text);
            let told: Vec<String> = findings.iter().map(|finding| finding.message.clone()).collect();
            match expect {
                "" => assert!(findings.is_empty() && !config.notify.page.is_empty(), "{text}: {told:?}"),
                expect => assert!(told.iter().any(|told| told.contains(expect)), "{text}: {told:?}"),
            }
        }
        let (config, _) =
            Config::parse("[notify]\npage = [{ command = [\"a\", \"b\"] }, { url = \"http://c\" }]");
        assert_eq!(config.notify.page[0].command, ["a", "b"]);
        assert_eq!(config.notify.page[1].url.as_deref(), Some("http://c"));
    }
}
