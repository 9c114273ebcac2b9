//! Traffic that is switched behind a real HAProxy, and does not stay where it cannot be proven: what had it before gets it
//! back, also where Windlass did not deploy it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use windlass_core::plan::StepPath;
use windlass_engine::action::{ActionError, Probe, Undone};
use windlass_testkit::proxies::ask;

use crate::colours::Place;
use crate::standin::with_standins;
use crate::world::action;

/// Somebody who asks the front door again and again.
struct Watcher {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Duration>,
}

impl Watcher {
    fn begin(front: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
            while !is_over.load(Ordering::SeqCst) {
                if ask(front, "/health").is_ok_and(|answer| answer.contains("healthy")) {
                    longest = longest.max(last.elapsed());
                    last = Instant::now();
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            longest.max(last.elapsed())
        });
        Self { stop, thread }
    }

    /// The longest time without a good answer.
    fn end(self) -> Duration {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}

/// Waits until this was logged.
async fn is_logged(place: &Place, text: &str) {
    let waiting = async {
        while !place.setting.log.text().contains(text) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap();
}

/// HAProxy looks for green where nobody is, while it answers where Windlass asks it.
fn lose_green(place: &mut Place) {
    place.shop.proxy.down();
    let config = place.shop.proxy.config();
    let text = std::fs::read_to_string(&config).unwrap();
    let (right, wrong) = ("server green 127.0.0.1:", "server green 127.0.0.2:");
    assert!(text.contains(right));
    std::fs::write(&config, text.replace(right, wrong)).unwrap();
    place.shop.proxy.up().unwrap();
}

#[tokio::test]
async fn what_nobody_deployed_gets_its_traffic_back_when_a_switch_is_not_proven() {
    let mut place = Place::new();
    place.by_hand("blue", "0.9.0");
    lose_green(&mut place);
    let told = place.deploy("one", "1.0.0", json!({})).await.unwrap_err().to_string();
    assert!(place.shop.answers().contains("0.9.0"), "{} after {told}", place.shop.answers());
    assert!(!place.shop.line("blue").contains("disabled") && place.shop.line("green").contains("disabled"));
    let expect = "given up: the traffic stays in blue, where 0.9.0 answers, which Windlass did not deploy";
    assert!(told.contains(expect), "{told}");
    assert_eq!((place.record(), place.shop.holds("green")), (Value::Null, None));
}

#[tokio::test]
async fn what_nobody_deployed_gets_its_traffic_back_when_a_deployment_is_taken_back() {
    let place = Place::new();
    place.by_hand("blue", "0.9.0");
    let customers = place.shop.customers();
    let one = place.deploy("one", "1.0.0", json!({})).await.unwrap();
    assert!(place.shop.answers().contains("1.0.0"));
    let undone = place.undo("one", "1.0.0", &one).await;
    let expect = "this machine: the traffic back to blue, where 0.9.0 answers, which Windlass did not deploy";
    assert_eq!(undone, Undone::Reverted(expect.into()));
    assert!(place.shop.answers().contains("0.9.0"));
    assert_eq!(customers.end().bad, Vec::<String>::new());
    assert_eq!((place.record(), place.shop.holds("green"), place.is_locked()), (Value::Null, None, false));
    assert_eq!(place.undo("one", "1.0.0", &one).await, Undone::NothingToDo);
    // Deployed again, what it left does not count any more: nothing answers in blue, so there is no way back to it.
    let two = place.deploy("two", "1.1.0", json!({})).await.unwrap();
    place.by_hand("blue", "");
    let Undone::NeedsHuman(told) = place.undo("two", "1.1.0", &two).await else {
        panic!("it went back to nothing")
    };
    assert!(
        told.contains("blue") && told.contains("503") && told.contains("1.1.0 keeps the traffic"),
        "{told}"
    );
    assert!(place.shop.answers().contains("1.1.0"));
}

/// Wherever a process died in the middle of the switch, what had the traffic before is known.
#[tokio::test]
async fn what_had_the_traffic_before_is_known_after_a_crash() {
    for is_given_up in [false, true] {
        let place = Place::new();
        place.by_hand("blue", "0.9.0");
        let mut proxy = place.shop.params(json!({}))["target"]["proxy"].clone();
        (proxy["shift"], proxy["shift_every"]) = (json!([10, 100]), json!("60s"));
        let more = json!({ "target": { "proxy": proxy } });
        let params = place.shop.version("1.0.0", more.clone());
        let (context, of_deploying) = (place.context("one"), params.clone());
        let deploying =
            tokio::spawn(async move { action("deploy.blue_green").run(&of_deploying, &context).await });
        is_logged(&place, "10 % of the traffic to green").await;
        deploying.abort();
        assert!(deploying.await.unwrap_err().is_cancelled());
        assert_eq!(place.record()["state"], "switching");
        if is_given_up {
            // The next process of the run cannot bring it up any more.
            let mut broken = more.clone();
            broken["run"] = json!("exit 3");
            place.by_hand("green", "");
            let told = place.deploy("one", "1.0.0", broken).await.unwrap_err().to_string();
            assert!(told.contains("given up: the traffic stays in blue, where 0.9.0 answers"), "{told}");
        } else {
            let mut back = place.context("one");
            back.path = StepPath::new(format!("undo/{}", back.path.0));
            let blue_green = action("deploy.blue_green");
            let Probe::Done(output) = blue_green.probe(&params, &back).await.unwrap() else {
                panic!("nothing")
            };
            let undone = blue_green.undo(&params, &output, &back).await.unwrap();
            let Undone::Reverted(told) = undone else { panic!("{undone:?}") };
            assert!(told.contains("the traffic back to blue, where 0.9.0 answers"), "{told}");
        }
        assert!((0..20).all(|_| place.shop.answers().contains("0.9.0")), "{is_given_up}");
        assert!(!place.shop.line("blue").contains("disabled"), "{}", place.shop.line("blue"));
        assert!(place.shop.line("green").contains("disabled"), "{}", place.shop.line("green"));
        assert_eq!((place.record(), place.is_locked()), (Value::Null, false));
    }
}

/// Somebody else's deployment was left in the middle: what customers had before both is neither's to be overwritten.
#[tokio::test]
async fn the_next_deployment_does_not_take_the_colour_that_customers_had() {
    let place = Place::new();
    place.by_hand("blue", "0.9.0");
    let mut proxy = place.shop.params(json!({}))["target"]["proxy"].clone();
    (proxy["shift"], proxy["shift_every"]) = (json!([10, 100]), json!("60s"));
    let params = place.shop.version("1.0.0", json!({ "target": { "proxy": proxy } }));
    let context = place.context("one");
    let deploying = tokio::spawn(async move { action("deploy.blue_green").run(&params, &context).await });
    is_logged(&place, "10 % of the traffic to green").await;
    deploying.abort();
    let _ended = deploying.await;
    let folder = place.setting.repo.outside().join("state/environments/production/.windlass");
    std::fs::remove_file(folder.join("lock")).unwrap();
    let customers = place.shop.customers();
    let told = place.deploy("two", "1.1.0-broken", json!({})).await.unwrap_err().to_string();
    assert!(told.contains("given up: the traffic stays in blue, where 0.9.0 answers"), "{told}");
    assert!(place.shop.answers().contains("0.9.0"));
    let two = place.deploy("two", "1.1.0", json!({})).await.unwrap();
    assert_eq!(two["colour"], "green");
    assert_eq!(place.shop.holds("blue").as_deref(), Some("0.9.0"));
    assert_eq!(customers.end().bad, Vec::<String>::new());
    let undone = place.undo("two", "1.1.0", &two).await;
    assert!(matches!(&undone, Undone::Reverted(told) if told.contains("0.9.0 answers")), "{undone:?}");
    assert!(place.shop.answers().contains("0.9.0"));
}

#[tokio::test]
async fn a_switch_that_is_not_proven_is_back_within_seconds() {
    for shift in [json!([100]), json!([50, 100])] {
        let mut place = Place::new();
        place.deploy("zero", "0.9.0", json!({})).await.unwrap();
        place.deploy("one", "1.0.0", json!({})).await.unwrap();
        lose_green(&mut place);
        assert!(place.shop.answers().contains("1.0.0"));
        let mut proxy = place.shop.params(json!({}))["target"]["proxy"].clone();
        (proxy["shift"], proxy["shift_every"]) = (shift.clone(), json!("30s"));
        let watcher = Watcher::begin(place.shop.proxy.front);
        let begin = Instant::now();
        let more = json!({ "ready": "30s", "target": { "proxy": proxy } });
        let error = place.deploy("two", "1.1.0", more).await.unwrap_err();
        let took = begin.elapsed();
        assert!(place.shop.answers().contains("1.0.0"), "{shift}");
        let longest = watcher.end();
        println!("{shift}: given up after {took:?}, and {longest:?} without a good answer: {error}");
        assert!(error.to_string().contains("given up: 1.0.0 stays in blue"), "{error}");
        // The proof may take 5 s, and HAProxy tries a server that is not there for 3 s.
        assert!(took < Duration::from_secs(15), "{shift}: {took:?}");
        assert!(longest < Duration::from_secs(10), "{shift}: {longest:?}");
    }
}

#[tokio::test]
async fn a_version_that_is_not_told_gets_no_traffic() {
    let place = Place::new();
    place.deploy("one", "1.0.0", json!({})).await.unwrap();
    let customers = place.shop.customers();
    let run = |form: &str| json!(format!("echo \"{form}$WINDLASS_VERSION\" > \"$WINDLASS_COLOUR\""));
    for version in [json!(null), json!("$.version"), json!("header:X-Version")] {
        let more = json!({ "run": run("silent-"), "target": { "version": version } });
        let error = place.deploy("two", "1.1.0", more).await.unwrap_err();
        let told = error.to_string();
        assert!(matches!(error, ActionError::Final(_)), "{error:?}");
        for expect in
            ["without its version", "X-Version: 1.1.0", "version = \"none\"", "1.0.0 stays in green"]
        {
            assert!(told.contains(expect), "{version}: no {expect} in {told}");
        }
    }
    let tally = customers.end();
    assert_eq!(tally.bad, Vec::<String>::new());
    assert_eq!(tally.versions.keys().collect::<Vec<_>>(), ["1.0.0"], "no other ever had traffic");
    // A header tells it as well as a body does, and a wrong one is as wrong.
    for version in [json!(null), json!("header:X-Version")] {
        let more = json!({ "run": run("header-9"), "target": { "version": version } });
        let told = place.deploy("two", "1.1.0", more).await.unwrap_err().to_string();
        assert!(told.contains("the version \"91.1.0\", not 1.1.0"), "{told}");
    }
    let more = json!({ "run": run("header-"), "target": { "version": null } });
    let two = place.deploy("two", "1.1.0", more).await.unwrap();
    assert_eq!(two["colour"], "blue");
    // Who says that it cannot be told gets it without.
    let more = json!({ "run": run("silent-"), "target": { "version": "none" } });
    let params = place.shop.version("1.2.0", more.clone());
    let label = action("deploy.blue_green").label(&params, &place.setting.facts());
    assert!(label.ends_with("proven by its health alone"), "{label}");
    place.deploy("three", "1.2.0", more).await.unwrap();
    assert_eq!(place.shop.holds("green").as_deref(), Some("silent-1.2.0"));
    let log = place.setting.log.text();
    assert!(log.contains("that the health check passes is all that is proven"), "{log}");
}

#[tokio::test]
async fn traffic_does_not_stay_between_the_colours_when_a_host_dies() {
    // The proxy is elsewhere, and on each host: then one dies with the host.
    for (hosts, front, dies) in [(&["web1"][..], &["front"][..], "web1"), (&["web1", "web2"], &[], "web2")] {
        let Place { shop, setting } = Place::new();
        let place = Place { shop, setting: with_standins(setting) };
        let mut proxy = place.shop.params(json!({}))["target"]["proxy"].clone();
        (proxy["hosts"], proxy["server"]) = (json!(front), json!("{colour}"));
        (proxy["shift"], proxy["shift_every"]) = (json!([50, 100]), json!("2s"));
        let more = json!({ "target": { "proxy": proxy, "hosts": hosts, "folder": "/srv/shop" } });
        place.deploy("one", "1.0.0", more.clone()).await.unwrap();
        let params = place.shop.version("1.1.0", more);
        let context = place.context("two");
        let deploying = tokio::spawn(async move { action("deploy.blue_green").run(&params, &context).await });
        is_logged(&place, "50 % of the traffic to blue").await;
        std::fs::write(place.setting.repo.outside().join(format!("{dies}.down")), "").unwrap();
        let told = deploying.await.unwrap().unwrap_err().to_string();
        let expect = format!("1.0.0 stays in green; {dies} cannot be reached, and keeps what it has");
        assert!(told.contains(&expect), "{told}");
        let is_out = |colour: &str| place.shop.line(colour).contains("disabled");
        assert!(!is_out("green") && is_out("blue"));
        assert!(place.shop.answers().contains("1.0.0"));
        if dies == "web2" {
            // What was left alive is whole again.
            let record = place.setting.repo.outside().join("web1/shop/.windlass/record.json");
            let record: Value = serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
            assert_eq!((&record["version"], &record["state"]), (&json!("1.0.0"), &json!("live")));
        }
    }
}
