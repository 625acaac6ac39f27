//! A display filter for Wireshark and tshark: finds the packets of the servers in a list of flows.
//!
//! Rows need the columns `proto`, `server` and `server_port`. Packets of other flows with the same
//! server and port match as well.

use super::{Column, Footer, Head, Row, RowKind, Sink, Value};
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::IpAddr;

/// Most servers in one filter: Wireshark takes longer ones, but nobody pastes them.
const MAX_SERVERS: usize = 2_000;

/// Collects servers, and writes one filter at the end.
pub struct DisplayFilterSink<'a> {
    out: &'a mut dyn Write,
    columns: [Option<usize>; 3],
    /// Protocol and port, and its servers.
    servers: BTreeMap<(String, u64), BTreeSet<IpAddr>>,
    count: usize,
    left_out: bool,
}

impl<'a> DisplayFilterSink<'a> {
    /// A filter to `out`.
    pub fn new(out: &'a mut dyn Write) -> Self {
        Self { out, columns: [None; 3], servers: BTreeMap::new(), count: 0, left_out: false }
    }
}

impl Sink for DisplayFilterSink<'_> {
    fn begin(&mut self, _: &Head, columns: &[Column]) -> io::Result<()> {
        self.columns =
            ["proto", "server", "server_port"].map(|field| columns.iter().position(|column| column.field == field));
        Ok(())
    }

    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        let [proto, server, port] = self.columns.map(|i| i.and_then(|i| row.values.get(i)));
        let (RowKind::Usual | RowKind::Empty, Some(Value::Text(proto)), Some(Value::Text(server))) =
            (row.kind, proto, server)
        else {
            return Ok(());
        };
        let port = if let Some(Value::Number(port)) = port { *port } else { 0 };
        if let Ok(server) = server.parse() {
            if self.count >= MAX_SERVERS {
                self.left_out = true;
            } else if self.servers.entry((proto.to_string(), port)).or_default().insert(server) {
                self.count += 1;
            }
        }
        Ok(())
    }

    fn end(&mut self, _: &Footer) -> io::Result<()> {
        if self.left_out {
            return Err(io::Error::other(format!(
                "more than {MAX_SERVERS} servers: --site, --device or --min makes them fewer"
            )));
        }
        let parts = self.servers.iter().flat_map(|((proto, port), servers)| {
            let (v4, v6): (Vec<&IpAddr>, Vec<&IpAddr>) = servers.iter().partition(|server| server.is_ipv4());
            [("ip", v4), ("ipv6", v6)].into_iter().filter(|(_, list)| !list.is_empty()).map(|(version, list)| {
                let addresses: Vec<String> = list.iter().map(|address| address.to_string()).collect();
                format!("({version}.addr in {{{}}} && {})", addresses.join(", "), service(version, proto, *port))
            })
        });
        let parts: Vec<String> = parts.collect();
        match parts.is_empty() {
            // A filter that finds nothing, and not an empty one, which finds everything.
            true => writeln!(self.out, "frame.number == 0"),
            false => writeln!(self.out, "{}", parts.join(" || ")),
        }
    }
}

/// What finds a protocol, and its port where it has one.
fn service(version: &str, proto: &str, port: u64) -> String {
    match (proto, port) {
        ("tcp" | "udp", port) if port > 0 => format!("{proto}.port == {port}"),
        ("tcp" | "udp" | "icmp" | "icmpv6", _) => proto.to_owned(),
        (number, _) => {
            let field = if version == "ip" { "ip.proto" } else { "ipv6.nxt" };
            format!("{field} == {}", number.trim_start_matches("ip"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Shape;

    fn filter(flows: &[(&'static str, &'static str, u64)]) -> String {
        let mut out = Vec::new();
        let mut sink = DisplayFilterSink::new(&mut out);
        let columns = ["server", "proto", "server_port"].map(|field| Column::new(field, Shape::Text));
        sink.begin(&Head::default(), &columns).unwrap();
        for (proto, server, port) in flows {
            sink.row(&Row::new(vec![Value::text(*server), Value::text(*proto), Value::Number(*port)])).unwrap();
        }
        sink.end(&Footer::default()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn servers_of_a_service_stand_together() {
        assert_eq!(
            filter(&[
                ("tcp", "203.0.113.9", 443),
                ("tcp", "203.0.113.8", 443),
                ("tcp", "203.0.113.9", 443),
                ("udp", "2001:db8::1", 443),
                ("icmp", "203.0.113.9", 0),
                ("ip47", "203.0.113.7", 0),
            ]),
            "(ip.addr in {203.0.113.9} && icmp) || (ip.addr in {203.0.113.7} && ip.proto == 47) || \
             (ip.addr in {203.0.113.8, 203.0.113.9} && tcp.port == 443) || (ipv6.addr in {2001:db8::1} && udp.port == 443)\n"
        );
        assert_eq!(filter(&[]), "frame.number == 0\n");
    }
}
