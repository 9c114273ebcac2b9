//! Reads `[environments.NAME.proxy]`.

use super::{Entry, Reader, has_space};
use crate::config::{Ports, Proxy, ProxyKind};
use crate::text::sanitize_line;

impl Reader {
    pub(super) fn proxy(&mut self, entry: &Entry<'_>) -> Proxy {
        const KEYS: &[&str] = &[
            "kind",
            "hosts",
            "socket",
            "backend",
            "server",
            "address",
            "ports",
            "config",
            "test",
            "reload",
            "drain",
            "proof",
            "shift",
            "shift_every",
        ];
        let before = self.findings.len();
        let mut proxy = Proxy::default();
        let mut kind = None;
        for entry in self.table(entry) {
            match entry.key {
                "kind" => kind = self.proxy_kind(&entry),
                "hosts" => proxy.hosts = self.hosts(&entry),
                "socket" => proxy.socket = self.word(&entry, "such as \"/run/haproxy/admin.sock\""),
                "backend" => {
                    let name = self.word(&entry, "write the name as in the proxy's configuration");
                    proxy.backend = name.unwrap_or_default();
                }
                "server" => proxy.server = self.form(&entry, &["{host}", "{colour}"]),
                "address" => proxy.address = self.form(&entry, &["{host}", "{port}"]),
                "ports" => proxy.ports = self.ports(&entry),
                "config" => proxy.config = self.absolute(&entry),
                "test" => proxy.test = self.command(&entry),
                "reload" => proxy.reload = self.command(&entry),
                "drain" => self.duration(&entry, &mut proxy.drain),
                "proof" => self.duration(&entry, &mut proxy.proof),
                "shift" => self.shift(&entry, &mut proxy.shift),
                "shift_every" => self.duration(&entry, &mut proxy.shift_every),
                _ => self.unknown(&entry, KEYS),
            }
        }
        proxy.kind = kind.unwrap_or_default();
        // What is missing or does not go together is told once what is there is right.
        if self.findings.len() == before {
            self.proxy_parts(entry, &proxy, kind.is_none());
        }
        proxy
    }

    /// What is missing, and what the kind does not know.
    fn proxy_parts(&mut self, entry: &Entry<'_>, proxy: &Proxy, has_no_kind: bool) {
        let (path, kind) = (&entry.path, proxy.kind);
        let has_rest =
            |form: &Option<String>, part: &str| form.as_ref().is_some_and(|form| !form.contains(part));
        let (message, help) = if has_no_kind {
            (format!("`{path}` has no `kind`"), "haproxy, nginx or caddy")
        } else if proxy.backend.is_empty() {
            (
                format!("`{path}` has no `backend`"),
                "the name of HAProxy's backend, nginx's upstream, or the `@id` of Caddy's handler",
            )
        } else if kind == ProxyKind::Nginx && proxy.config.is_none() {
            (
                format!("`{path}` has no `config`"),
                "nginx is switched by its configuration: name the file with the upstream",
            )
        } else if kind == ProxyKind::Nginx && proxy.socket.is_some() {
            (
                format!("`{path}.socket` is for HAProxy and Caddy"),
                "nginx is switched by its configuration: leave it out",
            )
        } else if kind != ProxyKind::Nginx && !proxy.reload.is_empty() {
            (
                format!("`{path}.reload` is for nginx"),
                "HAProxy and Caddy are switched while they run, without a reload: leave it out",
            )
        } else if kind == ProxyKind::Caddy && proxy.shift != [100] {
            (format!("`{path}.shift` is for HAProxy and nginx"), "Caddy 2.6 knows no weights: leave it out")
        } else if kind != ProxyKind::Haproxy && proxy.ports.is_none() && proxy.address.is_none() {
            (
                format!("`{path}` has neither `ports` nor `address`"),
                "nginx and Caddy know servers by their addresses: `address = \"{host}:8080\"`",
            )
        } else if kind == ProxyKind::Haproxy
            && proxy.socket.as_ref().is_some_and(|socket| !socket.starts_with('/'))
        {
            (format!("`{path}.socket` must be an absolute path"), "such as \"/run/haproxy/admin.sock\"")
        } else if proxy.ports.is_some() && has_rest(&proxy.server, "{colour}") {
            (format!("`{path}.server` has no `{{colour}}`"), "both colours would be one server")
        } else if proxy.ports.is_some() && has_rest(&proxy.address, "{port}") {
            (format!("`{path}.address` has no `{{port}}`"), "both colours would have one address")
        } else if proxy.ports.is_none() && proxy.address.as_ref().is_some_and(|form| form.contains("{port}"))
        {
            (
                format!("`{path}.address` has `{{port}}`, and there are no `ports`"),
                "`ports = { blue = 8081, green = 8082 }`, or write the port",
            )
        } else if proxy.ports.is_none() && proxy.server.as_ref().is_some_and(|form| form.contains("{colour}"))
        {
            (
                format!("`{path}.server` has `{{colour}}`, and there are no `ports`"),
                "`ports = { blue = 8081, green = 8082 }` make colours",
            )
        } else {
            return;
        };
        self.bad(entry, &message, help);
    }

    fn proxy_kind(&mut self, entry: &Entry<'_>) -> Option<ProxyKind> {
        const ALL: [ProxyKind; 3] = [ProxyKind::Haproxy, ProxyKind::Nginx, ProxyKind::Caddy];
        let text = self.choice(entry, &ALL.map(ProxyKind::as_str))?;
        ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// A text without spaces that nothing takes for an option or for more than one word.
    fn word(&mut self, entry: &Entry<'_>, help: &str) -> Option<String> {
        let text = self.text(entry)?;
        if !text.starts_with('-')
            && !has_space(&text)
            && !text.contains([';', '{', '}', '"', '\'', '\\', '#', '<', '>'])
        {
            return Some(text);
        }
        self.bad(entry, &format!("`{}` in `{}` is not one word", sanitize_line(&text), entry.path), help);
        None
    }

    /// A text in which `parts` stand for something, and which is one word otherwise.
    fn form(&mut self, entry: &Entry<'_>, parts: &[&str]) -> Option<String> {
        let text = self.text(entry)?;
        let rest = parts.iter().fold(text.clone(), |text, part| text.replace(part, "x"));
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-.:[]".contains(letter);
        if rest.chars().all(plain) && !rest.starts_with('-') {
            return Some(text);
        }
        let message = format!("`{}` in `{}` cannot be used", sanitize_line(&text), entry.path);
        self.bad(
            entry,
            &message,
            &format!("letters, digits, `_-.:[]` and {} may be in it", parts.join(", ")),
        );
        None
    }

    fn ports(&mut self, entry: &Entry<'_>) -> Option<Ports> {
        const HELP: &str = "`ports = { blue = 8081, green = 8082 }`";
        let (mut blue, mut green) = (None, None);
        for entry in self.table(entry) {
            let port =
                entry.item.as_integer().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
            match entry.key {
                "blue" | "green" if port.is_none() => {
                    self.wrong(&entry, "a port");
                    return None;
                }
                "blue" => blue = port,
                "green" => green = port,
                _ => {
                    self.unknown(&entry, &["blue", "green"]);
                    return None;
                }
            }
        }
        match (blue, green) {
            (Some(blue), Some(green)) if blue != green => Some(Ports { blue, green }),
            _ => {
                self.bad(entry, &format!("`{}` must have two different ports", entry.path), HELP);
                None
            }
        }
    }

    fn absolute(&mut self, entry: &Entry<'_>) -> Option<String> {
        let text = self.text(entry)?;
        if text.starts_with('/') && !text.ends_with('/') && !text.chars().any(char::is_control) {
            return Some(text);
        }
        self.bad(
            entry,
            &format!("`{}` must be the absolute path of a file", entry.path),
            "such as \"/etc/haproxy/haproxy.cfg\"",
        );
        None
    }

    fn command(&mut self, entry: &Entry<'_>) -> Vec<String> {
        let words = self.texts(entry);
        let good = words.first().is_some_and(|word| !word.is_empty())
            && !words.iter().any(|word| word.contains('\0'));
        if !good && entry.item.is_array() {
            self.bad(
                entry,
                &format!("`{}` is no command", entry.path),
                "a program and its arguments, such as [\"nginx\", \"-t\"]",
            );
        }
        words
    }

    fn shift(&mut self, entry: &Entry<'_>, shift: &mut Vec<u32>) {
        let numbers: Option<Vec<u32>> = entry.item.as_array().and_then(|array| {
            array
                .iter()
                .map(|value| value.as_integer().and_then(|number| u32::try_from(number).ok()))
                .collect()
        });
        let ascends = |numbers: &Vec<u32>| {
            numbers.first().is_some_and(|first| *first > 0)
                && numbers.windows(2).all(|pair| pair.first() < pair.last())
                && numbers.last() == Some(&100)
        };
        match numbers.filter(ascends) {
            Some(numbers) => *shift = numbers,
            None => self.bad(
                entry,
                &format!("`{}` must ascend to 100", entry.path),
                "such as [2, 10, 25, 50, 100]",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Ports, Proxy, ProxyKind};
    use crate::duration::Duration;

    #[test]
    fn a_proxy_is_read() {
        let (config, findings) = Config::parse(
            "[environments.production]\nhosts = [\"web1\"]\n[environments.production.proxy]\nkind = \"haproxy\"\n\
             hosts = [\"lb1\"]\nsocket = \"/run/haproxy/admin.sock\"\nbackend = \"shop\"\nserver = \"{host}-{colour}\"\n\
             address = \"{host}:{port}\"\nports = { blue = 8081, green = 8082 }\nconfig = \"/etc/haproxy/haproxy.cfg\"\n\
             test = [\"haproxy\", \"-c\", \"-f\", \"/etc/haproxy/haproxy.cfg\"]\ndrain = \"10s\"\nproof = \"3s\"\n\
             shift = [2, 10, 25, 50, 100]\nshift_every = \"1m\"\n",
        );
        assert_eq!(findings, []);
        let production = &config.environments["production"];
        let proxy = production.proxy.as_ref().unwrap();
        let expect = Proxy {
            kind: ProxyKind::Haproxy,
            hosts: vec!["lb1".into()],
            socket: Some("/run/haproxy/admin.sock".into()),
            backend: "shop".into(),
            server: Some("{host}-{colour}".into()),
            address: Some("{host}:{port}".into()),
            ports: Some(Ports { blue: 8081, green: 8082 }),
            config: Some("/etc/haproxy/haproxy.cfg".into()),
            test: ["haproxy", "-c", "-f", "/etc/haproxy/haproxy.cfg"].map(str::to_owned).into(),
            reload: Vec::new(),
            drain: Duration::from_secs(10),
            proof: Duration::from_secs(3),
            shift: vec![2, 10, 25, 50, 100],
            shift_every: Duration::from_secs(60),
        };
        assert_eq!(proxy, &expect);
        // What a plan keeps is what was read.
        let kept = serde_json::to_string(production).unwrap();
        assert_eq!(&serde_json::from_str::<crate::config::Environment>(&kept).unwrap(), production);
    }

    #[test]
    fn proxies_that_cannot_be_are_found() {
        const HAPROXY: &str = "kind = \"haproxy\"\nbackend = \"shop\"\n";
        const NGINX: &str = "kind = \"nginx\"\nbackend = \"shop\"\nconfig = \"/etc/nginx/shop.conf\"\n";
        const CADDY: &str = "kind = \"caddy\"\nbackend = \"shop\"\n";
        const PORTS: &str = "ports = { blue = 8081, green = 8082 }\n";
        for (first, second, expect) in [
            ("", "", "has no `kind`"),
            ("kind = \"haprxy\"\n", "", "did you mean `haproxy`?"),
            ("kind = \"haproxy\"\n", "", "has no `backend`"),
            ("kind = \"nginx\"\nbackend = \"shop\"\n", "", "has no `config`"),
            (NGINX, "", "neither `ports` nor `address`"),
            (CADDY, "", "neither `ports` nor `address`"),
            (NGINX, "ports = { blue = 1, green = 2 }\nsocket = \"/x\"\n", "is for HAProxy and Caddy"),
            (HAPROXY, "reload = [\"systemctl\", \"reload\", \"haproxy\"]\n", "is for nginx"),
            (CADDY, "ports = { blue = 1, green = 2 }\nshift = [50, 100]\n", "knows no weights"),
            (HAPROXY, "socket = \"admin.sock\"\n", "absolute path"),
            ("kind = \"haproxy\"\nbackend = \"shop;disable\"\n", "", "not one word"),
            ("kind = \"haproxy\"\nbackend = \"a b\"\n", "", "not one word"),
            (HAPROXY, "server = \"{colour}/x\"\n", "cannot be used"),
            (HAPROXY, "server = \"{color}\"\n", "cannot be used"),
            (HAPROXY, "server = \"web-{colour}\"\n", "there are no `ports`"),
            (HAPROXY, "address = \"{host}:{port}\"\n", "there are no `ports`"),
            (
                PORTS,
                "kind = \"haproxy\"\nbackend = \"shop\"\nserver = \"{host}\"\n",
                "both colours would be one server",
            ),
            (
                PORTS,
                "kind = \"haproxy\"\nbackend = \"shop\"\naddress = \"{host}:80\"\n",
                "both colours would have one",
            ),
            (HAPROXY, "ports = { blue = 8081, green = 8081 }\n", "two different ports"),
            (HAPROXY, "ports = { blue = 8081 }\n", "two different ports"),
            (HAPROXY, "ports = { blue = 0, green = 1 }\n", "must be a port"),
            (HAPROXY, "ports = { blu = 1, green = 1 }\n", "did you mean `blue`?"),
            (HAPROXY, "config = \"haproxy.cfg\"\n", "absolute path of a file"),
            (HAPROXY, "test = []\n", "is no command"),
            (HAPROXY, "test = \"nginx -t\"\n", "a list of texts"),
            (HAPROXY, "shift = [10, 5, 100]\n", "ascend to 100"),
            (HAPROXY, "shift = [10, 50]\n", "ascend to 100"),
            (HAPROXY, "shift = []\n", "ascend to 100"),
            (HAPROXY, "shift = [0, 100]\n", "ascend to 100"),
            (HAPROXY, "drain = \"soon\"\n", "not a duration"),
            (HAPROXY, "proof = \"soon\"\n", "not a duration"),
            (HAPROXY, "hosts = [\"-x\"]\n", "no name that ssh"),
            (HAPROXY, "port = 1\n", "did you mean `ports`?"),
        ] {
            let source = format!("[environments.a.proxy]\n{first}{second}");
            let (_, findings) = Config::parse(&source);
            let told = |finding: &crate::diagnostic::Diagnostic| {
                finding.message.contains(expect) || finding.help.iter().any(|help| help.contains(expect))
            };
            assert!(findings.iter().any(told), "{source}: {findings:?}");
            assert!(findings.iter().all(|finding| finding.span.is_some()), "{source}: {findings:?}");
        }
    }
}
