//! What really runs, held against what was deployed.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::adapters::remote::{Container, Record, State};

/// A service that must run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Service {
    /// Its image as the compose files have it.
    pub image: String,
    /// It may end, well: a task rather than a server.
    pub may_end: bool,
    /// It is started again by itself.
    pub restarts: bool,
    /// How many containers it has.
    pub replicas: u64,
}

/// What compose made of its files: the project's name and its services.
///
/// # Errors
/// What cannot be deployed.
pub fn services(config: &str) -> Result<(String, BTreeMap<String, Service>), String> {
    let config: Value = serde_json::from_str(config)
        .map_err(|error| format!("docker compose told no configuration: {error}"))?;
    let project = config["name"].as_str().unwrap_or_default().to_owned();
    let mut services = BTreeMap::new();
    for (name, service) in config["services"].as_object().into_iter().flatten() {
        let image = service["image"].as_str().unwrap_or_default();
        if image.is_empty() {
            return Err(format!(
                "the service `{name}` has no `image`: only images from a registry are deployed, so that every host gets \
                 the very same one"
            ));
        }
        let restart = service["restart"].as_str().unwrap_or("no");
        let has = |key: &str| service.get(key).is_some_and(|value| !value.is_null());
        services.insert(
            name.clone(),
            Service {
                image: image.to_owned(),
                may_end: !matches!(restart, "always" | "unless-stopped")
                    && !has("ports")
                    && !has("healthcheck"),
                restarts: restart != "no",
                replicas: service["deploy"]["replicas"]
                    .as_u64()
                    .or_else(|| service["scale"].as_u64())
                    .unwrap_or(1),
            },
        );
    }
    if project.is_empty() || services.is_empty() {
        return Err("the compose files name no service".to_owned());
    }
    Ok((project, services))
}

/// How containers are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// As they must be; how often they were restarted in all.
    Good(u64),
    /// Not yet.
    Waiting(String),
    /// They will not be; which container, and why.
    Broken(String, String),
}

/// A container that was restarted so often is in a crash loop.
const CRASHES: u64 = 3;

/// How the containers are, held against what must run.
pub fn health(
    services: &BTreeMap<String, Service>,
    images: &BTreeMap<String, String>,
    found: &[Container],
) -> Health {
    let mut waiting = None;
    let mut restarts = 0;
    for (name, service) in services {
        let wanted = images.get(name).unwrap_or(&service.image);
        let own: Vec<&Container> = found
            .iter()
            .filter(|container| container.service == *name && container.image == *wanted)
            .collect();
        if (own.len() as u64) < service.replicas {
            waiting.get_or_insert(format!("{name} has {} of {} containers", own.len(), service.replicas));
        }
        for container in own {
            restarts += container.restarts;
            let broken = |why: String| Health::Broken(container.id.clone(), format!("{name} {why}"));
            if container.restarts >= CRASHES {
                return broken(format!(
                    "crashes again and again: restarted {} times, exit code {}",
                    container.restarts, container.exit
                ));
            }
            match (container.state.as_str(), container.health.as_deref()) {
                ("running", None | Some("healthy")) => {}
                ("running", Some(health)) => {
                    waiting.get_or_insert(format!("{name} is {health}"));
                }
                ("exited", _) if container.exit == 0 && service.may_end => {}
                ("exited" | "dead", _) if !service.restarts || container.state == "dead" => {
                    return broken(format!("ended with exit code {}", container.exit));
                }
                (state, _) => {
                    waiting.get_or_insert(format!("{name} is {state}"));
                }
            }
        }
    }
    waiting.map_or(Health::Good(restarts), Health::Waiting)
}

/// What the record itself says is not finished.
pub fn unfinished(record: &Record) -> Option<String> {
    let what = match record.state {
        State::Live => return None,
        State::Draining | State::Proven => {
            "a deployment did not come to its end, and the proxy may give the host no requests"
        }
        State::Updating | State::Updated => "a deployment did not come to its end",
        State::Switching => "the traffic was being given to it, and that did not come to its end",
        State::Reverting => "a rollback did not come to its end",
        State::Failed => "the version did not come up, and was left as it is",
        State::Withdrawn => "the version was withdrawn",
    };
    Some(what.to_owned())
}

/// What is not as the record says, a sentence each; nothing when all is.
pub fn drift(record: &Record, found: &[Container]) -> Vec<String> {
    let mut drift: Vec<String> = unfinished(record).into_iter().collect();
    for (name, image) in &record.images {
        let own: Vec<&Container> = found.iter().filter(|container| container.service == *name).collect();
        if own.is_empty() {
            drift.push(format!("{name} does not run: it has no container"));
        }
        for container in own {
            if container.image != *image {
                drift.push(format!("{name} runs {}, not {}", short(&container.image), short(image)));
            }
            match (container.state.as_str(), container.health.as_deref()) {
                ("running", Some("unhealthy")) => drift.push(format!("{name} is unhealthy")),
                ("running", _) => {}
                ("exited", _) if container.exit == 0 => {}
                (state, _) => drift.push(format!("{name} is {state} (exit code {})", container.exit)),
            }
        }
    }
    for container in found.iter().filter(|container| !record.images.contains_key(&container.service)) {
        drift.push(format!("{} runs and was not deployed", container.service));
    }
    drift
}

/// An image with the start of its digest.
pub fn short(image: &str) -> String {
    match image.split_once("@sha256:") {
        Some((name, digest)) => format!("{name}@{}", digest.get(..12).unwrap_or(digest)),
        None => image.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: &str = r#"{"name":"shop","services":{"web":{"image":"r/web:1","ports":[{"target":80}],"restart":"always"},"task":{"image":"r/task:1"}}}"#;

    fn container(service: &str, state: &str, health: Option<&str>, exit: i64, restarts: u64) -> Container {
        Container {
            id: "id".into(),
            service: service.into(),
            once: String::new(),
            state: state.into(),
            exit,
            restarts,
            started: String::new(),
            image: format!("r/{service}:1"),
            health: health.map(str::to_owned),
        }
    }

    #[test]
    fn containers_are_judged_by_what_must_run() {
        let (project, services) = services(WEB).unwrap();
        assert_eq!(project, "shop");
        let task = container("task", "exited", None, 0, 0);
        for (web, expect) in [
            (Some(container("web", "running", None, 0, 0)), "Good(0)"),
            (Some(container("web", "running", Some("healthy"), 0, 1)), "Good(1)"),
            (Some(container("web", "running", Some("starting"), 0, 0)), "web is starting"),
            (Some(container("web", "running", Some("unhealthy"), 0, 0)), "web is unhealthy"),
            (Some(container("web", "restarting", None, 1, 1)), "web is restarting"),
            (Some(container("web", "restarting", None, 1, 3)), "crashes again and again"),
            (Some(container("web", "exited", None, 0, 0)), "web is exited"),
            (Some(container("web", "dead", None, 9, 0)), "ended with exit code 9"),
            (None, "web has 0 of 1 containers"),
            (
                Some(Container { image: "r/web:0".into(), ..container("web", "running", None, 0, 0) }),
                "web has 0 of 1",
            ),
        ] {
            let found: Vec<_> = web.into_iter().chain([task.clone()]).collect();
            let told = format!("{:?}", health(&services, &BTreeMap::new(), &found));
            assert!(told.contains(expect), "{told}, not {expect}");
        }
        let found = [container("web", "running", None, 0, 0), container("task", "exited", None, 1, 0)];
        assert!(
            matches!(health(&services, &BTreeMap::new(), &found), Health::Broken(_, why) if why.contains("exit code 1"))
        );
        assert!(
            super::services(r#"{"name":"x","services":{"web":{"build":"."}}}"#)
                .unwrap_err()
                .contains("no `image`")
        );
        assert!(super::services(r#"{"name":"x","services":{}}"#).is_err());
        assert!(super::services("x").is_err());
    }

    #[test]
    fn drift_is_told() {
        let mut record: Record = serde_json::from_str(
            r#"{"schema":1,"environment":"p","run":"r","step":"s","fence":1,"version":"1.0.0","tag":"v1.0.0","release":"x",
               "files":[],"project":"shop","images":{"web":"r/web:1"},"colour":null,"state":"live","at":"2026-01-01T00:00:00Z",
               "previous":null}"#,
        )
        .unwrap();
        let good = container("web", "running", Some("healthy"), 0, 0);
        assert_eq!(drift(&record, std::slice::from_ref(&good)), Vec::<String>::new());
        for (found, expect) in [
            (vec![], "no container"),
            (vec![Container { image: "r/web:2".into(), ..good.clone() }], "web runs r/web:2, not r/web:1"),
            (vec![container("web", "exited", None, 137, 0)], "exited (exit code 137)"),
            (vec![container("web", "running", Some("unhealthy"), 0, 0)], "unhealthy"),
            (
                vec![good.clone(), container("miner", "running", None, 0, 0)],
                "miner runs and was not deployed",
            ),
        ] {
            assert!(drift(&record, &found).iter().any(|told| told.contains(expect)), "{found:?}");
        }
        record.state = State::Updating;
        assert_eq!(drift(&record, &[good]), ["a deployment did not come to its end"]);
    }
}
