//! `[notify]`: how people are told what they must know at once.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Forge;

/// `[notify]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Notify {
    /// How the person on call is paged: the ways are tried in this order, until one took the message.
    pub page: Vec<PageChannel>,
}

/// One way to page people: a program, an address that is posted to, PagerDuty or Opsgenie.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PageChannel {
    /// A program and its arguments. It gets the message as JSON on standard input and as `WINDLASS_MESSAGE`; it took it
    /// when it ends with 0.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// An address that gets the message as JSON by POST; it took it when it answers 200 to 299. Beside `pagerduty` or
    /// `opsgenie`, where that answers instead of the usual address, such as `https://api.eu.opsgenie.com`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Headers of that request. `secret:NAME` stands for the value of a secret.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// An incident of PagerDuty. `secret:NAME` of the key of an integration with its Events API v2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pagerduty: Option<String>,
    /// How bad PagerDuty is told it is; `critical` when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// An alert of Opsgenie, or of Jira Service Management. `secret:NAME` of the key of an API integration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opsgenie: Option<String>,
    /// How urgent Opsgenie is told it is; `P1` when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
}

/// How bad PagerDuty is told it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "these are PagerDuty's own words")]
pub enum Severity {
    #[default]
    Critical,
    Error,
    Warning,
    Info,
}

/// How urgent Opsgenie is told it is: `P1` most, `P5` least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "these are Opsgenie's own words")]
pub enum Priority {
    #[default]
    P1,
    P2,
    P3,
    P4,
    P5,
}

/// What a channel is, its parts known to go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageWay<'a> {
    /// A program and its arguments.
    Command(&'a [String]),
    /// An address, and the headers it is sent.
    Url(&'a str, &'a BTreeMap<String, String>),
    /// PagerDuty: the secret with the key, where it answers when that is not the usual address, how bad it is.
    PagerDuty(&'a str, Option<&'a str>, Severity),
    /// Opsgenie: the same, and how urgent it is.
    Opsgenie(&'a str, Option<&'a str>, Priority),
}

impl PageChannel {
    /// What it is.
    ///
    /// # Errors
    /// What is missing or too much, as the end of a sentence.
    pub fn way(&self) -> Result<PageWay<'_>, String> {
        let url = self.url.as_deref();
        let is_plain = self.pagerduty.is_none() && self.opsgenie.is_none();
        if self.severity.is_some() && self.pagerduty.is_none() {
            return Err("has a `severity`, which belongs to `pagerduty`".into());
        }
        if self.priority.is_some() && self.opsgenie.is_none() {
            return Err("has a `priority`, which belongs to `opsgenie`".into());
        }
        if !self.headers.is_empty() && (url.is_none() || !is_plain) {
            return Err("has `headers`, which belong to a `url` of your own".into());
        }
        match (self.command.first(), &self.pagerduty, &self.opsgenie, url) {
            (Some(program), None, None, None) if program.is_empty() => {
                Err("has a `command` without a program".into())
            }
            (Some(_), None, None, None) => Ok(PageWay::Command(&self.command)),
            (None, Some(key), None, url) => {
                let key = secret("pagerduty", key)?;
                Ok(PageWay::PagerDuty(key, service(url)?, self.severity.unwrap_or_default()))
            }
            (None, None, Some(key), url) => {
                let key = secret("opsgenie", key)?;
                Ok(PageWay::Opsgenie(key, service(url)?, self.priority.unwrap_or_default()))
            }
            (None, None, None, Some(url)) if !(url.starts_with("http://") || url.starts_with("https://")) => {
                Err("has a `url` that is no address, such as \"https://example.com/page\"".into())
            }
            (None, None, None, Some(url)) => Ok(PageWay::Url(url, &self.headers)),
            _ => Err("needs one of `command`, `url`, `pagerduty` and `opsgenie`".into()),
        }
    }
}

/// The name of the secret that a key is in. A key in the open is not repeated.
fn secret<'a>(field: &str, key: &'a str) -> Result<&'a str, String> {
    let name = key.strip_prefix("secret:").map(str::trim).filter(|name| !name.is_empty());
    name.ok_or_else(|| {
        format!("must have its key in a secret: `{field} = \"secret:NAME\"`, never the key itself")
    })
}

/// The address of a service that gets a key.
fn service(url: Option<&str>) -> Result<Option<&str>, String> {
    let check = |url: &str| Forge::check_url(url).map_err(|why| format!("has a `url` that {why}"));
    url.map(check).transpose()?;
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::{PageWay, Priority, Severity};
    use crate::config::Config;

    #[test]
    fn channels_are_read_in_their_order() {
        for (text, expect) in [
            (
                "[notify]\npage = [{ command = [\"./page.sh\", \"a b\"] }, { url = \"https://p\", headers = { K = \"secret:T\" } }]",
                "",
            ),
            ("[[notify.page]]\ncommand = [\"x\"]", ""),
            (
                "[notify]\npage = [{ pagerduty = \"secret:PD\", severity = \"warning\" }, { opsgenie = \"secret:OG\" }]",
                "",
            ),
            (
                "[notify]\npage = [{ opsgenie = \"secret:OG\", url = \"https://api.eu.opsgenie.com\", priority = \"P2\" }]",
                "",
            ),
            ("[notify]\npage = [{}]", "needs one of `command`, `url`, `pagerduty` and `opsgenie`"),
            ("[notify]\npage = [{ pagerduty = \"secret:A\", opsgenie = \"secret:B\" }]", "needs one of"),
            ("[notify]\npage = [{ pagerduty = \"secret:A\", command = [\"x\"] }]", "needs one of"),
            ("[notify]\npage = [{ pagerduty = \"0123abcd\" }]", "never the key itself"),
            ("[notify]\npage = [{ opsgenie = \"secret: \" }]", "`opsgenie = \"secret:NAME\"`"),
            ("[notify]\npage = [{ opsgenie = \"secret:A\", url = \"http://og.example\" }]", "write https://"),
            ("[notify]\npage = [{ opsgenie = \"secret:A\", url = \"api\" }]", "that is no address"),
            ("[notify]\npage = [{ opsgenie = \"secret:A\", severity = \"info\" }]", "belongs to `pagerduty`"),
            ("[notify]\npage = [{ url = \"https://p\", priority = \"P1\" }]", "belongs to `opsgenie`"),
            (
                "[notify]\npage = [{ pagerduty = \"secret:A\", headers = { A = \"b\" } }]",
                "a `url` of your own",
            ),
            (
                "[notify]\npage = [{ pagerduty = \"secret:A\", severity = \"fatal\" }]",
                "`fatal` is not a value",
            ),
            ("[notify]\npage = [{ opsgenie = \"secret:A\", priority = \"1\" }]", "`1` is not a value"),
            ("[notify]\npage = [{ pagerdutty = \"secret:A\" }]", "unknown key `notify.page[0].pagerdutty`"),
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
            assert!(!told.iter().any(|told| told.contains("0123abcd")), "a key is repeated: {told:?}");
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

    #[test]
    fn a_channel_is_one_of_four_ways() {
        let (config, _) = Config::parse(
            "[notify]\npage = [{ pagerduty = \"secret: PD\" }, { opsgenie = \"secret:OG\", url = \"https://o\", priority = \"P3\" }, \
             { pagerduty = \"secret:PD\", severity = \"info\" }]",
        );
        let ways: Vec<_> = config.notify.page.iter().map(|channel| channel.way().unwrap()).collect();
        assert_eq!(
            ways,
            [
                PageWay::PagerDuty("PD", None, Severity::Critical),
                PageWay::Opsgenie("OG", Some("https://o"), Priority::P3),
                PageWay::PagerDuty("PD", None, Severity::Info),
            ]
        );
    }

    #[test]
    fn what_is_critical_wants_somebody_to_be_called() {
        let critical = "[environments.production]\nmonitoring = \"critical\"\n";
        let staging = "[environments.staging]\nmonitoring = \"non-critical\"\n";
        let page = "[notify]\npage = [{ command = [\"x\"] }]\n";
        for (text, expect) in [
            (critical.to_owned(), vec!["\"critical\""]),
            (format!("{staging}{critical}"), vec!["\"critical\""]),
            (format!("{critical}[notify]\npage = []\n"), vec!["\"critical\""]),
            (format!("{critical}{page}"), vec![]),
            (format!("{page}{critical}"), vec![]),
            // A way that is wrong is told as that, and nothing else.
            (format!("{critical}[notify]\npage = [{{}}]\n"), vec!["{}"]),
            (staging.to_owned(), vec![]),
        ] {
            let (_, findings) = Config::parse(&text);
            let places: Vec<&str> = findings
                .iter()
                .map(|found| &text[found.span.unwrap().start..found.span.unwrap().end])
                .collect();
            assert_eq!(places, expect, "{text}");
            let warned = findings.iter().all(|found| {
                (found.severity == crate::diagnostic::Severity::Warning) == (found.code == "nobody-paged")
            });
            assert!(warned, "{findings:?}");
        }
    }
}
