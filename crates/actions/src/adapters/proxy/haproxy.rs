//! HAProxy, by its runtime socket. The protocol is in its Management Guide, section 9.3, "Unix Socket commands".

use std::net::SocketAddr;

use windlass_core::text::sanitize_line;
use windlass_engine::context::Context;

use super::{Admission, Course, Proxy, Status};
use crate::adapters::remote::{Around, RemoteError, Result};
use state::{VERSION, parse};

mod config;
mod state;

/// A message that is longer is cut at a command: HAProxy reads one into a buffer of 16 KiB.
const LONGEST: usize = 8 << 10;

/// What the proxy says of the servers of its backend.
pub(super) async fn status(proxy: &Proxy, context: &Context) -> Result<Vec<Status>> {
    let (backend, socket) = (&proxy.table.backend, proxy.table.socket());
    let message = format!("show servers state {backend};show stat {backend} 4 -1\n");
    let told = proxy.host.ask(context, socket, &message).await?;
    match parse(&told) {
        Some(statuses) => Ok(statuses),
        None => Err(explain(proxy, context, &told).await),
    }
}

/// The socket first: in one message what becomes ready does so, and then the others are drained. Then the file. When the
/// new servers do not take the traffic, or the file is refused, all servers get back what they had.
pub(super) async fn steer(proxy: &Proxy, context: &Context, fence: u64, courses: &[Course]) -> Result<()> {
    let before = status(proxy, context).await?;
    let mut back = Vec::new();
    for course in courses {
        let status = proxy.find(&before, &course.server)?;
        let weight = course.weight.map(|_| status.weight);
        back.push(Course { weight, ..status.course(status.admission) });
    }
    let after = tell(proxy, context, fence, &before, courses).await?;
    let rendered = match unmet(&before, &after, courses) {
        Some(why) => Err(proxy.unfit(&why)),
        None => render(proxy, context, fence, courses, false).await,
    };
    let Err(error) = rendered else { return Ok(()) };
    if matches!(error, RemoteError::Fenced { .. }) {
        return Err(error);
    }
    match tell(proxy, context, fence, &after, &back).await {
        Ok(_) => Err(error),
        Err(second) => Err(RemoteError::Unfit(format!(
            "{error}; and the servers could not be given back what they had: {second}"
        ))),
    }
}

/// What HAProxy did not do: a server may inherit its maintenance from another one, and when traffic is taken away from
/// one that had it, those that are to take it must not be down.
fn unmet(before: &[Status], after: &[Status], courses: &[Course]) -> Option<String> {
    let of = |statuses: &[Status], course: &Course| {
        statuses.iter().find(|status| status.server == course.server).cloned()
    };
    let loses = |course: &Course| {
        course.admission != Admission::Ready
            && of(before, course).is_some_and(|status| status.admission == Admission::Ready)
    };
    let is_switch = courses.iter().any(loses);
    for course in courses {
        let Some(now) = of(after, course) else { continue };
        if now.admission != course.admission {
            return Some(format!(
                "{} did not become what it was told to be: it follows another server",
                course.server
            ));
        }
        if is_switch && course.admission == Admission::Ready && now.up == Some(false) {
            return Some(format!(
                "{} is down by HAProxy's own check ({}), so the traffic stays where it was",
                course.server, now.address
            ));
        }
    }
    None
}

/// Whether the socket and the file know every server of the environment, and the file passes its test.
pub(super) async fn check(proxy: &Proxy, context: &Context, fence: u64) -> Result<()> {
    let statuses = status(proxy, context).await?;
    let mut courses = Vec::new();
    for server in &proxy.servers {
        let status = proxy.find(&statuses, &server.name)?;
        courses.push(status.course(Admission::Ready));
        // Otherwise one server would be looked at before a switch, and another one get the traffic.
        let port = |address: &str| address.rsplit(':').next().map(str::to_owned);
        let configured = server.address.as_deref().filter(|_| proxy.table.address.is_none());
        if let Some(configured) = configured.filter(|configured| port(configured) != port(&status.address)) {
            return Err(proxy.unfit(&format!(
                "{} is at {} there, and not at {configured}: correct `ports`, or give the `address` it should have",
                server.name, status.address
            )));
        }
    }
    // A command that changes nothing shows whether the socket lets us change something.
    let Some(Course { server, .. }) = courses.first() else { return Ok(()) };
    let now = proxy.find(&statuses, server)?;
    let same = [now.course(now.admission)];
    tell(proxy, context, fence, &statuses, &same).await?;
    render(proxy, context, fence, &courses, true).await
}

/// Says it all; what the servers are then.
async fn tell(
    proxy: &Proxy,
    context: &Context,
    fence: u64,
    before: &[Status],
    courses: &[Course],
) -> Result<Vec<Status>> {
    let backend = &proxy.table.backend;
    let mut after = before.to_vec();
    let courses = as_given(proxy, courses);
    for message in messages(backend, before, &courses) {
        let message = format!("{message};show servers state {backend};show stat {backend} 4 -1\n");
        let told = proxy.host.tell(context, fence, proxy.table.socket(), &message).await?;
        let words = told.split_once(VERSION).map_or(told.as_str(), |(words, _)| words);
        // The socket says nothing to what it does, but for an address.
        let problem = words.lines().find(|line| {
            let line = line.trim();
            !line.is_empty() && !line.contains("changed from") && !line.starts_with("no need to change")
        });
        if let Some(problem) = problem {
            return Err(refused(proxy, problem));
        }
        after = match parse(&told) {
            Some(statuses) => statuses,
            None => return Err(explain(proxy, context, &told).await),
        };
    }
    Ok(after)
}

/// The courses, without addresses that nobody configured: HAProxy knows where its servers are.
fn as_given(proxy: &Proxy, courses: &[Course]) -> Vec<Course> {
    let mut courses = courses.to_vec();
    if proxy.table.address.is_none() {
        courses.iter_mut().for_each(|course| course.address = None);
    }
    courses
}

/// What there is to be said, in as few messages as there can be; all that makes a server ready before all that drains.
fn messages(backend: &str, before: &[Status], courses: &[Course]) -> Vec<String> {
    let (ready, rest): (Vec<&Course>, Vec<&Course>) =
        courses.iter().partition(|course| course.admission == Admission::Ready);
    let mut commands = Vec::new();
    for course in ready.into_iter().chain(rest) {
        let server = format!("{backend}/{}", course.server);
        let now = before.iter().find(|status| status.server == course.server);
        let parsed = |address: &str| address.parse::<SocketAddr>().ok();
        // HAProxy is told addresses only; a name of a host is its own configuration's business.
        if let Some(wanted) = course.address.as_deref().and_then(parsed)
            && now.and_then(|now| parsed(&now.address)) != Some(wanted)
        {
            commands.push(format!("set server {server} addr {} port {}", wanted.ip(), wanted.port()));
        }
        if let Some(weight) = course.weight {
            commands.push(format!("set server {server} weight {weight}"));
        }
        let state = match course.admission {
            Admission::Ready => "ready",
            Admission::Drain => "drain",
            Admission::Maintenance => "maint",
        };
        commands.push(format!("set server {server} state {state}"));
    }
    let mut messages: Vec<String> = Vec::new();
    for command in commands {
        match messages.last_mut().filter(|message| message.len() + command.len() < LONGEST) {
            Some(message) => {
                message.push(';');
                message.push_str(&command);
            }
            None => messages.push(command),
        }
    }
    messages
}

async fn render(
    proxy: &Proxy,
    context: &Context,
    fence: u64,
    courses: &[Course],
    always: bool,
) -> Result<()> {
    let Some(file) = &proxy.table.config else { return Ok(()) };
    let test = proxy.table.test_command();
    let around = Around { test: &test, reload: &[] };
    let courses = as_given(proxy, courses);
    let edit = |text: &str| match always {
        // Only whether the servers are there.
        true => config::edit(proxy, file, text, &courses).map(|_| text.to_owned()),
        false => config::edit(proxy, file, text, &courses),
    };
    proxy.host.render(context, fence, file, around, always, edit).await
}

/// Why the socket did not give what was asked for.
async fn explain(proxy: &Proxy, context: &Context, told: &str) -> RemoteError {
    let backend = &proxy.table.backend;
    let first = told.lines().find(|line| !line.trim().is_empty()).unwrap_or("nothing was answered");
    if !first.starts_with("Can't find backend") {
        return refused(proxy, first);
    }
    let socket = proxy.table.socket();
    match proxy.host.ask(context, socket, "show backend\n").await {
        Ok(text) => {
            let known = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            proxy.unknown("", "backend", backend, known)
        }
        Err(error) => error,
    }
}

fn refused(proxy: &Proxy, words: &str) -> RemoteError {
    let words = sanitize_line(words);
    let help = if words.contains("Permission denied") {
        ": the socket needs `level admin` in HAProxy's configuration"
    } else {
        ""
    };
    proxy.unfit(&format!("the socket {} said: {words}{help}", proxy.table.socket()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(server: &str, address: &str) -> Status {
        Status {
            server: server.into(),
            address: address.into(),
            admission: Admission::Ready,
            weight: 1,
            sessions: Some(0),
            up: None,
        }
    }

    #[test]
    fn what_becomes_ready_does_so_before_anything_is_drained() {
        let before = [status("blue", "10.0.0.1:81"), status("green", "[::1]:82")];
        let course = |server: &str, address: Option<&str>, admission, weight| Course {
            server: server.into(),
            address: address.map(str::to_owned),
            admission,
            weight,
        };
        let courses = [
            course("blue", Some("10.0.0.1:81"), Admission::Drain, None),
            course("green", Some("[::2]:83"), Admission::Ready, Some(10)),
        ];
        assert_eq!(
            messages("shop", &before, &courses),
            [
                "set server shop/green addr ::2 port 83;set server shop/green weight 10;set server shop/green state \
              ready;set server shop/blue state drain"
            ]
        );
        // Too many for one message: still in this order.
        let many: Vec<Course> = (0..600)
            .map(|number| {
                let admission = if number % 2 == 0 { Admission::Maintenance } else { Admission::Ready };
                course(&format!("server-{number}"), None, admission, None)
            })
            .collect();
        let messages = messages("shop", &[], &many);
        assert!(messages.len() > 1 && messages.iter().all(|message| message.len() < 16 << 10));
        let joined = messages.join(";");
        let states: Vec<&str> = joined.split(';').filter_map(|command| command.rsplit(' ').next()).collect();
        assert_eq!(states.len(), 600);
        assert!(states.iter().take(300).all(|state| *state == "ready"));
        assert!(states.iter().skip(300).all(|state| *state == "maint"));
    }

    #[test]
    fn what_haproxy_did_not_do_is_found() {
        use Admission::{Drain, Maintenance, Ready};
        let of = |server: &str, admission, up| Status { admission, up, ..status(server, "10.0.0.1:81") };
        let before = [of("blue", Ready, Some(true)), of("green", Maintenance, None)];
        let course = |server: &str, admission| Course {
            server: server.into(),
            address: None,
            admission,
            weight: None,
        };
        let switch = [course("green", Ready), course("blue", Drain)];
        for (before, blue, green, courses, expect) in [
            (&before[..], (Drain, None), (Ready, Some(true)), &switch[..], None),
            (&before, (Drain, None), (Ready, None), &switch, None),
            (&before, (Drain, None), (Ready, Some(false)), &switch, Some("green is down")),
            (&before, (Drain, None), (Maintenance, None), &switch, Some("green did not become")),
            // What nobody loses traffic to may be down: it is told so elsewhere.
            (&[], (Maintenance, None), (Ready, Some(false)), &[course("green", Ready)], None),
        ] {
            let after = [of("blue", blue.0, blue.1), of("green", green.0, green.1)];
            let found = unmet(before, &after, courses);
            assert_eq!(found.is_some(), expect.is_some(), "{found:?}");
            assert!(expect.is_none_or(|expect| found.unwrap().contains(expect)));
        }
    }
}
