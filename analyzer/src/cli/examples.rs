//! Examples that stand below each `--help`. A test runs every one of them through the parser.

pub(super) const ALL: &str = "\
Examples:
  sudo imon-record -i wlan0              records; as a service: see docs/RECORDING.md
  imon-analyze report                    today, by site
  imon-analyze report capture.pcapng     a capture from Wireshark or tcpdump; nothing is kept
  imon-analyze report --in last-month --by device,site";

pub(super) const INGEST: &str = "\
Examples:
  imon-analyze ingest                    what is new in the spool
  imon-analyze ingest captures/ -q       every capture and segment in a folder";

pub(super) const IMPORT: &str = "\
Examples:
  vnstat --json | imon-analyze import -
  imon-analyze import router.json --interface wan --as router";

pub(super) const REPORT: &str = "\
Examples:
  imon-analyze report --in 7d --by day
  imon-analyze report --device 192.168.1.7 --in last-week
  imon-analyze report --in 2026-11 --by site,day --csv -o november.csv
  imon-analyze report --by host --family Google
  imon-analyze report --evidence none --by host,device
  imon-analyze report --by country,network --owners asn.mmdb --owners country.mmdb
  imon-analyze report --in this-month --compare previous
  imon-analyze report new.pcap --compare-with old.pcap
  imon-analyze report --interface eth0 --by vlan,device
  imon-analyze report office.pcap home.pcap --by site,source
  imon-analyze report captures/ --from 2026-11-05T14:00 --to 2026-11-05T16:00";

pub(super) const SITE: &str = "\
Examples:
  imon-analyze site youtube.com --in this-month
  imon-analyze site Google 198.51.100.9 --from monday
  imon-analyze site https://www.youtube.com/watch --files capture.pcapng";

pub(super) const FLOWS: &str = "\
Examples:
  imon-analyze flows capture.pcap --device 192.168.1.7 --from 2026-11-05T14:07 --to 2026-11-05T14:09
  imon-analyze flows capture.pcap --min 10MB --csv
  imon-analyze flows capture.pcap --every 15m --csv -o quarters.csv
  imon-analyze flows capture.pcap --site youtube.com --format display-filter";

pub(super) const NAMES: &str = "\
Examples:
  imon-analyze names capture.pcap --device 192.168.1.7
  imon-analyze names capture.pcap --site youtube.com
  imon-analyze names --summary capture.pcap";

pub(super) const EXPORT: &str = "\
Examples:
  imon-analyze export /srv/imon-dataset
  imon-analyze export dataset --with flows,names
  imon-analyze export /srv/imon-dataset --compact
  imon-analyze export /srv/shared --mask all
  imon-analyze report --dataset dataset --in last-month --by recorder,site";

pub(super) const EXPLAIN: &str = "\
Examples:
  imon-analyze explain 203.0.113.9 --at 14:30
  imon-analyze explain www.youtube.com capture.pcap
  imon-analyze explain 203.0.113.9 capture.pcap --owners asn.mmdb
  imon-analyze explain youtube.com capture.pcap --device 192.168.1.7 --min 1MB";

pub(super) const VERIFY: &str = "\
Examples:
  imon-analyze verify capture.pcap
  imon-analyze verify --flows wrong capture.pcap";

pub(super) const CLOSE: &str = "\
Examples:
  imon-analyze close
  imon-analyze close --month 2026-10";

pub(super) const CHECK: &str = "\
Examples:
  imon-analyze check /var/lib/imon
  imon-analyze check ~/.local/state/imon/imon.db";

pub(super) const STATUS: &str = "\
Examples:
  imon-analyze status
  imon-analyze status --json
  imon-analyze status --months --csv
  imon-analyze status --backup /mnt/backup/imon";

pub(super) const REBUILD: &str = "\
Examples:
  imon-analyze rebuild --diff --dry-run
  imon-analyze rebuild --from 2026-11-01
  imon-analyze rebuild --from-books";

pub(super) const PRUNE: &str = "\
Examples:
  imon-analyze prune --keep-days 365 --dry-run
  imon-analyze prune --before 2026-01-01
  imon-analyze prune --configured
  imon-analyze prune --device 192.168.1.9 --from 2026-10-01 --to 2026-10-31 --dry-run";

pub(super) const PLAN: &str = "\
Examples:
  imon-analyze plan
  imon-analyze plan --on 2026-10-20 --json
  imon-analyze report --in last-billing --by site";

pub(super) const ALERT: &str = "\
Examples:
  imon-analyze alert
  imon-analyze alert --percent 80,100 --exec /usr/local/bin/tell-me
  imon-analyze alert --all";

pub(super) const CONFIG: &str = "\
Examples:
  imon-analyze config
  imon-analyze config --json
  imon-analyze --config imon.toml config";

pub(super) const TOP: &str = "\
Examples:
  imon-analyze top                       what the recorder of this machine sees
  imon-analyze top --by device --filter site:youtube.com
  imon-analyze top --once --json -n 10   for scripts";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[test]
    fn every_example_is_a_command_line() {
        let mut count = 0;
        for text in [
            ALL, INGEST, CLOSE, REPORT, SITE, FLOWS, NAMES, EXPORT, EXPLAIN, VERIFY, CHECK, STATUS, REBUILD, PRUNE,
            PLAN, ALERT, CONFIG, TOP,
        ] {
            for line in text.lines().skip(1).filter(|line| !line.contains("imon-record")) {
                let command = line.trim().split("   ").next().unwrap_or_default();
                let parsed = crate::cli::Cli::try_parse_from(command.split(' '));
                assert!(parsed.is_ok(), "{command}: {}", parsed.unwrap_err());
                assert!(command.len() < 110, "{command}");
                count += 1;
            }
        }
        assert!(count > 25);
    }
}
