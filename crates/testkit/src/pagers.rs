//! An emulator of the services that call people: not PagerDuty, Opsgenie or Jira Service Management, but what their
//! documentation says of opening and closing.
//!
//! - <https://developer.pagerduty.com/docs/send-alert-event>
//! - <https://docs.opsgenie.com/docs/alert-api>
//! - <https://developer.atlassian.com/cloud/jira/service-desk-ops/rest/v1/api-group-integration-events/>
//!
//! Strict: a field that the service does not know, one that is missing or too long, and a key that is not the right one
//! are refused.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::emulator::{Answer, Asked, serve};

/// The services, on one port.
pub struct PagerEmulator {
    port: u16,
    state: Arc<Mutex<State>>,
}

/// What people were called for.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    /// What the service knows it by.
    pub key: String,
    /// It is not closed yet.
    pub open: bool,
    /// How often it was asked for.
    pub asked: u32,
    /// What was sent last.
    pub sent: Value,
}

#[derive(Default)]
struct State {
    key: String,
    incidents: Vec<Incident>,
    troubles: VecDeque<u16>,
    requests: u32,
}

impl PagerEmulator {
    /// Services that know `key`. They end with the process.
    pub fn start(key: &str) -> Self {
        let state = Arc::new(Mutex::new(State { key: key.into(), ..State::default() }));
        let served = Arc::clone(&state);
        let port = serve(move |asked| locked(&served).answer(asked));
        Self { port, state }
    }

    /// Their address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What people were called for, in the order it began.
    pub fn incidents(&self) -> Vec<Incident> {
        locked(&self.state).incidents.clone()
    }

    /// How often they were asked.
    pub fn requests(&self) -> u32 {
        locked(&self.state).requests
    }

    /// The next request is answered with `status`, and nothing is done.
    pub fn trouble(&self, status: u16) {
        locked(&self.state).troubles.push_back(status);
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn answer(&mut self, asked: &Asked) -> Answer {
        self.requests += 1;
        match self.troubles.pop_front() {
            Some(status @ 300..400) => return Answer::Head(status, "Location: /v2/enqueue\r\n".into()),
            Some(status) => return Answer::Json(status, json!({ "message": "not now" })),
            None => {}
        }
        let parts: Vec<&str> = asked.parts.iter().map(String::as_str).collect();
        // Jira Service Management takes the same below a path of its own.
        let parts = parts.strip_prefix(&["jsm", "ops", "integration"]).unwrap_or(&parts);
        match (asked.method.as_str(), parts) {
            ("POST", ["v2", "enqueue"]) => self.pagerduty(&asked.body),
            ("POST", ["v2", "alerts", rest @ ..]) => {
                if asked.headers.get("authorization") != Some(&format!("GenieKey {}", self.key)) {
                    let why = "Could not authenticate";
                    return Answer::Json(401, json!({ "message": why, "took": 0.1, "requestId": "1" }));
                }
                self.opsgenie(asked, rest)
            }
            _ => Answer::Json(404, json!({ "message": "Not Found" })),
        }
    }

    fn pagerduty(&mut self, body: &Value) -> Answer {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let action = text(&body["event_action"]);
        let mut errors = unknown(
            body,
            &[
                "routing_key",
                "event_action",
                "dedup_key",
                "payload",
                "images",
                "links",
                "client",
                "client_url",
            ],
        );
        if text(&body["routing_key"]).len() != 32 {
            errors.push("Length of 'routing_key' is incorrect (should be 32 characters)".into());
        } else if body["routing_key"] != self.key {
            errors.push("Invalid routing key".into());
        }
        let key = text(&body["dedup_key"]);
        if key.is_empty() || key.chars().count() > 255 {
            errors.push("'dedup_key' is missing or too long".into());
        }
        if action == "trigger" {
            let payload = &body["payload"];
            errors.extend(unknown(
                payload,
                &[
                    "summary",
                    "source",
                    "severity",
                    "timestamp",
                    "component",
                    "group",
                    "class",
                    "custom_details",
                ],
            ));
            let summary = text(&payload["summary"]).chars().count();
            let severity = text(&payload["severity"]);
            if summary == 0 || summary > 1024 || text(&payload["source"]).is_empty() {
                errors.push("'payload.summary' or 'payload.source' is missing or too long".into());
            }
            if !["critical", "error", "warning", "info"].contains(&severity.as_str()) {
                errors.push("'payload.severity' is invalid".into());
            }
        } else if action != "resolve" {
            errors.push("'event_action' is invalid".into());
        }
        if !errors.is_empty() {
            let why = "Event object is invalid";
            return Answer::Json(400, json!({ "status": "invalid event", "message": why, "errors": errors }));
        }
        self.take(&key, action == "resolve", body);
        Answer::Json(202, json!({ "status": "success", "message": "Event processed", "dedup_key": key }))
    }

    fn opsgenie(&mut self, asked: &Asked, rest: &[&str]) -> Answer {
        let body = &asked.body;
        let invalid = |why: Vec<String>| {
            Answer::Json(422, json!({ "message": "Request body is not processable", "errors": why }))
        };
        let accepted =
            || Answer::Json(202, json!({ "result": "Request will be processed", "requestId": "1" }));
        match rest {
            [] => {
                let known = [
                    "message",
                    "alias",
                    "description",
                    "responders",
                    "visibleTo",
                    "actions",
                    "tags",
                    "details",
                    "entity",
                    "source",
                    "priority",
                    "user",
                    "note",
                ];
                let mut errors = unknown(body, &known);
                let count = |name: &str| body[name].as_str().unwrap_or_default().chars().count();
                let priority = body["priority"].as_str().unwrap_or("P3");
                for (name, least, most) in
                    [("message", 1, 130), ("alias", 0, 512), ("description", 0, 15_000)]
                {
                    if !(least..=most).contains(&count(name)) {
                        errors.push(format!("{name} is missing or too long"));
                    }
                }
                if !["P1", "P2", "P3", "P4", "P5"].contains(&priority) {
                    errors.push("priority is invalid".into());
                }
                let tags = body["tags"].as_array().cloned().unwrap_or_default();
                if tags.len() > 20 || tags.iter().any(|tag| tag.as_str().is_none_or(|tag| tag.len() > 50)) {
                    errors.push("tags are too many or too long".into());
                }
                if !errors.is_empty() {
                    return invalid(errors);
                }
                let alias = body["alias"].as_str().unwrap_or_default().to_owned();
                self.take(&alias, false, body);
                accepted()
            }
            [alias, "close"] => {
                let errors = unknown(body, &["user", "source", "note"]);
                let by_alias = asked.query == [("identifierType".to_owned(), "alias".to_owned())];
                if !errors.is_empty() || !by_alias {
                    return invalid(errors);
                }
                self.take(alias, true, body);
                accepted()
            }
            _ => Answer::Json(404, json!({ "message": "Not Found" })),
        }
    }

    fn take(&mut self, key: &str, closes: bool, sent: &Value) {
        let open = self.incidents.iter_mut().find(|incident| incident.open && incident.key == key);
        match open {
            Some(incident) => {
                incident.open = !closes;
                incident.asked += 1;
                incident.sent = sent.clone();
            }
            // What is not open cannot be closed, and the service says nothing about it.
            None if closes => {}
            None => {
                self.incidents.push(Incident { key: key.into(), open: true, asked: 1, sent: sent.clone() })
            }
        }
    }
}

fn unknown(body: &Value, known: &[&str]) -> Vec<String> {
    let fields = body.as_object().map(|fields| fields.keys().cloned().collect::<Vec<_>>());
    let Some(fields) = fields else { return vec!["no JSON object".into()] };
    let odd = fields.into_iter().filter(|field| !known.contains(&field.as_str()));
    odd.map(|field| format!("unknown field {field}")).collect()
}
