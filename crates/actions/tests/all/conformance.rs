//! What every action promises, checked in a loop over all of them: a new action must have a fixture here.

use serde_json::{Value, json};
use windlass_core::forge::Kind;
use windlass_core::plan::Effect;
use windlass_engine::action::{Probe, Undone};
use windlass_testkit::forges::ForgeEmulator;
use windlass_testkit::grafana::GrafanaEmulator;
use windlass_testkit::repo::RepoBuilder;

use crate::server::Server;
use crate::world::{SECRET, Setting, action};

const CARGO: &str = "[package]\nname = \"sample\"\nversion = \"0.1.0\"\n";
const CHANGELOG: &str = "# Changelog\n\n## [Unreleased]\n\n## [0.1.0] - 2026-01-01\n\n### Added\n\n- Begin\n";

struct Fixture {
    setting: Setting,
    params: Value,
    /// Taking it back needs a person.
    by_hand: bool,
    /// It cannot tell whether it was done.
    blind: bool,
    /// What it made is kept when it is taken back.
    keeps: bool,
    /// The service that the environment has, where it needs one.
    shop: Option<crate::colours::Shop>,
    /// The registry that the images are in, where it needs one.
    registry: Option<crate::registry::Registry>,
}

async fn fixture(name: &str, server: &Server) -> Fixture {
    let repo = RepoBuilder::new();
    repo.file("Cargo.toml", CARGO).file("CHANGELOG.md", CHANGELOG).commit("feat: begin");
    repo.tag("v0.1.0").remote();
    let setting = Setting::releasing(repo);
    let repo = &setting.repo;
    let (mut by_hand, mut blind, keeps) = (false, false, false);
    let params = match name {
        "git.branch" => json!({ "name": "release/0.2.0" }),
        "git.commit" => {
            repo.file("Cargo.toml", "changed").file("untracked", "x");
            json!({ "message": "chore: release 0.2.0" })
        }
        "git.merge" => {
            repo.git(&["switch", "--quiet", "--create", "topic"]);
            repo.file("topic", "x").commit("feat: topic");
            repo.git(&["switch", "--quiet", "main"]);
            json!({ "from": "topic", "into": "main" })
        }
        "git.tag" => json!({}),
        "git.push" => {
            repo.file("new", "x").commit("feat: new");
            repo.tag("v0.2.0");
            by_hand = true;
            json!({ "annotate": true })
        }
        "forge.release" => {
            repo.tag("v0.2.0").git(&["push", "--quiet", "origin", "v0.2.0"]);
            let forge = ForgeEmulator::start(Kind::GitHub, "acme/app", &repo.remote_path(), SECRET);
            let params = json!({ "token": "TOKEN", "forge": forge.project() });
            let setting =
                Setting { also: Some(Box::new(move || format!("{:?}", forge.releases()))), ..setting };
            return Fixture { setting, params, by_hand, blind, keeps, shop: None, registry: None };
        }
        "forge.withdraw" | "forge.adoption" => {
            let forge = ForgeEmulator::start(Kind::GitHub, "acme/app", &repo.remote_path(), SECRET);
            forge.add("v0.1.0", "v0.1.0", "# Notes", false);
            let blind = name == "forge.adoption";
            let mut params = json!({ "tag": "v0.1.0", "token": "TOKEN", "forge": forge.project() });
            if !blind {
                params["warning"] = json!("Go back.");
            }
            let setting =
                Setting { also: Some(Box::new(move || format!("{:?}", forge.releases()))), ..setting };
            return Fixture { setting, params, by_hand, blind, keeps, shop: None, registry: None };
        }
        "version.write" => json!({ "holders": [{ "path": "Cargo.toml", "version": "0.1.0" }] }),
        "changelog.promote" => json!({}),
        "notes.write" => json!({ "output": "notes/RELEASE.md" }),
        "script" => json!({
            "language": "bash",
            "text": "touch done; echo \"URL=https://x\" >> $WINDLASS_OUTPUT",
            "probe": "test -e done && echo URL=https://x >> $WINDLASS_OUTPUT",
            "undo": "rm -f done",
        }),
        "file.stamp" => {
            repo.file("STAMP", "").commit("chore: make room for a stamp");
            json!({ "path": "STAMP" })
        }
        "deploy.blue_green" => {
            let shop = crate::colours::Shop::start(repo.path());
            let params = shop.params(json!({}));
            return Fixture { setting, params, by_hand, blind, keeps, shop: Some(shop), registry: None };
        }
        "deploy.cleanup" => {
            let shop = crate::colours::Shop::start(repo.path());
            for version in ["0.1.0", "0.2.0"] {
                let params = shop.version(version, json!({}));
                setting.run("deploy.blue_green", &params).await.unwrap();
            }
            let params = shop.cleanup();
            return Fixture { setting, params, by_hand, blind, keeps, shop: Some(shop), registry: None };
        }
        "deploy.previous" | "rollback.choose" => {
            let shop = crate::colours::Shop::start(repo.path());
            for version in ["0.1.0", "0.2.0"] {
                let params = shop.version(version, json!({}));
                setting.run("deploy.blue_green", &params).await.unwrap();
            }
            let (mut params, chooses) = (shop.version("0.1.0", json!({})), name == "rollback.choose");
            let fields = params.as_object_mut().unwrap();
            fields.retain(|key, _| match chooses {
                true => matches!(key.as_str(), "environment" | "target"),
                false => !matches!(key.as_str(), "tag" | "stop"),
            });
            return Fixture {
                setting,
                params,
                by_hand: !chooses,
                blind: chooses,
                keeps,
                shop: Some(shop),
                registry: None,
            };
        }
        "traffic.hold" | "traffic.release" => {
            let shop = crate::colours::Shop::start(repo.path());
            let mut params = shop.version("0.1.0", json!({}));
            setting.run("deploy.blue_green", &params).await.unwrap();
            params.as_object_mut().unwrap().retain(|key, _| matches!(key.as_str(), "environment" | "target"));
            let keeps = name == "traffic.release";
            if keeps {
                setting.run("traffic.hold", &params).await.unwrap();
            }
            return Fixture { setting, params, by_hand, blind, keeps, shop: Some(shop), registry: None };
        }
        "deploy.compose" | "deploy.rolling" => {
            repo.file("compose.yml", crate::standin::COMPOSE).commit("feat: compose");
            let setting = crate::standin::with_standins(setting);
            let params = crate::standin::deploy(&["web1", "web2"], json!({}));
            return Fixture { setting, params, by_hand, blind, keeps, shop: None, registry: None };
        }
        "deploy.script" => json!({
            "environment": "production",
            "run": "echo \"$WINDLASS_VERSION to $WINDLASS_ENVIRONMENT\" > live",
            "undo": "rm -f live",
        }),
        "deploy.verify" => {
            blind = true;
            let target = json!({ "health": server.url("/ok"), "version": "$.status" });
            json!({ "environment": "production", "target": target, "version": "healthy" })
        }
        "backup.create" | "database.migrate" => {
            let (setting, params) = crate::database::fixture(name);
            return Fixture {
                setting,
                params,
                by_hand,
                blind,
                keeps: name == "backup.create",
                shop: None,
                registry: None,
            };
        }
        "backup.verify" | "database.restore" => {
            let (setting, params) = crate::database::fixture_with_backup(name).await;
            return Fixture {
                setting,
                params,
                by_hand,
                blind: name == "backup.verify",
                keeps,
                shop: None,
                registry: None,
            };
        }
        "http.check" => {
            blind = true;
            json!({ "url": server.url("/ok") })
        }
        "http.traffic" => {
            blind = true;
            json!({ "requests": 3, "http": { "url": server.url("/ok") } })
        }
        "image.tag" | "image.verify" => {
            let registry = crate::registry::Registry::start();
            registry.push("shop", "0.1.0", "0.1.0").await;
            registry.push("shop", "latest", "0.2.0").await;
            let image = format!("{}/shop", registry.address);
            let params = match name {
                "image.tag" => json!({ "image": image, "tag": "latest", "to": "0.1.0" }),
                _ => json!({ "images": [format!("{image}:0.1.0")] }),
            };
            let link = "data/docker/registry/v2/repositories/shop/_manifests/tags/latest/current/link";
            let link = registry.folder.path().join(link);
            let mut setting = setting;
            setting.also = Some(Box::new(move || std::fs::read_to_string(&link).unwrap()));
            let (blind, registry) = (name == "image.verify", Some(registry));
            return Fixture { setting, params, by_hand, blind, keeps, shop: None, registry };
        }
        "notify.page" => json!({ "message": "x", "channels": [{ "command": ["true"] }] }),
        "grafana.annotate" => {
            let grafana = GrafanaEmulator::start(SECRET);
            let params = json!({ "url": grafana.url(), "token": "TOKEN", "environment": "production" });
            let also = move || format!("{:?}", grafana.annotations());
            let setting = Setting { also: Some(Box::new(also)), ..setting };
            return Fixture { setting, params, by_hand, blind, keeps, shop: None, registry: None };
        }
        "metrics.query" => {
            blind = true;
            json!({ "script": "echo 1" })
        }
        other => panic!("the action {other} has no fixture: give it one here"),
    };
    Fixture { setting, params, by_hand, blind, keeps, shop: None, registry: None }
}

fn sorted(mut effects: Vec<Effect>) -> Vec<Effect> {
    effects.sort();
    effects
}

#[tokio::test]
async fn every_action_keeps_its_promises() {
    let server = Server::start().await;
    for action in windlass_actions::all().with(crate::example::Stamp).iter() {
        let name = action.name();
        let Fixture { setting, params, by_hand, blind, keeps, shop, registry: _registry } =
            fixture(name, &server).await;
        // What these change stands in the proxy's file alone.
        let is_traffic = matches!(name, "deploy.previous" | "traffic.hold" | "traffic.release");
        let proxy = shop.as_ref().filter(|_| is_traffic);
        let snapshot = || (setting.snapshot(), proxy.map(crate::colours::Shop::servers));
        let before = snapshot();
        action.accepts(&params).unwrap();
        assert!(action.accepts(&json!({ "no such key": 1 })).is_err(), "{name} takes unknown keys");
        let planned = sorted(action.effects(&params, &setting.facts()).unwrap());
        assert!(!action.label(&params, &setting.facts()).is_empty());

        // Planning and probing change nothing, and before the run it is not done.
        let probed = action.probe(&params, &setting.context()).await.unwrap();
        assert!(matches!(probed, Probe::Absent | Probe::Unknown), "{name}: {probed:?}");
        assert_eq!(snapshot(), before, "{name} changed something while probing");

        // It changes what was planned, and says so.
        let context = setting.context();
        let output = action.run(&params, &context).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(sorted(context.changes()), planned, "{name}");
        let after = snapshot();
        assert_eq!(after == before, planned.is_empty(), "{name} changed nothing, or something unplanned");
        match action.probe(&params, &setting.context()).await.unwrap() {
            Probe::Done(_) => assert!(!blind),
            Probe::Unknown => assert!(blind, "{name}"),
            other => panic!("{name}: {other:?}"),
        }

        // Twice is once.
        let context = setting.context();
        action.run(&params, &context).await.unwrap_or_else(|error| panic!("{name}, again: {error}"));
        assert_eq!(snapshot(), after, "{name} twice is not once");
        assert!(name == "script" || context.changes().is_empty(), "{name}");

        // Taken back twice is taken back once.
        let undone = action.undo(&params, &output, &setting.context()).await.unwrap();
        let again = action.undo(&params, &output, &setting.context()).await.unwrap();
        match &undone {
            Undone::NeedsHuman(_) => {
                assert!(by_hand, "{name}: {undone:?}");
                assert_eq!(again, undone);
                assert_eq!(snapshot(), after);
            }
            Undone::NothingToDo => {
                assert!(planned.is_empty() || keeps, "{name}");
                assert_eq!(snapshot(), after, "{name}");
            }
            Undone::Reverted(_) => {
                assert!(!by_hand, "{name}");
                assert!(again == Undone::NothingToDo || name == "script", "{name}: {again:?}");
                // What was staged or changed before the commit is gone with it, on purpose: nothing half-done stays.
                if name != "git.commit" {
                    assert_eq!(snapshot(), before, "{name} left something");
                }
                let probed = action.probe(&params, &setting.context()).await.unwrap();
                assert!(matches!(probed, Probe::Absent | Probe::Unknown), "{name}: {probed:?}");
            }
        }
    }
}

#[test]
fn every_action_is_described() {
    for action in windlass_actions::all().iter() {
        let schema = serde_json::to_value(action.params_schema()).unwrap();
        let properties = schema["properties"].as_object().unwrap();
        for (key, property) in properties {
            assert!(
                property["description"].is_string() || property["$ref"].is_string(),
                "{}: {key} has no description: {property}",
                action.name()
            );
        }
        assert!(action.summary().ends_with('.') && action.name() == self::action(action.name()).name());
        serde_json::to_value(action.output_schema()).unwrap();
    }
}
