//! HAProxy, by its runtime socket. The protocol is in its Management Guide, section 9.3, "Unix Socket commands".

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use windlass_core::text::sanitize_line;
use windlass_engine::context::Context;

use super::{Admission, Course, Proxy, Status};
use crate::adapters::remote::{Around, RemoteError, Result};

mod config;

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

/// The socket first: in one message what becomes ready does so, and then the others are drained. Then the file; when it
/// is refused, the servers get back what they had.
pub(super) async fn steer(proxy: &Proxy, context: &Context, fence: u64, courses: &[Course]) -> Result<()> {
    let before = status(proxy, context).await?;
    let mut back = Vec::new();
    for course in courses {
        let status = proxy.find(&before, &course.server)?;
        let weight = course.weight.map(|_| status.weight);
        back.push(Course { weight, ..status.course(status.admission) });
    }
    tell(proxy, context, fence, &before, courses).await?;
    let Err(error) = render(proxy, context, fence, courses, false).await else { return Ok(()) };
    if matches!(error, RemoteError::Fenced { .. }) {
        return Err(error);
    }
    let now = status(proxy, context).await?;
    match tell(proxy, context, fence, &now, &back).await {
        Ok(()) => Err(error),
        Err(second) => Err(RemoteError::Unfit(format!(
            "{error}; and the servers could not be given back what they had: {second}"
        ))),
    }
}

/// Whether the socket and the file know every server of the environment, and the file passes its test.
pub(super) async fn check(proxy: &Proxy, context: &Context, fence: u64) -> Result<()> {
    let statuses = status(proxy, context).await?;
    let mut courses = Vec::new();
    for server in &proxy.servers {
        courses.push(proxy.find(&statuses, &server.name)?.course(Admission::Ready));
    }
    // A command that changes nothing shows whether the socket lets us change something.
    let Some(Course { server, .. }) = courses.first() else { return Ok(()) };
    let now = proxy.find(&statuses, server)?;
    let same = [now.course(now.admission)];
    tell(proxy, context, fence, &statuses, &same).await?;
    render(proxy, context, fence, &courses, true).await
}

async fn tell(
    proxy: &Proxy,
    context: &Context,
    fence: u64,
    before: &[Status],
    courses: &[Course],
) -> Result<()> {
    let backend = &proxy.table.backend;
    for message in messages(backend, before, courses) {
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
        if parse(&told).is_none() {
            return Err(explain(proxy, context, &told).await);
        }
    }
    Ok(())
}

/// What there is to be said, in as few messages as there can be; all that makes a server ready before all that drains.
fn messages(backend: &str, before: &[Status], courses: &[Course]) -> Vec<String> {
    let (ready, rest): (Vec<&Course>, Vec<&Course>) =
        courses.iter().partition(|course| course.admission == Admission::Ready);
    let mut commands = Vec::new();
    for course in ready.into_iter().chain(rest) {
        let server = format!("{backend}/{}", course.server);
        let now = before.iter().find(|status| status.server == course.server);
        if let Some((host, port)) = course.address.as_deref().and_then(|address| address.rsplit_once(':'))
            && now.is_none_or(|now| !is_same(&now.address, course.address.as_deref().unwrap_or_default()))
        {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            commands.push(format!("set server {server} addr {host} port {port}"));
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

/// Whether two addresses are the same. A name of a host is never the same as an address.
fn is_same(one: &str, other: &str) -> bool {
    let parsed = |text: &str| text.parse::<SocketAddr>().ok();
    one == other || parsed(one).is_some() && parsed(one) == parsed(other)
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
    let edit = |text: &str| match always {
        // Only whether the servers are there.
        true => config::edit(proxy, file, text, courses).map(|_| text.to_owned()),
        false => config::edit(proxy, file, text, courses),
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

/// The first line of `show servers state`: the version of its format.
const VERSION: &str = "\n1\n# be_id ";

/// What `show servers state` and `show stat` say together.
fn parse(told: &str) -> Option<Vec<Status>> {
    let told = format!("\n{told}");
    let (_, told) = told.split_once(VERSION)?;
    let (states, stat) = told.split_once("\n# pxname,")?;
    let mut lines = states.lines();
    let names: Vec<&str> = lines.next()?.split_whitespace().collect();
    // The first name, be_id, was taken off with the version.
    let place = |name: &str| names.iter().position(|found| *found == name).map(|place| place + 1);
    let (name, address, port) = (place("srv_name")?, place("srv_addr")?, place("srv_port")?);
    let (admin, weight) = (place("srv_admin_state")?, place("srv_uweight")?);
    let stats = stats(stat);
    let mut statuses = Vec::new();
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let server = (*words.get(name)?).to_owned();
        let admin: u32 = words.get(admin)?.parse().ok()?;
        let stat = stats.get(server.as_str());
        let host = *words.get(address)?;
        let address = match host.parse::<IpAddr>() {
            Ok(IpAddr::V6(host)) => format!("[{host}]:{}", words.get(port)?),
            _ => format!("{host}:{}", words.get(port)?),
        };
        statuses.push(Status {
            server,
            address,
            admission: admission(admin),
            weight: words.get(weight)?.parse().ok()?,
            sessions: stat.map(|(sessions, _)| *sessions),
            up: stat.and_then(|(_, up)| *up),
        });
    }
    Some(statuses)
}

/// The admin state is a set of bits (include/haproxy/server-t.h, `enum srv_admin`). These count: forced and inherited
/// maintenance, maintenance because a name has no address or was set by the resolver; forced and inherited drain. That
/// the configuration once said `disabled`, 0x04, stays set when the server is made ready.
fn admission(bits: u32) -> Admission {
    if bits & (0x01 | 0x02 | 0x20 | 0x40) != 0 {
        Admission::Maintenance
    } else if bits & (0x08 | 0x10) != 0 {
        Admission::Drain
    } else {
        Admission::Ready
    }
}

/// The sessions of each server, those that wait included, and what its check says; from a `show stat` that lost the
/// name of its first column.
fn stats(text: &str) -> BTreeMap<&str, (u64, Option<bool>)> {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let place = |name: &str| names.iter().position(|found| *found == name).map(|place| place + 1);
    let mut stats = BTreeMap::new();
    for line in lines {
        let words: Vec<&str> = line.split(',').collect();
        let word = |name: &str| place(name).and_then(|place| words.get(place)).copied().unwrap_or_default();
        let number = |name: &str| word(name).parse::<u64>().unwrap_or_default();
        let up = match word("status") {
            status if status.starts_with("UP") => Some(true),
            status if status.starts_with("DOWN") || status.starts_with("NOLB") => Some(false),
            _ => None,
        };
        if let Some(server) = words.get(1) {
            stats.insert(*server, (number("scur") + number("qcur"), up));
        }
    }
    stats
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
    fn what_the_socket_says_is_read() {
        let told = "IP changed from '1.1.1.1' to '2.2.2.2' by 'stats socket command'\n\n1\n# be_id be_name srv_id srv_name srv_addr \
                    srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change srv_check_status \
                    srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn \
                    srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port\n\
                    4 shop 1 blue 127.0.0.1 2 8 5 1 4 15 3 4 6 0 0 0 - 8081 - 0 0 - - 0\n\
                    4 shop 2 green ::1 0 4 1 1 4 1 0 3 7 0 0 0 - 8082 - 0 0 - - 0\n\n\
                    # pxname,svname,qcur,qmax,scur,smax,slim,stot,status,\nshop,blue,1,0,2,3,,9,UP 1/3,\nshop,green,0,0,0,0,,0,no check,\n\n";
        let statuses = parse(told).unwrap();
        let blue = Status {
            admission: Admission::Drain,
            weight: 5,
            sessions: Some(3),
            up: Some(true),
            ..status("blue", "127.0.0.1:8081")
        };
        assert_eq!(statuses, [blue, status("green", "[::1]:8082")]);
        for broken in ["", "Can't find backend.\n", "1\n# be_id x\n", "1\n# be_id srv_name\n\n# pxname,\n"] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn the_bits_of_the_admin_state_are_understood() {
        for (bits, expect) in [
            (0x00, Admission::Ready),
            (0x01, Admission::Maintenance),
            (0x05, Admission::Maintenance),
            (0x04, Admission::Ready),
            (0x08, Admission::Drain),
            (0x0c, Admission::Drain),
            (0x09, Admission::Maintenance),
            (0x20, Admission::Maintenance),
        ] {
            assert_eq!(admission(bits), expect, "{bits:#x}");
        }
    }
}
