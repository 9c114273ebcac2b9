//! Proxies on a real host, by real SSH: HAProxy, nginx and Caddy take traffic from blue to green there and back.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use windlass_actions::adapters::proxy::{Admission, Proxy};
use windlass_actions::adapters::remote::{RemoteError, looking};
use windlass_actions::deploy::Site;
use windlass_core::config::{Colour, Environment};

use super::{Lab, lab};

const FOLDER: &str = "/srv/proxies";

/// The proxies and two servers on one host; they end with this.
struct Edge(&'static Lab);

impl Edge {
    fn new(lab: &'static Lab) -> Self {
        let edge = Self(lab);
        edge.end();
        lab.on(
            "lab1",
            r#"set -e
mkdir -p /srv/proxies && cd /srv/proxies
for pair in blue:8471 green:8472; do
    mkdir -p "${pair%:*}" && echo "${pair%:*}" >"${pair%:*}/index.html"
    setsid busybox httpd -f -p "127.0.0.1:${pair#*:}" -h "${pair%:*}" </dev/null >/dev/null 2>&1 &
    echo $! >"${pair%:*}.pid"
done
cat >haproxy.cfg <<C
global
    stats socket /srv/proxies/admin.sock mode 600 level admin
    pidfile /srv/proxies/haproxy.pid
defaults
    mode http
    timeout connect 2s
    timeout client 10s
    timeout server 10s
listen shop
    bind 127.0.0.1:8473
    server blue 127.0.0.1:8471
    server green 127.0.0.1:8472 disabled
C
cat >nginx.conf <<C
user root;
pid /srv/proxies/nginx.pid;
error_log /srv/proxies/nginx.log;
events {}
http {
    access_log off;
    include /srv/proxies/upstream.conf;
    server { listen 127.0.0.1:8474; location / { proxy_pass http://shop; } }
}
C
echo 'upstream shop { server 127.0.0.1:8471; server 127.0.0.1:8472 down; }' >upstream.conf
cat >caddy.json <<C
{"admin":{"listen":"127.0.0.1:8476","config":{"persist":false}},"apps":{"http":{"servers":{"shop":{"listen":["127.0.0.1:8475"],
"automatic_https":{"disable":true},"routes":[{"handle":[{"@id":"shop","handler":"reverse_proxy","upstreams":
[{"dial":"127.0.0.1:8471"}]}]}]}}}}}
C
haproxy -D -f haproxy.cfg
nginx -c /srv/proxies/nginx.conf
caddy start --config caddy.json --pidfile caddy.pid >caddy.log 2>&1"#,
        );
        edge
    }

    /// What a proxy's front door answers on the host.
    fn front(&self, port: u16) -> String {
        self.0
            .on("lab1", &format!("curl -s --max-time 5 http://127.0.0.1:{port}/index.html"))
            .trim()
            .to_owned()
    }

    fn end(&self) {
        let end = r#"cd /srv/proxies 2>/dev/null || exit 0
for file in *.pid; do [ ! -f "$file" ] || kill -TERM $(cat "$file") 2>/dev/null || true; done
rm -rf /srv/proxies"#;
        self.0.on("lab1", end);
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.end();
        }
    }
}

#[test]
fn proxies_are_steered_over_ssh() {
    let Some((lab, _turn)) = lab("proxies_are_steered_over_ssh") else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(steer(&Edge::new(lab)));
}

async fn steer(edge: &Edge) {
    let place = tempfile::tempdir().unwrap();
    let context = looking(place.path().into(), place.path().join("state"), std::env::vars().collect());
    for (kind, socket, config, port) in [
        ("haproxy", Some("/srv/proxies/admin.sock"), "haproxy.cfg", 8473),
        ("nginx", None, "upstream.conf", 8474),
        ("caddy", Some("127.0.0.1:8476"), "caddy.json", 8475),
    ] {
        let nginx = |words: &[&str]| if kind == "nginx" { json!(words) } else { json!([]) };
        let table = json!({
            "kind": kind, "backend": "shop", "socket": socket, "config": format!("{FOLDER}/{config}"),
            "ports": { "blue": 8471, "green": 8472 }, "test": nginx(&["nginx", "-t", "-c", "/srv/proxies/nginx.conf"]),
            "reload": nginx(&["nginx", "-c", "/srv/proxies/nginx.conf", "-s", "reload"]),
        });
        let environment = Environment {
            hosts: vec!["lab1".into()],
            folder: Some(format!("{FOLDER}/{kind}")),
            ssh_config: Some(edge.0.folder.join("ssh_config").display().to_string()),
            proxy: Some(serde_json::from_value(table).unwrap()),
            ..Environment::default()
        };
        let proxies = Proxy::all(&Site::new("production", &environment, &context), &context).await.unwrap();
        let proxy = proxies.first().unwrap();
        proxy.check(&context, 3).await.unwrap();
        assert_eq!(edge.front(port), "blue", "{kind}");
        let course = |colour, admission| proxy.server(0, Some(colour)).unwrap().course(admission, None);
        let (blue, green) = (Colour::Blue, Colour::Green);
        for (new, old) in [(green, blue), (blue, green)] {
            let courses = [course(new, Admission::Ready), course(old, Admission::Drain)];
            proxy.steer(&context, 3, &courses).await.unwrap();
            assert_eq!(edge.front(port), new.as_str(), "{kind}");
            let left =
                proxy.drained(&context, &[old.as_str().into()], Duration::from_secs(20)).await.unwrap();
            assert_eq!(left, 0, "{kind}");
            proxy.steer(&context, 3, &[course(old, Admission::Maintenance)]).await.unwrap();
            let error = proxy.steer(&context, 2, &courses).await.unwrap_err();
            assert!(matches!(error, RemoteError::Fenced { given: 2, highest: 3, .. }), "{kind}: {error:?}");
        }
        proxy.hold(&context, 3).await.unwrap();
        let held = proxy.status(&context).await.unwrap();
        assert!(held.iter().all(|status| status.admission == Admission::Maintenance), "{kind}: {held:?}");
        proxy.release(&context, 3).await.unwrap();
        assert_eq!(edge.front(port), "blue", "{kind}");
        println!("{kind}: {:?}", proxy.status(&context).await.unwrap());
        windlass_actions::adapters::ssh::close(Path::new(&context.world.state), &context.run);
    }
}
