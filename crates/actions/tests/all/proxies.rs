//! Traffic that is taken from one server to another on the real HAProxy, nginx and Caddy, on this machine and by the
//! program of the hosts.

use std::time::{Duration, Instant};

use serde_json::json;
use windlass_actions::adapters::proxy::{Admission, Proxy, Status};
use windlass_actions::adapters::remote::RemoteError;
use windlass_actions::deploy::Site;
use windlass_core::config::{Colour, Environment};
use windlass_engine::context::Context;
use windlass_testkit::proxies::{Kind, Named, Running, ask};
use windlass_testkit::repo::RepoBuilder;

use crate::standin::with_standins;
use crate::world::Setting;

use Admission::{Drain, Maintenance, Ready};

/// Where the adapter acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Here,
    Host,
}

struct Shop {
    running: Running,
    setting: Setting,
    blue: Named,
    green: Named,
    way: Way,
}

impl Shop {
    fn new(kind: Kind, way: Way) -> Self {
        let (blue, green) = (Named::start("blue").unwrap(), Named::start("green").unwrap());
        let running = Running::start(kind, blue.port, green.port).unwrap();
        let setting = with_standins(Setting::new(RepoBuilder::new()));
        Self { running, setting, blue, green, way }
    }

    fn context(&self) -> Context {
        self.setting.context()
    }

    /// The proxy, with some keys of its configuration changed.
    async fn proxy(&self, changes: serde_json::Value) -> Proxy {
        let (test, reload) = self.running.commands();
        let mut table = json!({
            "kind": self.running.kind.name(), "backend": "shop", "config": self.running.config(),
            "ports": { "blue": self.blue.port, "green": self.green.port }, "test": test, "reload": reload,
        });
        if self.running.kind != Kind::Nginx {
            table["socket"] = self.running.socket().into();
        }
        for (key, value) in changes.as_object().unwrap() {
            table[key] = value.clone();
        }
        let mut environment = Environment { folder: Some("/srv/shop".into()), ..Environment::default() };
        environment.proxy = Some(serde_json::from_value(table).unwrap());
        if self.way == Way::Host {
            environment.hosts = vec!["web1".into()];
        }
        let context = self.context();
        let mut proxies =
            Proxy::all(&Site::new("production", &environment, &context), &context).await.unwrap();
        proxies.remove(0)
    }

    async fn steer(
        &self,
        proxy: &Proxy,
        fence: u64,
        courses: &[(Colour, Admission)],
    ) -> Result<(), RemoteError> {
        let course = |(colour, admission): &(Colour, Admission)| {
            proxy.server(0, Some(*colour)).unwrap().course(*admission, None)
        };
        let courses: Vec<_> = courses.iter().map(course).collect();
        proxy.steer(&self.context(), fence, &courses).await
    }

    async fn admissions(&self, proxy: &Proxy) -> (Admission, Admission) {
        let statuses = proxy.status(&self.context()).await.unwrap();
        let of =
            |name: &str| statuses.iter().find(|status: &&Status| status.server == name).unwrap().admission;
        (of("blue"), of("green"))
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.running.config()).unwrap()
    }

    /// The front door answers with this name only.
    fn expect(&self, name: &str) {
        // Caddy says that it has new upstreams while what listened before may still take a connection or two.
        let end = Instant::now() + Duration::from_secs(5);
        while self.running.kind == Kind::Caddy && self.running.ask().unwrap() != name && Instant::now() < end
        {
            std::thread::yield_now();
        }
        for _ in 0..20 {
            assert_eq!(self.running.ask().unwrap(), name, "{:?}", self.running.kind);
        }
    }
}

fn everywhere() -> impl Iterator<Item = (Kind, Way)> {
    Kind::ALL.into_iter().flat_map(|kind| [(kind, Way::Here), (kind, Way::Host)])
}

const BLUE: Colour = Colour::Blue;
const GREEN: Colour = Colour::Green;

/// Each waits for its own old workers, and takes another one's for nothing.
#[tokio::test]
async fn several_of_one_kind_on_a_host_are_not_taken_for_each_other() {
    let steered = async || {
        let shop = Shop::new(Kind::Nginx, Way::Here);
        let proxy = shop.proxy(json!({})).await;
        for round in 0..6 {
            let (from, to, name) =
                if round % 2 == 0 { (BLUE, GREEN, "green") } else { (GREEN, BLUE, "blue") };
            shop.steer(&proxy, 1, &[(from, Maintenance), (to, Ready)]).await.unwrap();
            shop.expect(name);
        }
    };
    tokio::join!(steered(), steered(), steered(), steered());
}

#[tokio::test]
async fn traffic_goes_where_it_is_steered_and_stays_there_after_a_restart() {
    for (kind, way) in everywhere() {
        println!("{kind:?} {way:?}");
        let mut shop = Shop::new(kind, way);
        let proxy = shop.proxy(json!({})).await;
        let before = shop.text();
        proxy.check(&shop.context(), 1).await.unwrap();
        assert_eq!(shop.text(), before, "a check changes nothing");
        shop.expect("blue");
        assert_eq!(shop.admissions(&proxy).await, (Ready, Maintenance));
        shop.steer(&proxy, 1, &[(BLUE, Drain), (GREEN, Ready)]).await.unwrap();
        shop.expect("green");
        let drained = if kind == Kind::Haproxy { Drain } else { Maintenance };
        assert_eq!(shop.admissions(&proxy).await, (drained, Ready));
        let left = proxy.drained(&shop.context(), &["blue".into()], Duration::from_secs(10)).await.unwrap();
        assert_eq!(left, 0);
        // Twice is once.
        let once = shop.text();
        shop.steer(&proxy, 1, &[(BLUE, Maintenance), (GREEN, Ready)]).await.unwrap();
        shop.steer(&proxy, 1, &[(BLUE, Maintenance), (GREEN, Ready)]).await.unwrap();
        assert_eq!(shop.text(), once);
        // A proxy that starts anew says the same.
        shop.running.down();
        shop.running.up().unwrap();
        shop.expect("green");
        assert_eq!(shop.admissions(&proxy).await, (Maintenance, Ready));
        shop.steer(&proxy, 2, &[(GREEN, Maintenance), (BLUE, Ready)]).await.unwrap();
        shop.expect("blue");
        // There and back is where it was, byte by byte; Caddy writes its own file.
        if kind != Kind::Caddy {
            assert_eq!(shop.text(), before);
        }
    }
}

#[tokio::test]
async fn a_lower_fence_than_was_seen_changes_nothing() {
    for (kind, way) in everywhere() {
        println!("{kind:?} {way:?}");
        let shop = Shop::new(kind, way);
        let proxy = shop.proxy(json!({})).await;
        proxy.host().raise(&shop.context(), 7).await.unwrap();
        let before = shop.text();
        let error = shop.steer(&proxy, 6, &[(GREEN, Ready), (BLUE, Drain)]).await.unwrap_err();
        assert!(matches!(error, RemoteError::Fenced { given: 6, highest: 7, .. }), "{error:?}");
        assert_eq!(shop.text(), before);
        shop.expect("blue");
        // A higher one is remembered.
        shop.steer(&proxy, 8, &[(GREEN, Ready), (BLUE, Drain)]).await.unwrap();
        let error = shop.steer(&proxy, 7, &[(BLUE, Ready), (GREEN, Drain)]).await.unwrap_err();
        assert!(matches!(error, RemoteError::Fenced { given: 7, highest: 8, .. }), "{error:?}");
        shop.expect("green");
    }
}

#[tokio::test]
async fn a_refused_configuration_leaves_traffic_and_file_where_they_were() {
    for (kind, way) in everywhere() {
        println!("{kind:?} {way:?}");
        let shop = Shop::new(kind, way);
        let script = "echo the file is not to my taste >&2; exit 1";
        let proxy = shop.proxy(json!({ "test": ["sh", "-c", script] })).await;
        let before = shop.text();
        for error in [
            proxy.check(&shop.context(), 1).await.unwrap_err(),
            shop.steer(&proxy, 1, &[(GREEN, Ready), (BLUE, Drain)]).await.unwrap_err(),
        ] {
            let told = error.to_string();
            assert!(matches!(error, RemoteError::Unfit(_)) && told.contains("not to my taste"), "{told}");
            assert!(told.contains("was refused, and is what it was"), "{told}");
        }
        assert_eq!(shop.text(), before);
        shop.expect("blue");
        assert_eq!(shop.admissions(&proxy).await, (Ready, Maintenance));
        let files: Vec<_> =
            std::fs::read_dir(shop.running.config().parent().unwrap()).unwrap().flatten().collect();
        assert!(
            files.iter().all(|file| !file.file_name().to_string_lossy().contains("windlass")),
            "{files:?}"
        );
    }
}

#[tokio::test]
async fn a_mistake_in_the_configuration_is_found_by_the_proxy_itself() {
    for (kind, broken, expect) in [
        (Kind::Haproxy, "backend shop\n    balance nonsense\n", "balance only supports"),
        (Kind::Nginx, "upstream shop {\n    nonsense on;\n", "nonsense"),
    ] {
        let shop = Shop::new(kind, Way::Here);
        let proxy = shop.proxy(json!({})).await;
        let first = broken.lines().next().unwrap();
        let text = shop.text().replacen(&format!("{first}\n"), broken, 1);
        std::fs::write(shop.running.config(), &text).unwrap();
        let error = shop.steer(&proxy, 1, &[(GREEN, Ready), (BLUE, Drain)]).await.unwrap_err().to_string();
        assert!(error.contains(expect) && error.contains("refused"), "{error}");
        assert_eq!(shop.text(), text);
        shop.expect("blue");
    }
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    for (kind, way) in everywhere() {
        println!("{kind:?} {way:?}");
        let mut shop = Shop::new(kind, way);
        let go = |proxy: Proxy| {
            let (shop, context) = (&shop, shop.context());
            async move {
                let checked = proxy.check(&context, 1).await.unwrap_err().to_string();
                let steered =
                    shop.steer(&proxy, 1, &[(GREEN, Ready), (BLUE, Drain)]).await.unwrap_err().to_string();
                println!("{steered}");
                (checked, steered)
            }
        };
        let expect = |(checked, steered): (String, String), expect: &str| {
            assert!(steered.contains(expect), "no `{expect}` in {steered}");
            assert!(checked.contains(expect), "no `{expect}` in {checked}");
        };
        // A backend that is not there.
        if kind == Kind::Caddy {
            let other = json!({ "backend": "shpo", "ports": { "blue": 1, "green": 2 } });
            expect(
                go(shop.proxy(other).await).await,
                "no reverse_proxy handler `shpo`: did you mean `shop`?",
            );
        } else {
            let wrong = go(shop.proxy(json!({ "backend": "shpo" })).await).await;
            expect(wrong, "`shpo`: did you mean `shop`?");
        }
        // A server that is not there.
        match kind {
            Kind::Haproxy => {
                let wrong = go(shop.proxy(json!({ "server": "{colour}1" })).await).await;
                expect(wrong, "1` in shop: did you mean `");
            }
            Kind::Nginx => {
                let wrong = go(shop.proxy(json!({ "address": "127.0.0.2:{port}" })).await).await;
                expect(wrong, "no server `127.0.0.2:");
            }
            Kind::Caddy => {}
        }
        if kind == Kind::Nginx {
            let wrong = shop.proxy(json!({ "config": "/nowhere/nginx.conf" })).await;
            expect(go(wrong).await, "there is no file /nowhere/nginx.conf");
            let wrong = shop.proxy(json!({ "reload": ["sh", "-c", "echo no such pid >&2; exit 1"] })).await;
            let error =
                shop.steer(&wrong, 1, &[(GREEN, Ready), (BLUE, Drain)]).await.unwrap_err().to_string();
            assert!(error.contains("no such pid") && error.contains("is what it was"), "{error}");
            shop.expect("blue");
        } else {
            // Nobody answers.
            shop.running.down();
            let proxy = shop.proxy(json!({})).await;
            let error = proxy.status(&shop.context()).await.unwrap_err().to_string();
            assert!(error.contains("nobody answers at") && error.contains("not running"), "{error}");
            if kind == Kind::Haproxy {
                std::fs::remove_file(shop.running.socket()).unwrap();
                let error = proxy.status(&shop.context()).await.unwrap_err().to_string();
                assert!(error.contains("there is no socket"), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn traffic_does_not_go_where_haproxy_finds_nobody() {
    let mut shop = Shop::new(Kind::Haproxy, Way::Here);
    let nobody = windlass_testkit::ports::free().unwrap();
    let (now, gone) = (
        format!(":{} check inter 500ms disabled", shop.green.port),
        format!(":{nobody} check inter 50ms fall 1"),
    );
    shop.running.down();
    std::fs::write(shop.running.config(), shop.text().replace(&now, &gone)).unwrap();
    shop.running.up().unwrap();
    let proxy = shop.proxy(json!({})).await;
    let is_down = async {
        while proxy.status(&shop.context()).await.unwrap().iter().all(|status| status.up != Some(false)) {}
    };
    tokio::time::timeout(Duration::from_secs(10), is_down).await.unwrap();
    let before = shop.text();
    let error = shop.steer(&proxy, 1, &[(GREEN, Ready), (BLUE, Drain)]).await.unwrap_err().to_string();
    assert!(error.contains("green is down by HAProxy's own check"), "{error}");
    assert_eq!(shop.text(), before);
    shop.expect("blue");
    assert_eq!(shop.admissions(&proxy).await, (Ready, Ready));
}

#[tokio::test]
async fn a_socket_that_lets_nothing_be_changed_is_found_by_the_check() {
    let mut shop = Shop::new(Kind::Haproxy, Way::Here);
    shop.running.down();
    std::fs::write(shop.running.config(), shop.text().replace("level admin", "level user")).unwrap();
    shop.running.up().unwrap();
    let proxy = shop.proxy(json!({})).await;
    let error = proxy.check(&shop.context(), 1).await.unwrap_err().to_string();
    assert!(error.contains("Permission denied") && error.contains("level admin"), "{error}");
    shop.expect("blue");
}

#[tokio::test]
async fn sessions_are_waited_for() {
    for (kind, way) in everywhere() {
        println!("{kind:?} {way:?}");
        let shop = Shop::new(kind, way);
        let proxy = shop.proxy(json!({})).await;
        let context = shop.context();
        let front = shop.running.front;
        let slow = std::thread::spawn(move || ask(front, "/slow").unwrap());
        let until_it_is_there = async {
            // nginx does not tell: its worker is only waited for once it is an old one.
            while kind != Kind::Nginx
                && proxy.status(&context).await.unwrap().iter().all(|status| status.sessions == Some(0))
            {
            }
        };
        tokio::time::timeout(Duration::from_secs(10), until_it_is_there).await.unwrap();
        if kind == Kind::Nginx {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        shop.steer(&proxy, 1, &[(GREEN, Ready), (BLUE, Drain)]).await.unwrap();
        shop.expect("green");
        let servers = ["blue".to_owned()];
        let left = proxy.drained(&context, &servers, Duration::from_millis(200)).await.unwrap();
        assert!(left > 0 || kind == Kind::Caddy, "{kind:?}: {left} sessions");
        shop.blue.let_go();
        let left = proxy.drained(&context, &servers, Duration::from_secs(20)).await.unwrap();
        assert_eq!(left, 0, "{kind:?}");
        assert_eq!(slow.join().unwrap(), "blue");
    }
}

#[tokio::test]
async fn weights_shift_the_traffic() {
    for (kind, way) in everywhere().filter(|(kind, _)| *kind != Kind::Caddy) {
        println!("{kind:?} {way:?}");
        let shop = Shop::new(kind, way);
        let proxy = shop.proxy(json!({})).await;
        for (new, old) in [(10, 90), (50, 50)] {
            let weigh = |colour, weight| proxy.server(0, Some(colour)).unwrap().course(Ready, Some(weight));
            proxy.steer(&shop.context(), 1, &[weigh(GREEN, new), weigh(BLUE, old)]).await.unwrap();
            // Each worker of nginx shares by itself, and an old one may answer once more: so until it is as wanted.
            let expect = 2 * new as usize;
            let end = Instant::now() + Duration::from_secs(20);
            loop {
                let greens = (0..200).filter(|_| shop.running.ask().unwrap() == "green").count();
                if greens.abs_diff(expect) <= 10 {
                    break;
                }
                assert!(Instant::now() < end, "{kind:?}: {greens} of 200 at {new} %");
            }
            let statuses = proxy.status(&shop.context()).await.unwrap();
            let of = |name: &str| statuses.iter().find(|status| status.server == name).unwrap().weight;
            assert_eq!((of("green"), of("blue")), (new, old));
        }
        let none = proxy.server(0, Some(GREEN)).unwrap().course(Ready, Some(0));
        let error = proxy.steer(&shop.context(), 1, &[none]).await.unwrap_err().to_string();
        assert!(error.contains("1 to 100"), "{error}");
    }
    let shop = Shop::new(Kind::Caddy, Way::Here);
    let proxy = shop.proxy(json!({})).await;
    let course = proxy.server(0, Some(GREEN)).unwrap().course(Ready, Some(10));
    let error = proxy.steer(&shop.context(), 1, &[course]).await.unwrap_err().to_string();
    assert!(error.contains("knows no weights"), "{error}");
}

#[tokio::test]
async fn traffic_is_held_and_let_go_as_it_was() {
    for (kind, way) in everywhere() {
        println!("{kind:?} {way:?}");
        let shop = Shop::new(kind, way);
        let proxy = shop.proxy(json!({})).await;
        let context = shop.context();
        let before = shop.text();
        assert_eq!(proxy.held(&context).await.unwrap(), None);
        proxy.release(&context, 1).await.unwrap();
        // Twice is once: what was before the first time is what is given back.
        proxy.hold(&context, 1).await.unwrap();
        proxy.hold(&context, 1).await.unwrap();
        assert_eq!(shop.admissions(&proxy).await, (Maintenance, Maintenance));
        let is_refused =
            || shop.running.ask().is_ok_and(|answer| answer.contains(" 50") || answer.is_empty());
        let end = Instant::now() + Duration::from_secs(10);
        while !is_refused() {
            assert!(Instant::now() < end, "{kind:?}");
        }
        assert!(proxy.held(&context).await.unwrap().is_some());
        proxy.release(&context, 1).await.unwrap();
        shop.expect("blue");
        assert_eq!(shop.admissions(&proxy).await, (Ready, Maintenance));
        assert_eq!(proxy.held(&context).await.unwrap(), None);
        if kind != Kind::Caddy {
            assert_eq!(shop.text(), before);
        }
    }
}

#[tokio::test]
async fn a_server_may_get_another_address() {
    for way in [Way::Here, Way::Host] {
        let mut shop = Shop::new(Kind::Haproxy, way);
        let other = Named::start("moved").unwrap();
        let ports = json!({ "blue": shop.blue.port, "green": other.port });
        // Not by itself: HAProxy knows where its servers are.
        let proxy = shop.proxy(json!({ "ports": ports })).await;
        let error = proxy.check(&shop.context(), 1).await.unwrap_err().to_string();
        assert!(error.contains("correct `ports`, or give the `address`"), "{error}");
        let proxy = shop.proxy(json!({ "ports": ports, "address": "127.0.0.1:{port}" })).await;
        proxy.check(&shop.context(), 1).await.unwrap();
        shop.steer(&proxy, 1, &[(GREEN, Ready), (BLUE, Maintenance)]).await.unwrap();
        shop.expect("moved");
        shop.running.down();
        shop.running.up().unwrap();
        shop.expect("moved");
    }
}

#[tokio::test]
async fn caddy_is_found_without_an_id() {
    let mut shop = Shop::new(Kind::Caddy, Way::Here);
    shop.running.down();
    std::fs::write(shop.running.config(), shop.text().replace("\"@id\":\"shop\",", "")).unwrap();
    shop.running.up().unwrap();
    for backend in ["shop", "/apps/http/servers/shop/routes/0/handle/0"] {
        let proxy = shop.proxy(json!({ "backend": backend })).await;
        shop.steer(&proxy, 1, &[(GREEN, Ready), (BLUE, Drain)]).await.unwrap();
        shop.expect("green");
        shop.steer(&proxy, 1, &[(BLUE, Ready), (GREEN, Drain)]).await.unwrap();
        shop.expect("blue");
    }
}

#[tokio::test]
async fn caddy_is_held_only_where_it_is_found_again() {
    let mut shop = Shop::new(Kind::Caddy, Way::Here);
    shop.running.down();
    std::fs::write(shop.running.config(), shop.text().replace("\"@id\":\"shop\",", "")).unwrap();
    shop.running.up().unwrap();
    let path = "/apps/http/servers/shop/routes/0/handle/0";
    let context = shop.context();
    let proxy = shop.proxy(json!({})).await;
    let told = proxy.hold(&context, 1).await.unwrap_err().to_string();
    assert!(told.contains("give it the @id `shop`") && told.contains(path), "{told}");
    assert_eq!(proxy.held(&context).await, Ok(None));
    shop.expect("blue");
    let proxy = shop.proxy(json!({ "backend": path })).await;
    proxy.hold(&context, 1).await.unwrap();
    proxy.release(&context, 1).await.unwrap();
    shop.expect("blue");
}

#[tokio::test]
async fn a_rendering_that_was_interrupted_goes_back_first() {
    for way in [Way::Here, Way::Host] {
        let shop = Shop::new(Kind::Nginx, way);
        let proxy = shop.proxy(json!({})).await;
        let before = shop.text();
        // The test ends the program that runs it, as a host that dies does.
        let deadly = shop.proxy(json!({ "test": ["sh", "-c", "kill -KILL 0"] })).await;
        let error = shop.steer(&deadly, 1, &[(GREEN, Ready), (BLUE, Drain)]).await.unwrap_err();
        assert!(!matches!(error, RemoteError::Unfit(_)), "{error:?}");
        assert_ne!(shop.text(), before, "it died before it was put back");
        shop.expect("blue");
        // Who comes next sees what was before, tests and reloads it in full.
        shop.steer(&proxy, 2, &[(GREEN, Ready), (BLUE, Drain)]).await.unwrap();
        shop.expect("green");
        shop.steer(&proxy, 2, &[(BLUE, Ready), (GREEN, Drain)]).await.unwrap();
        shop.expect("blue");
        assert_eq!(shop.text(), before);
    }
}
