//! Deployments on stand-ins for ssh and docker: order, failures, reverts, fences. The lab has the real ones.

use std::io::Write as _;
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};
use windlass_core::plan::StepPath;
use windlass_core::run::RunId;
use windlass_engine::action::{ActionError, Probe, Undone};
use windlass_engine::context::Context;
use windlass_testkit::proxies::{Kind, Running, ask};
use windlass_testkit::repo::RepoBuilder;
use windlass_testkit::versions::{Customers, Versioned};

use crate::standin::{COMPOSE, deploy, with_standins};
use crate::world::{Setting, action};

mod back;
mod first_host;
mod front;
mod refusals;
mod scripts;
mod there;

struct Shop {
    setting: Setting,
}

impl Shop {
    fn new() -> Self {
        let repo = RepoBuilder::new();
        repo.file("compose.yml", COMPOSE).commit("feat: begin");
        Self { setting: with_standins(Setting::new(repo)) }
    }

    fn context(&self, run: &str) -> Context {
        let mut context = self.setting.context();
        context.run = RunId(run.into());
        context
    }

    async fn rolling(&self, run: &str, version: &str, params: &Value) -> Result<Value, ActionError> {
        let mut params = params.clone();
        (params["version"], params["tag"]) = (json!(version), json!(format!("v{version}")));
        action("deploy.rolling").run(&params, &self.context(run)).await
    }

    async fn release(&self, run: &str, version: &str, params: &Value) -> Result<Value, ActionError> {
        let mut params = params.clone();
        (params["version"], params["tag"]) = (json!(version), json!(format!("v{version}")));
        action("deploy.compose").run(&params, &self.context(run)).await
    }

    /// Which version each host runs.
    fn runs(&self, host: &str) -> Option<String> {
        let text = std::fs::read(self.setting.repo.path().join(format!("running/{host}.json"))).ok()?;
        let running: Value = serde_json::from_slice(&text).unwrap();
        Some(running["web"]["image"].as_str().unwrap().to_owned())
    }

    fn record(&self, host: &str) -> Option<Value> {
        let path = self.setting.repo.outside().join(host).join("shop/.windlass/record.json");
        Some(serde_json::from_slice(&std::fs::read(path).ok()?).unwrap())
    }

    /// The same item when it is taken back.
    fn undoing(&self, run: &str) -> Context {
        let mut context = self.context(run);
        context.path = StepPath::new(format!("undo/{}", context.path.0));
        context
    }

    /// As if the process had been killed there.
    fn set_state(&self, host: &str, state: &str) {
        let mut record = self.record(host).unwrap();
        record["state"] = json!(state);
        self.say(&format!("{host}/shop/.windlass/record.json"), &format!("{record}\n"));
    }

    /// As if a process of this run had been killed with the lock, after the last record was written.
    fn leave_lock(&self, host: &str, run: &str) {
        let fence = self.record(host).unwrap()["fence"].clone();
        let lock = format!("{run}\n1\n{fence}\n99999999999\n1\nprocess 1 on ci\n");
        self.say(&format!("{host}/shop/.windlass/lock"), &lock);
    }

    fn is_locked(&self, host: &str) -> bool {
        self.setting.repo.outside().join(host).join("shop/.windlass/lock").exists()
    }

    /// All that a host keeps: each file, when it was written, and what is in it.
    fn kept(&self, host: &str) -> Vec<(String, std::time::SystemTime, Vec<u8>)> {
        let folder = self.setting.repo.outside().join(host).join("shop/.windlass");
        let mut found: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .flatten()
            // Those that only locks are taken on are opened for writing.
            .filter(|entry| entry.path().is_file() && entry.metadata().unwrap().len() > 0)
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, entry.metadata().unwrap().modified().unwrap(), std::fs::read(entry.path()).unwrap())
            })
            .collect();
        found.sort();
        found
    }

    /// Which operations were sent to which hosts, in their order.
    fn asked(&self) -> Vec<(String, String)> {
        let log = std::fs::read_to_string(self.setting.repo.outside().join("ssh.log")).unwrap();
        // The last line of the program, and what it is called with.
        let calls = log.split("\u{1e}").filter_map(|call| {
            let host = call.trim_start().split(' ').next()?;
            let what = call.rsplit_once(" windlass ")?.1.split(' ').next()?;
            Some((host.to_owned(), what.to_owned()))
        });
        calls.collect()
    }

    fn say(&self, file: &str, text: &str) {
        std::fs::write(self.setting.repo.outside().join(file), text).unwrap();
    }

    fn forget(&self, file: &str) {
        std::fs::remove_file(self.setting.repo.outside().join(file)).unwrap();
    }
}

/// What a script deployed in a colour; nothing of it runs.
fn coloured(version: &str, colour: &str) -> Value {
    json!({
        "schema": 1, "environment": "production", "run": "r", "step": "s", "fence": 1, "version": version,
        "tag": format!("v{version}"), "release": "", "files": [], "project": "", "images": {}, "colour": colour,
        "state": "live", "at": "2026-01-01T00:00:00Z", "previous": null,
    })
}
