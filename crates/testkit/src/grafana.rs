//! An emulator of Grafana's annotations: not Grafana, but what its documentation says of finding, making and deleting them
//! (<https://grafana.com/docs/grafana/latest/developers/http_api/annotations/>).
//!
//! Strict: another token, a field that Grafana does not know and a tag that is too long for its database are refused.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::emulator::{Answer, Asked, serve};

/// A Grafana.
pub struct GrafanaEmulator {
    port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    token: String,
    annotations: Vec<Value>,
    made: u64,
    troubles: VecDeque<Trouble>,
    requests: Vec<String>,
}

/// What goes wrong with a request that changes something.
#[derive(Debug, Clone, Copy)]
pub enum Trouble {
    /// It is answered so, and nothing is done.
    Answer(u16),
    /// It is done, and the connection breaks before the answer.
    Lose,
}

impl GrafanaEmulator {
    /// A Grafana for whoever has `token`. It ends with the process.
    pub fn start(token: &str) -> Self {
        let state = Arc::new(Mutex::new(State { token: token.into(), ..State::default() }));
        let served = Arc::clone(&state);
        let port = serve(move |asked| locked(&served).answer(asked));
        Self { port, state }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The annotations that are there.
    pub fn annotations(&self) -> Vec<Value> {
        locked(&self.state).annotations.clone()
    }

    /// What it was asked: the method and the path.
    pub fn requests(&self) -> Vec<String> {
        locked(&self.state).requests.clone()
    }

    /// The next request that changes something goes wrong.
    pub fn trouble(&self, trouble: Trouble) {
        locked(&self.state).troubles.push_back(trouble);
    }

    /// Somebody makes an annotation; gives its number.
    pub fn add(&self, tags: &[&str]) -> u64 {
        locked(&self.state).make(&json!({ "time": 1, "tags": tags, "text": "somebody's" }))
    }

    /// Somebody changes the tags of an annotation.
    pub fn retag(&self, id: u64, tags: &[&str]) {
        let mut state = locked(&self.state);
        let found = state.annotations.iter_mut().find(|one| one["id"] == id).unwrap();
        found["tags"] = json!(tags);
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn answer(&mut self, asked: &Asked) -> Answer {
        self.requests.push(format!("{} /{}", asked.method, asked.parts.join("/")));
        if asked.headers.get("authorization") != Some(&format!("Bearer {}", self.token)) {
            return Answer::Json(
                401,
                json!({ "message": "Invalid API key", "messageId": "api-key.invalid" }),
            );
        }
        let trouble = if asked.method == "GET" { None } else { self.troubles.pop_front() };
        if let Some(Trouble::Answer(status)) = trouble {
            return match status {
                300..400 => Answer::Head(status, "Location: /login\r\n".into()),
                _ => Answer::Json(status, json!({ "message": "not now" })),
            };
        }
        let answer = self.done(asked);
        if matches!(trouble, Some(Trouble::Lose)) { Answer::Nothing } else { answer }
    }

    fn done(&mut self, asked: &Asked) -> Answer {
        let parts: Vec<&str> = asked.parts.iter().map(String::as_str).collect();
        match (asked.method.as_str(), parts.as_slice()) {
            ("GET", ["api", "annotations"]) => {
                let all = |name: &str| -> Vec<&str> {
                    let own = asked.query.iter().filter(|(key, _)| key == name);
                    own.map(|(_, value)| value.as_str()).collect()
                };
                let limit = all("limit").first().and_then(|limit| limit.parse().ok()).unwrap_or(100);
                let has = |one: &&Value| {
                    let tags = one["tags"].as_array().cloned().unwrap_or_default();
                    all("tags").iter().all(|tag| tags.iter().any(|known| known == tag))
                };
                // The newest first.
                Answer::Json(200, self.annotations.iter().rev().filter(has).take(limit).cloned().collect())
            }
            ("POST", ["api", "annotations"]) => {
                let known =
                    ["dashboardId", "dashboardUID", "panelId", "time", "timeEnd", "tags", "text", "data"];
                let fields = asked.body.as_object().cloned().unwrap_or_default();
                if let Some(odd) = fields.keys().find(|key| !known.contains(&key.as_str())) {
                    return Answer::Json(400, json!({ "message": format!("unknown field {odd}") }));
                }
                if asked.body["text"].as_str().is_none_or(str::is_empty) {
                    return Answer::Json(400, json!({ "message": "text field should not be empty" }));
                }
                let tags = asked.body["tags"].as_array().cloned().unwrap_or_default();
                if tags.iter().any(|tag| tag.as_str().is_none_or(|tag| tag.chars().count() > 50)) {
                    return Answer::Json(500, json!({ "message": "Failed to save annotation" }));
                }
                let (begin, end) = (asked.body["time"].as_i64(), asked.body["timeEnd"].as_i64());
                if end.is_some_and(|end| begin.is_none_or(|begin| end < begin)) {
                    return Answer::Json(400, json!({ "message": "the end is before the beginning" }));
                }
                let id = self.make(&asked.body);
                Answer::Json(200, json!({ "message": "Annotation added", "id": id }))
            }
            ("DELETE", ["api", "annotations", id]) => {
                let before = self.annotations.len();
                self.annotations.retain(|one| one["id"].as_u64() != id.parse().ok());
                match self.annotations.len() < before {
                    true => Answer::Json(200, json!({ "message": "Annotation deleted" })),
                    false => Answer::Json(404, json!({ "message": "annotation not found" })),
                }
            }
            _ => Answer::Json(404, json!({ "message": "Not found" })),
        }
    }

    fn make(&mut self, sent: &Value) -> u64 {
        self.made += 1;
        let mut made = sent.clone();
        made["id"] = json!(self.made);
        self.annotations.push(made);
        self.made
    }
}
