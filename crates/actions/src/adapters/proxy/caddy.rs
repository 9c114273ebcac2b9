//! Caddy, by its admin interface (caddyserver.com/docs/api): the upstreams of one `reverse_proxy` handler. A server that
//! gets no traffic is not in its list.

use std::time::Duration;

use serde_json::{Map, Value};
use windlass_core::text::sanitize_line;
use windlass_engine::context::Context;

use super::{Admission, Course, Proxy, Status};
use crate::adapters::remote::{Around, RemoteError, Result};

/// How often something is said to Caddy that does not answer, and the time between.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(100);

/// A handler in Caddy's configuration.
#[derive(Debug, Clone, PartialEq)]
struct Handler {
    /// Its way from the top, such as `/apps/http/servers/srv0/routes/0/handle/0`.
    path: String,
    id: Option<String>,
    upstreams: Option<Vec<Value>>,
}

impl Handler {
    /// Whether it is meant by its `@id` or its path.
    fn is_named(&self, backend: &str) -> bool {
        self.id.as_deref() == Some(backend) || self.path == backend
    }

    fn dials(&self) -> impl Iterator<Item = &str> {
        self.upstreams.iter().flatten().filter_map(dial)
    }
}

pub(super) async fn status(proxy: &Proxy, context: &Context) -> Result<Vec<Status>> {
    let handler = handler(proxy, &configuration(proxy, context).await?)?;
    let at_work = call(proxy, context, None, "GET", "/reverse_proxy/upstreams", "").await?;
    let at_work: Vec<Value> = serde_json::from_str(&at_work).unwrap_or_default();
    let sessions = |address: &str| {
        let found = at_work.iter().find(|upstream| upstream["address"] == address);
        found.and_then(|upstream| upstream["num_requests"].as_u64()).unwrap_or_default()
    };
    let status = |server: String, address: &str, admission| Status {
        server,
        address: address.to_owned(),
        admission,
        weight: 1,
        sessions: Some(sessions(address)),
        up: None,
    };
    let there = handler.dials().map(|dial| status(proxy.name_of(dial), dial, Admission::Ready));
    let mut statuses: Vec<Status> = there.collect();
    for server in &proxy.servers {
        if let Some(address) =
            server.address.as_deref().filter(|address| handler.dials().all(|dial| dial != *address))
        {
            statuses.push(status(server.name.clone(), address, Admission::Maintenance));
        }
    }
    Ok(statuses)
}

pub(super) async fn steer(proxy: &Proxy, context: &Context, fence: u64, courses: &[Course]) -> Result<()> {
    if courses.iter().any(|course| course.weight.is_some_and(|weight| weight != 100)) {
        return Err(proxy.unfit("Caddy knows no weights: leave `shift` out"));
    }
    let handler = handler(proxy, &configuration(proxy, context).await?)?;
    let before = handler.upstreams.clone().unwrap_or_default();
    let after = follow(proxy, &before, courses);
    if after != before || handler.upstreams.is_none() {
        replace(proxy, context, fence, &handler, &after).await?;
    }
    let Err(error) = persist(proxy, context, fence, false).await else { return Ok(()) };
    if matches!(error, RemoteError::Fenced { .. }) || after == before {
        return Err(error);
    }
    let now = Handler { upstreams: Some(after), ..handler };
    match replace(proxy, context, fence, &now, &before).await {
        Ok(()) => Err(error),
        Err(second) => {
            Err(proxy.unfit(&format!("{error}; and the upstreams could not be put back: {second}")))
        }
    }
}

/// Whether Caddy answers and has the handler, and the file it is started with may be written and is right.
pub(super) async fn check(proxy: &Proxy, context: &Context, fence: u64) -> Result<()> {
    handler(proxy, &configuration(proxy, context).await?)?;
    persist(proxy, context, fence, true).await
}

/// Refuses a handler that is only known by its upstreams: without any it would not be found again.
pub(super) async fn found_again(proxy: &Proxy, context: &Context) -> Result<()> {
    let handler = handler(proxy, &configuration(proxy, context).await?)?;
    let backend = &proxy.table.backend;
    if handler.is_named(backend) {
        return Ok(());
    }
    Err(proxy.unfit(&sanitize_line(&format!(
        "its handler is known by its upstreams alone, and would not be found again without any: give it the @id \
         `{backend}`, or name its path {} as `backend`",
        handler.path
    ))))
}

/// The upstreams as the courses want them; those of nobody here stay where they are.
fn follow(proxy: &Proxy, before: &[Value], courses: &[Course]) -> Vec<Value> {
    let mut after = before.to_vec();
    for course in courses {
        let address = course.address.clone().unwrap_or_else(|| proxy.known_address(&course.server));
        let is_there = after.iter().any(|upstream| dial(upstream) == Some(&address));
        match course.admission {
            Admission::Ready if !is_there => {
                // What else an upstream may say, its neighbours say too.
                let mut upstream = before.first().and_then(Value::as_object).cloned().unwrap_or_default();
                upstream.remove("@id");
                upstream.insert("dial".into(), address.into());
                after.push(Value::Object(upstream));
            }
            Admission::Ready => {}
            Admission::Drain | Admission::Maintenance => {
                after.retain(|upstream| dial(upstream) != Some(&address));
            }
        }
    }
    after
}

async fn replace(
    proxy: &Proxy,
    context: &Context,
    fence: u64,
    handler: &Handler,
    upstreams: &[Value],
) -> Result<()> {
    let method = if handler.upstreams.is_some() { "PATCH" } else { "PUT" };
    let path = format!("/config{}/upstreams", handler.path);
    let body = Value::Array(upstreams.to_vec()).to_string();
    call(proxy, context, Some(fence), method, &path, &body).await.map(drop)
}

/// Writes what Caddy has into the file that it is started with.
async fn persist(proxy: &Proxy, context: &Context, fence: u64, only_test: bool) -> Result<()> {
    let Some(file) = &proxy.table.config else { return Ok(()) };
    let test = proxy.table.test_command();
    let around = Around { test: &test, reload: &[] };
    let mut text = serde_json::to_string_pretty(&configuration(proxy, context).await?)
        .map_err(|error| RemoteError::Failed(error.to_string()))?;
    text.push('\n');
    let edit = |before: &str| Ok(if only_test { before } else { &text }.to_owned());
    proxy.host.render(context, fence, file, around, only_test, edit).await
}

async fn configuration(proxy: &Proxy, context: &Context) -> Result<Value> {
    let text = call(proxy, context, None, "GET", "/config/", "").await?;
    serde_json::from_str(&text)
        .map_err(|error| proxy.unfit(&format!("{} gave no JSON: {error}", proxy.table.socket())))
}

/// The handler that is meant: by its `@id`, by its path, or the only one that has one of the environment's servers.
fn handler(proxy: &Proxy, configuration: &Value) -> Result<Handler> {
    let mut handlers = Vec::new();
    collect(configuration, String::new(), &mut handlers);
    let backend = &proxy.table.backend;
    if let Some(handler) = handlers.iter().find(|handler| handler.is_named(backend)) {
        return Ok(handler.clone());
    }
    let is_ours = |handler: &&Handler| {
        let ours: Vec<&str> = proxy.servers.iter().filter_map(|server| server.address.as_deref()).collect();
        handler.dials().any(|dial| ours.contains(&dial))
    };
    let ours: Vec<&Handler> = handlers.iter().filter(is_ours).collect();
    match ours.as_slice() {
        [only] => Ok((*only).clone()),
        [] => {
            let known = handlers.iter().map(|handler| handler.id.as_deref().unwrap_or(&handler.path));
            Err(proxy.unknown("", "reverse_proxy handler", backend, known))
        }
        several => {
            let paths: Vec<&str> = several.iter().map(|handler| handler.path.as_str()).collect();
            let why = format!(
                "no handler has the @id `{backend}`, and several have servers of the environment: name one of {}",
                paths.join(", ")
            );
            Err(proxy.unfit(&sanitize_line(&why)))
        }
    }
}

fn collect(value: &Value, path: String, handlers: &mut Vec<Handler>) {
    match value {
        Value::Object(object) => {
            if object.get("handler").is_some_and(|kind| kind == "reverse_proxy") {
                let id = object.get("@id").and_then(Value::as_str).map(str::to_owned);
                let upstreams = object.get("upstreams").and_then(Value::as_array).cloned();
                handlers.push(Handler { path: path.clone(), id, upstreams });
            }
            within(object, &path, handlers);
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                collect(value, format!("{path}/{index}"), handlers);
            }
        }
        _ => {}
    }
}

fn within(object: &Map<String, Value>, path: &str, handlers: &mut Vec<Handler>) {
    for (key, value) in object {
        collect(value, format!("{path}/{key}"), handlers);
    }
}

fn dial(upstream: &Value) -> Option<&str> {
    upstream.get("dial").and_then(Value::as_str)
}

/// One call of the admin interface, as HTTP/1.0, which is answered in one piece; a change under a fence.
async fn call(
    proxy: &Proxy,
    context: &Context,
    fence: Option<u64>,
    method: &str,
    path: &str,
    body: &str,
) -> Result<String> {
    let address = proxy.table.socket();
    let host = if address.starts_with('/') { "localhost" } else { address };
    let message = format!(
        "{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    // With every change Caddy begins its admin interface anew, and may cut what is said meanwhile. All that is said here
    // may be said twice.
    let mut tries = 0;
    let told = loop {
        let told = match fence {
            Some(fence) => proxy.host.tell(context, fence, address, &message).await,
            None => proxy.host.ask(context, address, &message).await,
        };
        tries += 1;
        match told {
            Ok(told) if !told.is_empty() => break told,
            Ok(_) if tries == TRIES => return Err(proxy.unfit(&format!("{address} gave no answer"))),
            Err(error @ (RemoteError::Fenced { .. } | RemoteError::Ssh(_))) => return Err(error),
            Err(error) if tries == TRIES => return Err(error),
            Ok(_) | Err(_) => tokio::time::sleep(PAUSE).await,
        }
    };
    let (head, body) = told.split_once("\r\n\r\n").unwrap_or((&told, ""));
    let status: u16 =
        head.split_whitespace().nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    if status == 200 {
        return Ok(body.to_owned());
    }
    let why = serde_json::from_str::<Value>(body).ok();
    let why = why.as_ref().and_then(|why| why["error"].as_str()).unwrap_or("it gave no reason");
    let shown: String = sanitize_line(why).chars().take(400).collect();
    Err(proxy.unfit(&format!("{address} refused {method} {path} ({status}): {shown}")))
}
