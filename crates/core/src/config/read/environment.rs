//! `[environments.NAME]`, and what all of them must be together.

use std::collections::BTreeMap;

use toml_edit::{Item, Value};

use super::super::environment::{Batch, Environment, Monitoring, OnAbort, VersionAt, circle};
use super::{Entry, Reader, has_space, span};
use crate::diagnostic::Diagnostic;
use crate::duration::Duration;
use crate::text::sanitize_line;
use crate::version::Channel;

/// More hosts than this in one environment are a mistake.
const MOST_HOSTS: usize = 1000;

impl Reader {
    pub(super) fn environment(&mut self, entry: &Entry<'_>) -> Environment {
        const KEYS: &[&str] = &[
            "url",
            "purpose",
            "data",
            "monitoring",
            "health",
            "version",
            "after",
            "channels",
            "hosts",
            "user",
            "ssh_config",
            "folder",
            "compose",
            "batches",
            "max_failures",
            "min_healthy",
            "pause",
            "on_abort",
            "metrics",
            "proxy",
            "database",
        ];
        let mut environment = Environment::default();
        if !is_word(entry.key) {
            let message = format!("`{}` is not a name of an environment", sanitize_line(entry.key));
            let finding = Diagnostic::error("bad-value", message, entry.key_span);
            self.push(finding.help("letters, digits, `-`, `_` and `.` make a name"));
        }
        for entry in self.table(entry) {
            match entry.key {
                "url" => environment.url = self.text(&entry),
                "purpose" => environment.purpose = self.text(&entry),
                "data" => environment.data = self.text(&entry),
                "monitoring" => {
                    environment.monitoring =
                        match self.choice(&entry, &["non-critical", "critical"]).as_deref() {
                            Some("critical") => Some(Monitoring::Critical),
                            Some(_) => Some(Monitoring::NonCritical),
                            None => None,
                        }
                }
                "health" => environment.health = self.text(&entry),
                "version" => environment.version = self.version_at(&entry),
                "after" => environment.after = self.texts(&entry),
                "channels" => environment.channels = self.channels(&entry),
                "hosts" => environment.hosts = self.hosts(&entry),
                "user" => {
                    environment.user = self.text(&entry).filter(|user| self.is_plain(&entry, user));
                }
                "ssh_config" => {
                    environment.ssh_config = self.text(&entry).filter(|path| {
                        let good = !path.starts_with('-') && !path.chars().any(char::is_control);
                        if !good {
                            self.bad(
                                &entry,
                                &format!("`{}` is no path", entry.path),
                                "such as \"ops/ssh_config\"",
                            );
                        }
                        good
                    });
                }
                "folder" => environment.folder = self.folder(&entry),
                "compose" => environment.compose = self.files(&entry),
                "batches" => environment.batches = self.batches(&entry),
                "max_failures" => match entry.item.as_integer().and_then(|number| u32::try_from(number).ok())
                {
                    Some(number) => environment.max_failures = number,
                    None => self.wrong(&entry, "a number of hosts"),
                },
                "min_healthy" => self.duration(&entry, &mut environment.min_healthy),
                "pause" => self.duration(&entry, &mut environment.pause),
                "on_abort" => {
                    environment.on_abort = match self.choice(&entry, &["revert", "hold"]).as_deref() {
                        Some("hold") => OnAbort::Hold,
                        _ => OnAbort::Revert,
                    }
                }
                "metrics" => environment.metrics = self.metrics(&entry),
                "proxy" => environment.proxy = Some(self.proxy(&entry)),
                "database" => environment.database = self.database(&entry),
                _ => self.unknown(&entry, KEYS),
            }
        }
        if environment.health.is_some() && environment.health_address().is_none() {
            let message =
                format!("`{}.health` is relative, and there is no `url` it could start from", entry.path);
            self.bad(entry, &message, "give the environment a `url`, or write the whole address");
        }
        environment
    }

    /// What environments say about each other.
    pub(super) fn environments(&mut self, entry: &Entry<'_>, environments: &BTreeMap<String, Environment>) {
        for environment in self.table(entry) {
            let Some(table) = environment.item.as_table_like() else { continue };
            let Some(Item::Value(Value::Array(after))) = table.get("after") else { continue };
            for value in after {
                let Some(name) = value.as_str().filter(|name| !environments.contains_key(*name)) else {
                    continue;
                };
                let message = format!("`{}.after` names `{name}`, which is no environment", environment.path);
                let known = environments.keys().map(String::as_str);
                self.push(
                    Diagnostic::error("unknown-environment", message, span(value.span()))
                        .suggest(name, known),
                );
            }
        }
        if let Some(way) = circle(environments) {
            let message =
                format!("these environments come after each other in a circle: {}", way.join(" after "));
            self.bad(entry, &message, "take one `after` away: a version must be able to start somewhere");
        }
    }

    fn version_at(&mut self, entry: &Entry<'_>) -> Option<VersionAt> {
        let text = self.text(entry)?;
        let at = VersionAt::parse(&text);
        if at.is_none() {
            self.bad(
                entry,
                &format!("`{}` is neither a JSONPath, nor a header, nor `none`", entry.path),
                "such as \"$.version\" or \"header:X-Version\"; \"none\" where the service cannot tell it",
            );
        }
        at
    }

    fn channels(&mut self, entry: &Entry<'_>) -> Vec<Channel> {
        let words = Channel::ALL.map(Channel::as_str);
        let mut channels = Vec::new();
        for text in self.texts(entry) {
            match text.parse() {
                Ok(channel) if words.contains(&text.as_str()) => channels.push(channel),
                _ => {
                    let message = format!("`{}` is no channel", sanitize_line(&text));
                    self.push(Diagnostic::error("bad-value", message, entry.span()).suggest(&text, words));
                }
            }
        }
        channels
    }

    pub(super) fn hosts(&mut self, entry: &Entry<'_>) -> Vec<String> {
        let hosts = self.texts(entry);
        if hosts.len() > MOST_HOSTS {
            self.bad(entry, &format!("`{}` has {} hosts", entry.path, hosts.len()), "1000 are the most");
            return Vec::new();
        }
        let mut seen = std::collections::BTreeSet::new();
        for host in &hosts {
            if !self.is_plain(entry, host) {
                return Vec::new();
            }
            if !seen.insert(host) {
                self.bad(entry, &format!("`{}` names {host} twice", entry.path), "name each host once");
            }
        }
        hosts
    }

    /// Whether a name is one that no program can take for an option, an address or a path.
    pub(super) fn is_plain(&mut self, entry: &Entry<'_>, text: &str) -> bool {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "._-:@[]%".contains(letter);
        let good = !text.is_empty() && text.len() <= 253 && !text.starts_with('-') && text.chars().all(plain);
        if !good {
            let message =
                format!("`{}` in `{}` is no name that ssh could know", sanitize_line(text), entry.path);
            self.bad(entry, &message, "write a host's name as in your ssh configuration, such as \"web1\"");
        }
        good
    }

    pub(super) fn folder(&mut self, entry: &Entry<'_>) -> Option<String> {
        let text = self.text(entry)?;
        let parts = || text.split('/').filter(|part| !part.is_empty());
        let good = text.starts_with('/')
            && parts().next().is_some()
            && parts().all(|part| part != ".." && part != ".")
            && !text.chars().any(char::is_control);
        if !good {
            let message = format!("`{}` must be an absolute folder on the hosts", entry.path);
            self.bad(entry, &message, "such as \"/srv/shop\"");
            return None;
        }
        Some(text.trim_end_matches('/').to_owned())
    }

    fn files(&mut self, entry: &Entry<'_>) -> Vec<String> {
        let files = self.texts(entry);
        let outside = |path: &String| {
            path.is_empty()
                || path.starts_with(['/', '\\', '~', '-', ':'])
                || path.chars().any(char::is_control)
                || path.split(['/', '\\']).any(|part| part == ".." || part.eq_ignore_ascii_case(".git"))
        };
        if files.iter().any(outside) {
            let message = format!("`{}` must be paths inside the repository", entry.path);
            self.bad(entry, &message, "write them from the repository's root, such as \"compose.yml\"");
            return Vec::new();
        }
        files
    }

    fn batches(&mut self, entry: &Entry<'_>) -> Vec<Batch> {
        let Some(array) = entry.item.as_array() else {
            self.wrong(entry, "a list such as [\"1\", \"30%\", \"100%\"]");
            return Environment::default().batches;
        };
        let read = |value: &Value| match value {
            Value::Integer(number) => Batch::parse(&number.value().to_string()),
            value => value.as_str().filter(|text| !has_space(text)).and_then(Batch::parse),
        };
        let batches: Option<Vec<Batch>> = array.iter().map(read).collect();
        batches.filter(|batches| !batches.is_empty()).unwrap_or_else(|| {
            let message = format!("`{}` must be numbers of hosts, or parts of all of them", entry.path);
            self.bad(entry, &message, "such as [\"1\", \"30%\", \"100%\"]");
            Environment::default().batches
        })
    }

    pub(super) fn duration(&mut self, entry: &Entry<'_>, value: &mut Duration) {
        let Some(text) = self.text(entry) else { return };
        match Duration::parse(&text) {
            Ok(duration) => *value = duration,
            Err(error) => self.bad(entry, &sanitize_line(&error.to_string()), "such as \"30s\""),
        }
    }
}

fn is_word(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter))
}

#[cfg(test)]
mod tests {
    use crate::config::{Batch, Config, Monitoring, OnAbort};
    use crate::duration::Duration;
    use crate::version::Channel;

    #[test]
    fn a_whole_environment_is_read() {
        let (config, findings) = Config::parse(
            "[environments.staging]\n[notify]\npage = [{ command = [\"./page.sh\"] }]\n[environments.production]\nurl = \"https://x.example\"\nhealth = \"/health\"\n\
             version = \"$.app.version\"\nafter = [\"staging\"]\nchannels = [\"rc\", \"stable\"]\n\
             hosts = [\"web1\", \"web2\"]\nuser = \"deploy\"\nssh_config = \"~/.ssh/prod\"\nfolder = \"/srv/shop/\"\n\
             compose = [\"compose.yml\", \"compose.prod.yml\"]\nbatches = [1, \"30%\", \"100%\"]\nmax_failures = 1\n\
             monitoring = \"critical\"\nmin_healthy = \"5s\"\npause = \"1m\"\non_abort = \"hold\"\n[environments.production.metrics]\n\
             prometheus = \"http://prom:9090\"\nqueries = { error_rate = \"up\" }\n",
        );
        assert_eq!(findings, []);
        let production = &config.environments["production"];
        assert_eq!(production.folder.as_deref(), Some("/srv/shop"));
        assert_eq!(production.channels, [Channel::Rc, Channel::Stable]);
        assert_eq!(production.batches, [Batch::Count(1), Batch::Percent(30), Batch::Percent(100)]);
        assert_eq!((production.max_failures, production.on_abort), (1, OnAbort::Hold));
        assert_eq!(production.monitoring, Some(Monitoring::Critical));
        assert_eq!(
            (production.min_healthy, production.pause),
            (Duration::from_secs(5), Duration::from_secs(60))
        );
        assert_eq!(production.metrics.queries.len(), 1);
        assert!(production.takes(Channel::Stable) && !production.takes(Channel::Beta));
        assert!(config.environments["staging"].takes(Channel::Alpha));
        // What a plan keeps is what was read.
        let kept = serde_json::to_string(production).unwrap();
        assert_eq!(&serde_json::from_str::<crate::config::Environment>(&kept).unwrap(), production);
    }

    #[test]
    fn environments_that_cannot_be_are_found() {
        for (source, expect) in [
            ("[environments.a]\nafter = [\"stagin\"]\n[environments.staging]\n", "did you mean `staging`?"),
            ("[environments.a]\nafter = [\"a\"]\n", "circle: a after a"),
            (
                "[environments.a]\nafter = [\"b\"]\n[environments.b]\nafter = [\"c\"]\n[environments.c]\nafter = [\"b\"]\n",
                "circle: b after c after b",
            ),
            ("[environments.a]\nhosts = [\"-oProxyCommand=x\"]\n", "no name that ssh"),
            ("[environments.a]\nhosts = [\"web 1\"]\n", "no name that ssh"),
            ("[environments.a]\nhosts = [\"\"]\n", "no name that ssh"),
            ("[environments.a]\nhosts = [\"web1\", \"web1\"]\n", "names web1 twice"),
            ("[environments.a]\nuser = \"-l\"\n", "no name that ssh"),
            ("[environments.a]\nssh_config = \"-x\"\n", "is no path"),
            ("[environments.a]\nfolder = \"srv/x\"\n", "absolute folder"),
            ("[environments.a]\nfolder = \"/\"\n", "absolute folder"),
            ("[environments.a]\nfolder = \"/srv/../etc\"\n", "absolute folder"),
            ("[environments.a]\ncompose = [\"../compose.yml\"]\n", "inside the repository"),
            ("[environments.a]\nchannels = [\"stabel\"]\n", "did you mean `stable`?"),
            ("[environments.a]\nbatches = [\"half\"]\n", "numbers of hosts"),
            ("[environments.a]\nbatches = []\n", "numbers of hosts"),
            ("[environments.a]\nmax_failures = -1\n", "a number of hosts"),
            ("[environments.a]\nmin_healthy = \"soon\"\n", "not a duration"),
            ("[environments.a]\non_abort = \"retreat\"\n", "is not a value"),
            ("[environments.a]\nmonitoring = \"critcal\"\n", "is not a value"),
            ("[environments.a]\nversion = \"version\"\n", "neither a JSONPath, nor a header"),
            ("[environments.a]\nversion = \"header:\"\n", "neither a JSONPath, nor a header"),
            ("[environments.a]\nhealth = \"/health\"\n", "no `url`"),
            ("[environments.a.metrics]\nprometheus = \"prom:9090\"\n", "is no address"),
            ("[environments.a.metrics]\nloki = \"http://loki:3100\"\n", "table"),
            ("[environments.a.metrics]\nloki = {}\n", "has no address"),
            ("[environments.a.metrics]\nloki = { url = \"loki:3100\" }\n", "is no address"),
            ("[environments.a.metrics]\nloki = { url = \"http://l\", delay = \"soon\" }\n", "not a duration"),
            ("[environments.a.metrics]\nloki = { url = \"http://l\", index = \"x\" }\n", "index"),
            ("[environments.a.metrics]\nelasticsearch = { url = \"http://e\" }\n", "needs the `index`"),
            ("[environments.a.metrics]\nelasticsearch = { index = \"x\" }\n", "has no address"),
            (
                "[environments.a.metrics]\nelasticsearch = { url = \"http://e\", index = \"a b\" }\n",
                "needs the `index`",
            ),
            (
                "[environments.a.metrics.queries]\nq = { from = \"lokki\", query = \"x\" }\n",
                "did you mean `loki`?",
            ),
            ("[environments.a.metrics.queries]\nq = { from = \"loki\", cpu = \"web\" }\n", "has a `from`"),
            ("[environments.a]\nhost = [\"web1\"]\n", "did you mean `hosts`?"),
            ("[environments.\"a b\"]\n", "not a name of an environment"),
        ] {
            let (_, findings) = Config::parse(source);
            let told = |finding: &crate::diagnostic::Diagnostic| {
                finding.message.contains(expect) || finding.help.iter().any(|help| help.contains(expect))
            };
            assert!(findings.iter().any(told), "{source}: {findings:?}");
            assert!(findings.iter().all(|finding| finding.span.is_some()), "{source}: {findings:?}");
        }
    }
}
