//! HAProxy on hosts of the lab, in front of their servers.

use super::Lab;

/// HAProxy on one host. It ends with this.
pub struct Front {
    lab: &'static Lab,
    host: &'static str,
    folder: String,
}

impl Front {
    /// Starts it on `port`, in front of servers by name and address; the first one gets traffic.
    pub fn start(
        lab: &'static Lab,
        host: &'static str,
        name: &str,
        port: u16,
        servers: &[(&str, String)],
    ) -> Self {
        let folder = format!("/srv/{name}-proxy");
        let front = Self { lab, host, folder };
        front.stop();
        let folder = &front.folder;
        let mut text = format!(
            "global\n    stats socket {folder}/admin.sock mode 600 level admin\n\ndefaults\n    mode http\n    timeout connect \
             5s\n    timeout client 60s\n    timeout server 60s\n\nfrontend front\n    bind 0.0.0.0:{port}\n    \
             default_backend shop\n\nbackend shop\n"
        );
        for (number, (name, address)) in servers.iter().enumerate() {
            let disabled = if number == 0 { "" } else { " disabled" };
            text.push_str(&format!("    server {name} {address}{disabled}\n"));
        }
        lab.on(
            host,
            &format!(
                "mkdir -p {folder} && printf %s '{text}' >{folder}/haproxy.cfg && cd {folder} && \
                 (setsid haproxy -db -f haproxy.cfg -p pid </dev/null >log 2>&1 & echo $! >pid) && \
                 until [ -S admin.sock ]; do sleep 0.05; done"
            ),
        );
        front
    }

    /// The keys of an environment's proxy that are about where it is.
    pub fn table(&self) -> String {
        let folder = &self.folder;
        format!(
            "[environments.production.proxy]\nkind = \"haproxy\"\nbackend = \"shop\"\nsocket = \"{folder}/admin.sock\"\n\
             config = \"{folder}/haproxy.cfg\"\ndrain = \"5s\"\n"
        )
    }

    /// Ends it.
    pub fn stop(&self) {
        let folder = &self.folder;
        self.lab.on(
            self.host,
            &format!("[ ! -f {folder}/pid ] || kill -9 $(cat {folder}/pid) 2>/dev/null; rm -rf {folder}"),
        );
    }

    /// Takes its socket away, or gives it back.
    pub fn hide(&self, is_hidden: bool) {
        let (from, to) = if is_hidden { ("admin.sock", "away.sock") } else { ("away.sock", "admin.sock") };
        self.lab.on(self.host, &format!("cd {} && mv {from} {to}", self.folder));
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}
