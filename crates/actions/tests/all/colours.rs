//! Blue and green behind a real HAProxy on this machine: an environment without hosts, brought up by scripts.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use windlass_core::plan::StepPath;
use windlass_core::run::RunId;
use windlass_engine::action::{ActionError, Probe, Undone};
use windlass_engine::context::Context;
use windlass_testkit::proxies::{Kind, Running};
use windlass_testkit::repo::RepoBuilder;
use windlass_testkit::versions::{Customers, Versioned};

use crate::world::{Setting, action};

const RUN: &str = r#"echo "$WINDLASS_VERSION $WINDLASS_COLOUR" >> ../log
echo "$WINDLASS_VERSION" > "$WINDLASS_COLOUR.new"
mv "$WINDLASS_COLOUR.new" "$WINDLASS_COLOUR""#;
const STOP: &str = "rm -f \"$WINDLASS_COLOUR\"";

/// The proxy, and the two servers behind it.
pub struct Shop {
    pub proxy: Running,
    folder: PathBuf,
}

impl Shop {
    /// What runs in each colour stands in a file of that name in `folder`.
    pub fn start(folder: &Path) -> Self {
        Self::behind(Kind::Haproxy, folder)
    }

    /// The same behind another proxy.
    pub fn behind(kind: Kind, folder: &Path) -> Self {
        let [blue, green] = ["blue", "green"].map(|name| Versioned::start(&folder.join(name)).unwrap().port);
        Self { proxy: Running::start(kind, blue, green).unwrap(), folder: folder.to_owned() }
    }

    /// The environment, and how a colour is brought up and stopped.
    pub fn params(&self, more: Value) -> Value {
        let (test, reload) = self.proxy.commands();
        let mut params = json!({
            "environment": "production",
            "run": RUN,
            "stop": STOP,
            "ready": "1s",
            "target": {
                "url": format!("http://127.0.0.1:{}", self.proxy.front),
                "health": "/health",
                "version": "$.version",
                "proxy": {
                    "kind": self.proxy.kind.name(), "backend": "shop", "config": self.proxy.config(),
                    "ports": { "blue": self.proxy.servers.0, "green": self.proxy.servers.1 }, "test": test,
                    "reload": reload, "drain": "2s",
                },
            },
        });
        if self.proxy.kind != Kind::Nginx {
            params["target"]["proxy"]["socket"] = self.proxy.socket().into();
        }
        for (key, value) in more.as_object().unwrap() {
            match params[key].is_object() {
                true => {
                    for (inner, value) in value.as_object().unwrap() {
                        params[key][inner] = value.clone();
                    }
                }
                false => params[key] = value.clone(),
            }
        }
        params
    }

    pub fn version(&self, version: &str, more: Value) -> Value {
        let mut params = self.params(more);
        (params["version"], params["tag"]) = (json!(version), json!(format!("v{version}")));
        params
    }

    /// Parameters of `deploy.cleanup`.
    pub fn cleanup(&self) -> Value {
        let params = self.params(json!({}));
        json!({ "environment": "production", "target": params["target"], "stop": STOP, "run": RUN })
    }

    /// What the proxy's file says about its servers.
    pub fn servers(&self) -> [String; 2] {
        ["blue", "green"].map(|colour| self.line(colour))
    }

    /// What runs in a colour.
    pub fn holds(&self, colour: &str) -> Option<String> {
        Some(std::fs::read_to_string(self.folder.join(colour)).ok()?.trim().to_owned())
    }

    /// What customers get.
    pub fn answers(&self) -> String {
        windlass_testkit::proxies::ask(self.proxy.front, "/health").unwrap()
    }

    pub fn customers(&self) -> Customers {
        Customers::begin(([127, 0, 0, 1], self.proxy.front).into(), 4)
    }

    /// What the file says about a server.
    pub fn line(&self, colour: &str) -> String {
        let text = std::fs::read_to_string(self.proxy.config()).unwrap();
        let text = text.split("\nbackend shop").nth(1).unwrap().to_owned();
        text.lines().find(|line| line.contains(&format!("server {colour}"))).unwrap().to_owned()
    }
}

/// The shop's environment, and the checkout it is deployed from.
pub struct Place {
    pub shop: Shop,
    pub setting: Setting,
}

impl Place {
    pub fn new() -> Self {
        Self::behind(Kind::Haproxy)
    }

    pub fn behind(kind: Kind) -> Self {
        let repo = RepoBuilder::new();
        repo.file("README.md", "x").commit("feat: begin");
        let shop = Shop::behind(kind, repo.path());
        Self { shop, setting: Setting::new(repo) }
    }

    /// Somebody brings a version up by hand in a colour: Windlass knows nothing of it.
    pub fn by_hand(&self, colour: &str, version: &str) {
        std::fs::write(self.shop.folder.join(colour), version).unwrap();
    }

    pub fn context(&self, run: &str) -> Context {
        let mut context = self.setting.context();
        context.run = RunId(run.into());
        context
    }

    pub async fn deploy(&self, run: &str, version: &str, more: Value) -> Result<Value, ActionError> {
        let params = self.shop.version(version, more);
        action("deploy.blue_green").run(&params, &self.context(run)).await
    }

    pub async fn undo(&self, run: &str, version: &str, output: &Value) -> Undone {
        let params = self.shop.version(version, json!({}));
        action("deploy.blue_green").undo(&params, output, &self.context(run)).await.unwrap()
    }

    /// What was brought up, and where.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.setting.repo.path().join("../log")).unwrap()
    }

    pub fn record(&self) -> Value {
        let path = self.setting.repo.outside().join("state/environments/production/.windlass/record.json");
        std::fs::read(path).map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap())
    }

    pub fn is_locked(&self) -> bool {
        self.setting.repo.outside().join("state/environments/production/.windlass/lock").exists()
    }
}

#[tokio::test]
async fn traffic_goes_to_the_new_colour_and_back_without_a_failed_request() {
    let place = Place::new();
    let one = place.deploy("one", "1.0.0", json!({})).await.unwrap();
    // HAProxy gave blue the traffic, and there is no record: that is left alone while green is made.
    assert_eq!(
        (&one["colour"], &one["previous"], &one["changed"]),
        (&json!("green"), &Value::Null, &json!(true))
    );
    let customers = place.shop.customers();
    let two = place.deploy("two", "1.1.0", json!({ "validate": "test \"$(cat $WINDLASS_COLOUR)\" = 1.1.0" }));
    let two = two.await.unwrap();
    assert_eq!((&two["colour"], &two["previous"]), (&json!("blue"), &json!("1.0.0")));
    assert!(place.shop.answers().contains("1.1.0"));
    assert_eq!(place.shop.holds("green").as_deref(), Some("1.0.0"), "the version before stays hot");
    let idle = json!({ "colour": "green", "version": "1.0.0", "hot": true });
    let record = place.record();
    assert_eq!(
        (&record["state"], &record["colour"], &record["idle"]),
        (&json!("live"), &json!("blue"), &idle)
    );
    assert!(place.shop.line("green").contains("disabled") && !place.shop.line("blue").contains("disabled"));
    // Twice is once.
    let again = place.deploy("two", "1.1.0", json!({})).await.unwrap();
    assert_eq!(again["changed"], false);
    // Back at once: nothing is brought up again.
    let log = place.log();
    let undone = place.undo("two", "1.1.0", &two).await;
    assert_eq!(undone, Undone::Reverted("this machine: the traffic back to green, 1.0.0".into()));
    assert!(place.shop.answers().contains("1.0.0"));
    assert_eq!(place.log(), log);
    assert_eq!(place.undo("two", "1.1.0", &two).await, Undone::NothingToDo);
    let tally = customers.end();
    assert_eq!(tally.bad, Vec::<String>::new(), "of {} requests", tally.good);
    assert_eq!(tally.versions.keys().collect::<Vec<_>>(), ["1.0.0", "1.1.0"]);
    assert!(!place.is_locked());
    // What was in blue before the first is not there any more, and a version that was taken back is no place to go to.
    let Undone::NeedsHuman(told) = place.undo("one", "1.0.0", &one).await else {
        panic!("it went somewhere")
    };
    assert!(told.contains("made room for 1.1.0") && told.contains("1.0.0 keeps the traffic"), "{told}");
    assert!(place.shop.answers().contains("1.0.0"));
}

#[tokio::test]
async fn the_way_back_from_the_first_leads_to_nothing() {
    let place = Place::new();
    let one = place.deploy("one", "1.0.0", json!({})).await.unwrap();
    let undone = place.undo("one", "1.0.0", &one).await;
    assert_eq!(undone, Undone::Reverted("this machine: empty again, as before".into()));
    assert_eq!((place.record(), place.shop.holds("green")), (Value::Null, None));
}

#[tokio::test]
async fn a_version_that_is_not_proven_never_gets_traffic() {
    let place = Place::new();
    place.deploy("one", "1.0.0", json!({})).await.unwrap();
    let customers = place.shop.customers();
    for (version, more, expect) in [
        ("1.1.0-broken", json!({}), "answered 500"),
        ("1.1.0", json!({ "validate": "echo wrong >&2; exit 4" }), "exit code 4: wrong"),
        ("1.1.0", json!({ "run": "echo 9.9.9 > $WINDLASS_COLOUR" }), "version \"9.9.9\", not 1.1.0"),
        ("1.1.0", json!({ "run": "exit 3" }), "exit code 3"),
    ] {
        let error = place.deploy("two", version, more.clone()).await.unwrap_err();
        let told = error.to_string();
        assert!(told.contains(expect) && told.contains("given up: 1.0.0 stays in green"), "{more}: {told}");
        assert!(matches!(error, ActionError::Final(_)), "{error:?}");
        let record = place.record();
        assert_eq!(
            (&record["version"], &record["state"], &record["run"]),
            (&json!("1.0.0"), &json!("live"), &json!("one"))
        );
        assert_eq!((place.shop.holds("blue"), place.is_locked()), (None, false));
    }
    let held =
        place.deploy("two", "1.1.0-broken", json!({ "target": { "on_abort": "hold" } })).await.unwrap_err();
    assert!(held.to_string().contains("blue stays up without traffic"), "{held}");
    assert_eq!((&place.record()["state"], place.shop.holds("blue").is_some()), (&json!("failed"), true));
    place.deploy("two", "1.1.0", json!({})).await.unwrap();
    let tally = customers.end();
    assert_eq!(tally.bad, Vec::<String>::new());
    assert_eq!(tally.versions.keys().collect::<Vec<_>>(), ["1.0.0", "1.1.0"], "no other ever had traffic");
}

#[tokio::test]
async fn a_proxy_that_is_gone_or_refuses_leaves_the_traffic_where_it_was() {
    let mut place = Place::new();
    place.deploy("one", "1.0.0", json!({})).await.unwrap();
    // Refused before anything is touched.
    let refused = json!({ "target": { "proxy": place.shop.params(json!({}))["target"]["proxy"].clone() } });
    let with = |key: &str, value: Value| {
        let mut more = refused.clone();
        more["target"]["proxy"][key] = value;
        more
    };
    for (more, expect) in [
        (with("socket", json!("/nowhere/admin.sock")), "/nowhere/admin.sock"),
        (with("backend", json!("shpo")), "did you mean `shop`?"),
        (with("test", json!(["sh", "-c", "echo 'it is wrong' >&2; exit 1"])), "it is wrong"),
    ] {
        let told = place.deploy("two", "1.1.0", more).await.unwrap_err().to_string();
        assert!(told.contains(expect) && told.contains("nothing was touched"), "{told}");
        assert_eq!((place.shop.holds("blue"), &place.record()["version"]), (None, &json!("1.0.0")));
    }
    // Refused in the middle: the configuration passes while it is as it was, and not once blue is to have traffic.
    let config = place.shop.proxy.config().display().to_string();
    let test = json!([
        "sh",
        "-c",
        "! grep -q 'server green.*disabled' \"$0\" || { echo refused >&2; exit 1; }",
        config
    ]);
    let customers = place.shop.customers();
    let told = place.deploy("two", "1.1.0", with("test", test)).await.unwrap_err().to_string();
    assert!(told.contains("refused") && told.contains("given up: 1.0.0 stays in green"), "{told}");
    assert!(place.shop.answers().contains("1.0.0"));
    assert_eq!(&place.record()["state"], "live");
    let tally = customers.end();
    assert_eq!(tally.bad, Vec::<String>::new());
    // The proxy dies between the proof and the switch. Nobody can say who would get traffic, and that is told.
    let socket = place.shop.proxy.socket();
    let gone = json!({ "validate": format!("mv {socket} {socket}.away") });
    let told = place.deploy("three", "1.2.0", gone).await.unwrap_err().to_string();
    assert!(told.contains("could not be taken back") && told.contains("windlass retry"), "{told}");
    assert_eq!(&place.record()["state"], "reverting");
    std::fs::rename(format!("{socket}.away"), &socket).unwrap();
    place.deploy("three", "1.2.0", json!({})).await.unwrap();
    assert!(place.shop.answers().contains("1.2.0"));
    place.shop.proxy.down();
}

#[tokio::test]
async fn traffic_is_moved_by_ascending_shares() {
    let place = Place::new();
    place.deploy("one", "1.0.0", json!({})).await.unwrap();
    let customers = place.shop.customers();
    let shares = json!({ "shift": [10, 50, 100], "shift_every": "300ms" });
    let mut proxy = place.shop.params(json!({}))["target"]["proxy"].clone();
    for (key, value) in shares.as_object().unwrap() {
        proxy[key] = value.clone();
    }
    place.deploy("two", "1.1.0", json!({ "target": { "proxy": proxy } })).await.unwrap();
    let log = place.setting.log.text();
    let place_of = |text: &str| log.find(text).unwrap_or_else(|| panic!("no {text} in {log}"));
    let order = ["10 % of the traffic to blue", "50 % of the traffic to blue", "the traffic to blue, 1.1.0"];
    assert!(order.map(place_of).is_sorted(), "{log}");
    let tally = customers.end();
    assert_eq!(tally.bad, Vec::<String>::new());
    assert!(place.shop.answers().contains("1.1.0"));
}

/// Wherever a process died, the next one of the same run goes on to one colour, or back to it.
#[tokio::test]
async fn whoever_comes_after_a_crash_ends_with_one_colour() {
    let place = Place::new();
    place.deploy("one", "1.0.0", json!({})).await.unwrap();
    let two = place.deploy("two", "1.1.0", json!({})).await.unwrap();
    let folder = place.setting.repo.outside().join("state/environments/production/.windlass");
    let live = place.record();
    for state in ["updating", "updated", "switching", "reverting", "failed", "withdrawn"] {
        let customers = place.shop.customers();
        let mut record = live.clone();
        record["state"] = json!(state);
        std::fs::write(folder.join("record.json"), format!("{record}\n")).unwrap();
        let probed = action("deploy.blue_green")
            .probe(&place.shop.version("1.1.0", json!({})), &place.context("two"))
            .await
            .unwrap();
        assert_eq!(probed, Probe::Absent, "{state}");
        place.deploy("two", "1.1.0", json!({})).await.unwrap_or_else(|error| panic!("{state}: {error}"));
        assert!(place.shop.answers().contains("1.1.0"), "{state}");
        let record = place.record();
        assert_eq!((&record["state"], &record["colour"]), (&json!("live"), &json!("blue")), "{state}");
        let tally = customers.end();
        assert_eq!(tally.bad, Vec::<String>::new(), "{state}");
    }
    // Stopped meanwhile, the version before is brought up before it gets traffic.
    let cleanup = action("deploy.cleanup");
    let params = place.shop.cleanup();
    let mut blue = params.clone();
    blue["colour"] = json!("blue");
    let told = cleanup.run(&blue, &place.context("clean")).await.unwrap_err().to_string();
    assert!(told.contains("blue has the traffic, by the record of this machine"), "{told}");
    let output = cleanup.run(&params, &place.context("clean")).await.unwrap();
    assert_eq!((&output["stopped"], &output["version"]), (&json!("green"), &json!("1.0.0")));
    assert_eq!((place.shop.holds("green"), &place.record()["idle"]["hot"]), (None, &json!(false)));
    let customers = place.shop.customers();
    let undone = place.undo("two", "1.1.0", &two).await;
    assert_eq!(undone, Undone::Reverted("this machine: the traffic back to green, 1.0.0".into()));
    assert_eq!(customers.end().bad, Vec::<String>::new());
    // What nobody finished is not cleaned up.
    let mut record = place.record();
    record["state"] = json!("switching");
    std::fs::write(folder.join("record.json"), format!("{record}\n")).unwrap();
    let told = cleanup.run(&params, &place.context("clean")).await.unwrap_err().to_string();
    assert!(told.contains("did not come to its end"), "{told}");
}

/// Wherever a process died, the way back leaves the traffic where it was before, and no lock.
#[tokio::test]
async fn a_deployment_that_stopped_half_way_is_taken_back() {
    let place = Place::new();
    place.deploy("one", "1.0.0", json!({})).await.unwrap();
    let folder = place.setting.repo.outside().join("state/environments/production/.windlass");
    let blue_green = action("deploy.blue_green");
    let params = place.shop.version("1.1.0", json!({}));
    let mut back = place.context("two");
    back.path = StepPath::new(format!("undo/{}", back.path.0));
    assert_eq!(blue_green.probe(&params, &back).await.unwrap(), Probe::Absent, "nothing was begun");
    let customers = place.shop.customers();
    for state in ["updating", "updated", "switching", "reverting", "failed", "withdrawn"] {
        place.deploy("two", "1.1.0", json!({})).await.unwrap();
        let mut record = place.record();
        record["state"] = json!(state);
        std::fs::write(folder.join("record.json"), format!("{record}\n")).unwrap();
        let lock = format!("two\n1\n{}\n99999999999\n1\nprocess 1 on ci\n", record["fence"]);
        std::fs::write(folder.join("lock"), lock).unwrap();
        let Probe::Done(output) = blue_green.probe(&params, &back).await.unwrap() else { panic!("{state}") };
        let undone = blue_green.undo(&params, &output, &back).await.unwrap();
        assert_eq!(
            (undone, place.is_locked()),
            (Undone::Reverted("this machine: the traffic back to green, 1.0.0".into()), false),
            "{state}"
        );
        assert!(place.shop.answers().contains("1.0.0"), "{state}");
        // What was proven and had the traffic stays; nothing else does.
        let is_whole = state == "withdrawn";
        let record = place.record();
        assert_eq!(
            (&record["state"], &record["run"], &record["idle"]["hot"]),
            (&json!("live"), &json!("one"), &json!(is_whole)),
            "{state}"
        );
        assert_eq!(place.shop.holds("blue").is_some(), is_whole, "{state}");
    }
    assert_eq!(customers.end().bad, Vec::<String>::new());
}

/// A server that answers well need not be the version before: what failed may still run in its colour.
#[tokio::test]
async fn traffic_never_goes_back_to_what_nobody_knows() {
    let place = Place::new();
    let run = RUN.replace("\"$WINDLASS_VERSION\" >", "\"silent-$WINDLASS_VERSION\" >");
    let silent = json!({ "run": run, "target": { "version": "none" } });
    place.deploy("one", "1.0.0", silent.clone()).await.unwrap();
    let two = place.deploy("two", "1.1.0", silent.clone()).await.unwrap();
    for (idle, expect) in [
        (json!({ "colour": "green", "version": "1.0.0", "hot": true }), false),
        (json!({ "colour": "green", "version": "1.2.0", "hot": true }), true),
        (json!({ "colour": "green", "version": "1.0.0", "hot": false }), true),
    ] {
        let folder = place.setting.repo.outside().join("state/environments/production/.windlass");
        let live = place.record();
        let mut record = live.clone();
        record["idle"] = idle.clone();
        std::fs::write(folder.join("record.json"), format!("{record}\n")).unwrap();
        let log = place.log();
        let params = place.shop.version("1.1.0", silent.clone());
        let undone = action("deploy.blue_green").undo(&params, &two, &place.context("two")).await.unwrap();
        assert!(matches!(undone, Undone::Reverted(_)), "{undone:?}");
        assert_eq!(place.log() != log, expect, "brought up again: {idle}");
        place.deploy("two", "1.1.0", silent.clone()).await.unwrap();
    }
}

#[tokio::test]
async fn a_version_that_was_deployed_twice_is_left_for_the_one_before_it() {
    let place = Place::new();
    // Such as with rotated credentials: the second time takes the colour of the version before.
    for (run, version) in [("one", "1.0.0"), ("two", "1.1.0"), ("three", "1.1.0")] {
        place.deploy(run, version, json!({})).await.unwrap();
    }
    assert_eq!(place.shop.holds("green").as_deref(), Some("1.1.0"));
    let target = &place.shop.params(json!({}))["target"];
    let choose = json!({ "environment": "production", "target": target });
    let chosen = action("rollback.choose").run(&choose, &place.context("back")).await.unwrap();
    assert_eq!((&chosen["way"], &chosen["to"]), (&json!("application"), &json!("1.0.0")), "{chosen}");
    let back = json!({
        "environment": "production", "target": target, "version": "1.0.0", "run": RUN, "ready": "2s",
    });
    action("deploy.previous").run(&back, &place.context("back")).await.unwrap();
    assert!(place.shop.answers().contains("1.0.0"));
    assert_eq!(
        (place.record()["version"].as_str(), place.shop.holds("blue").as_deref()),
        (Some("1.0.0"), Some("1.0.0"))
    );
}
