//! Blue-green and host by host on real hosts, behind real proxies, under requests.

use std::net::SocketAddr;
use std::time::Instant;

use windlass_testkit::versions::{Customers, Tally};

use super::front::Front;
use super::{HOSTS, Lab, Setup, Shop, lab};

/// A shop with two colours on each host, and a proxy on each.
pub struct Colours {
    pub shop: Shop,
    pub fronts: Vec<Front>,
    environment: String,
    port: u16,
}

impl Colours {
    pub fn new(lab: &'static Lab, name: &str, port: u16) -> Self {
        let servers =
            [("blue", format!("127.0.0.1:{}", port + 1)), ("green", format!("127.0.0.1:{}", port + 2))];
        // The proxies first: the shop clears its own folders only.
        let fronts: Vec<Front> = HOSTS.map(|host| Front::start(lab, host, name, port, &servers)).into();
        let ports = format!("ports = {{ blue = {}, green = {} }}\n", port + 1, port + 2);
        let environment = format!("batches = [\"100%\"]\n{}{ports}", fronts[0].table());
        let shop = Shop::new(lab, name, port, Self::setup(&environment));
        Self { shop, fronts, environment, port }
    }

    fn setup(environment: &str) -> Setup<'_> {
        Setup { action: "deploy.blue_green", environment, ..Setup::default() }
    }

    fn customers(&self) -> [Customers; 2] {
        ["10.231.7.11", "10.231.7.12"].map(|host| {
            let front: SocketAddr = format!("{host}:{}", self.port).parse().unwrap();
            Customers::begin(front, 2)
        })
    }
}

/// No request failed, and only these versions were ever seen.
fn expect(customers: [Customers; 2], versions: &[&str]) -> u64 {
    customers
        .map(Customers::end)
        .iter()
        .map(|tally: &Tally| {
            let bad: Vec<&String> = tally.bad.iter().take(3).collect();
            assert!(tally.bad.is_empty(), "{} of {} requests failed: {bad:?}", tally.bad.len(), tally.good);
            assert_eq!(tally.versions.keys().collect::<Vec<_>>(), versions);
            tally.good
        })
        .sum()
}

#[test]
fn colours_change_on_two_hosts_without_a_failed_request() {
    let Some((lab, _turn)) = lab("colours_change_on_two_hosts_without_a_failed_request") else { return };
    let colours = Colours::new(lab, "colours", 8140);
    let shop = &colours.shop;
    shop.deploy("0.1.0").expect(0, &["lab1: 0.1.0 comes up in green", "lab2: 0.1.0 comes up in green"]);
    shop.expect("0.1.0");

    // What is not healthy never gets traffic, and is taken away again.
    let customers = colours.customers();
    shop.behave("failing");
    shop.deploy("0.2.0").expect(1, &["the deployment was given up: 0.1.0 stays in green"]);
    shop.expect("0.1.0");
    assert_eq!(shop.runs_in("lab1", "blue"), "");
    shop.windlass(&["cancel", "--yes"]);
    // A proxy that cannot be told stops it before anything is touched.
    colours.fronts[1].hide(true);
    shop.behave("good");
    shop.deploy("0.2.0").expect(1, &["admin.sock", "nothing was touched"]);
    shop.windlass(&["env"]).expect(0, &["who gets the traffic cannot be asked"]);
    colours.fronts[1].hide(false);
    shop.windlass(&["cancel", "--yes"]);
    let test = format!("{}test = [\"sh\", \"-c\", \"echo it is wrong >&2; exit 1\"]\n", colours.environment);
    shop.configure(Colours::setup(&test));
    shop.deploy("0.2.0").expect(1, &["it is wrong", "nothing was touched"]);
    shop.windlass(&["cancel", "--yes"]);
    shop.configure(Colours::setup(&colours.environment));
    expect(customers, &["0.1.0"]);

    let customers = colours.customers();
    shop.deploy("0.2.0").expect(0, &["the traffic to blue, 0.2.0"]);
    shop.expect("0.2.0");
    let ran = shop
        .windlass(&["env"])
        .expect(0, &["lab1  0.2.0 in blue  as deployed", "green has 0.1.0, ready to take the traffic back"]);
    println!("{}", ran.out);
    let green = shop.runs_in("lab2", "green");
    let begin = Instant::now();
    shop.windlass(&["rollback", "--yes"]).expect(6, &["lab1, lab2: the traffic back to green, 0.1.0"]);
    println!("rolled back in {:?}", begin.elapsed());
    shop.expect("0.1.0");
    assert_eq!(shop.runs_in("lab2", "green"), green, "nothing was brought up again");
    println!("{} requests, none failed", expect(customers, &["0.1.0", "0.2.0"]));

    // The colour without traffic is stopped, and the one with it is not.
    let customers = colours.customers();
    shop.repo.file(
        "runbooks/clean.md",
        "---\nname: clean\nskills: [deploy]\n---\n# Clean\n\n## Steps\n\n### 1. Clean\n\n```yaml\nuses: deploy.cleanup\n\
         with: { environment: production }\n```\n",
    );
    shop.repo.commit("feat: clean");
    shop.windlass(&["run", "clean", "--no-wait"]).expect(0, &["blue is stopped"]);
    assert_eq!(shop.runs_in("lab1", "blue"), "");
    shop.windlass(&["env"]).expect(0, &["blue has 0.2.0, stopped", "lab2  0.1.0 in green  as deployed"]);
    expect(customers, &["0.1.0"]);
}

#[test]
fn hosts_change_one_after_the_other_without_a_failed_request() {
    let Some((lab, _turn)) = lab("hosts_change_one_after_the_other_without_a_failed_request") else { return };
    let port = 8145;
    let servers = HOSTS.map(|host| (host, format!("10.231.7.1{}:{port}", host.trim_start_matches("lab"))));
    let front = Front::start(lab, "lab1", "rolling", port + 1, &servers);
    let environment = format!("{}hosts = [\"lab1\"]\n", front.table());
    let setup = Setup { action: "deploy.rolling", environment: &environment, ..Setup::default() };
    let shop = Shop::new(lab, "rolling", port, setup);
    shop.deploy("0.1.0").expect(0, &["lab1: no new requests", "lab1: 0.1.0 comes up"]);
    shop.expect("0.1.0");
    let customers = || {
        let front: SocketAddr = format!("10.231.7.11:{}", port + 1).parse().unwrap();
        [Customers::begin(front, 2), Customers::begin(front, 1)]
    };
    let posting = customers();
    shop.deploy("0.2.0").expect(0, &["lab2: no new requests", "lab2: 0.2.0 comes up"]);
    shop.expect("0.2.0");
    shop.windlass(&["rollback", "--yes"]).expect(6, &["lab1: back to 0.1.0", "lab2: back to 0.1.0"]);
    shop.expect("0.1.0");
    expect(posting, &["0.1.0", "0.2.0"]);
    // What does not become healthy gets no traffic, and goes back with the traffic.
    let posting = customers();
    shop.behave("failing");
    shop.deploy("0.2.0").expect(1, &["the deployment was given up: lab1: back to 0.1.0"]);
    shop.expect("0.1.0");
    expect(posting, &["0.1.0"]);
    shop.windlass(&["cancel", "--yes"]);
    // All at once would leave the proxy without a server.
    shop.behave("good");
    let all = format!("batches = [\"100%\"]\n{environment}");
    shop.configure(Setup { environment: &all, ..setup });
    shop.deploy("0.2.0").expect(1, &["would be changed together", "nothing was touched"]);
    shop.expect("0.1.0");
}
