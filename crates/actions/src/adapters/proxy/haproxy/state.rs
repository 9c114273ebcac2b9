//! What HAProxy's socket says of the servers of a backend (Management Guide, `show servers state` and `show stat`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::super::{Admission, Status};

/// The first line of `show servers state`: the version of its format.
pub(super) const VERSION: &str = "\n1\n# be_id ";

/// What `show servers state` and `show stat` say together.
pub(super) fn parse(told: &str) -> Option<Vec<Status>> {
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
