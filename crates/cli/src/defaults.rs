//! What the project's facts say where a runbook's parameters say nothing. Written into the plan, so that what is
//! approved does not depend on the configuration of the day it runs.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use windlass_core::config::Environment;
use windlass_core::plan::Facts;
use windlass_core::version::{core, parse_version};

/// `params` of `action`, completed.
pub fn complete(action: &str, params: Value, facts: &Facts) -> Value {
    let mut params = match params {
        Value::Object(params) => params,
        Value::Null => Map::new(),
        // Not a map at all: the action says so.
        other => return other,
    };
    let named =
        params.get("environment").and_then(Value::as_str).and_then(|name| facts.environments.get(name));
    let named = named.cloned();
    let mut set = |name: &str, value: Option<Value>| {
        if let (Some(value), false) = (value, params.contains_key(name)) {
            params.insert(name.to_owned(), value);
        }
    };
    match action {
        "git.tag" => {
            set("annotate", Some(json!(facts.annotate)));
            set("sign", Some(&facts.sign).filter(|sign| !sign.is_empty()).map(|sign| json!(sign)));
        }
        "git.push" => set("remote", facts.remote.as_ref().map(|remote| json!(remote))),
        "version.write" => {
            if !facts.holders.is_empty() {
                set("holders", Some(json!(facts.holders)));
            }
            let release = facts.release.as_ref().filter(|_| facts.plain_holders);
            let number = release.and_then(|release| parse_version(&release.version).ok());
            set("version", number.map(|version| json!(core(&version).to_string())));
        }
        "changelog.promote" => {
            let entries = &facts.entries;
            set("path", facts.changelog.as_ref().map(|path| json!(path)));
            set("generated", entries.generated.then_some(json!(true)));
            set("template", entries.template.as_ref().map(|path| json!(path)));
            set("headings", Some(&entries.headings).filter(|it| !it.is_empty()).map(|it| json!(it)));
            set("placeholder", entries.placeholder.as_ref().map(|text| json!(text)));
            set("url", entries.url.as_ref().map(|url| json!(url)));
        }
        // A token that is not said is taken where there is one: everybody may look at what is public.
        "forge.adoption" => set("forge", facts.forge.project.as_ref().map(|project| json!(project))),
        "forge.release" | "forge.withdraw" => {
            set("forge", facts.forge.project.as_ref().map(|project| json!(project)));
            if action == "forge.withdraw" {
                set("remote", facts.remote.as_ref().map(|remote| json!(remote)));
            }
            // Named in the plan, so that a run knows which secret it needs before it begins.
            set("token", Some(json!(windlass_actions::forge::SECRET)));
        }
        "notify.page" => set("channels", Some(json!(facts.pages))),
        "grafana.annotate" => {
            let package = facts.release.as_ref().and_then(|release| release.package.clone());
            let project = facts.forge.project.as_ref();
            let repository = project.and_then(|project| project.repository.split('/').next_back());
            let service = package.or_else(|| repository.map(str::to_owned));
            set("service", service.map(|service| json!(service)));
        }
        "metrics.query" => set("target", named.map(|environment| json!(needed(&environment)))),
        _ if action.starts_with("deploy.") => {
            if let Some(environment) = named {
                let after: BTreeMap<&String, Environment> = environment
                    .after
                    .iter()
                    .filter_map(|name| Some((name, needed(facts.environments.get(name)?))))
                    .collect();
                set("target", Some(json!(needed(&environment))));
                if !after.is_empty() {
                    set("after", Some(json!(after)));
                }
            }
        }
        "traffic.hold" | "traffic.release" => {
            set("target", named.map(|environment| json!(needed(&environment))));
        }
        "rollback.choose" => set(
            "target",
            named.map(|environment| {
                json!(Environment { database: environment.database.clone(), ..needed(&environment) })
            }),
        ),
        _ if action.starts_with("database.") || action.starts_with("backup.") => {
            set("target", named.map(|environment| json!(with_database(&environment))));
        }
        _ => {}
    }
    Value::Object(params)
}

/// What a deployment needs of an environment: the rest is for people and for watches.
fn needed(environment: &Environment) -> Environment {
    Environment {
        purpose: None,
        data: None,
        monitoring: None,
        metrics: Default::default(),
        database: None,
        ..environment.clone()
    }
}

/// What an action on the database needs of an environment: the database, how ssh gets to its host, and where the lock is.
fn with_database(environment: &Environment) -> Environment {
    Environment {
        hosts: environment.hosts.iter().take(1).cloned().collect(),
        user: environment.user.clone(),
        ssh_config: environment.ssh_config.clone(),
        folder: environment.folder.clone(),
        database: environment.database.clone(),
        ..Environment::default()
    }
}
