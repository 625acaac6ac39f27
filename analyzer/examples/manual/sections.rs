//! What the manual says beyond the options: files, signals, environment, exit status, examples.
//! tests/manual.rs hands every example to the command line that it is an example of.

/// What stands behind the options of a page.
#[derive(Debug, Clone, Copy, Default)]
pub struct Page {
    pub files: &'static [(&'static str, &'static str)],
    pub signals: &'static [(&'static str, &'static str)],
    pub environment: &'static [(&'static str, &'static str)],
    pub exit_status: &'static [(&'static str, &'static str)],
    /// Lines as typed, and what they are for.
    pub examples: &'static [(&'static str, &'static str)],
    pub see_also: &'static [&'static str],
}

const EXITS: &[(&str, &str)] = &[
    ("0", "Done, and nothing was skipped."),
    ("1", "It could not be done; the reason is on standard error. A closed pipe is no error."),
    ("2", "The command line was not understood."),
    ("3", "Done, but some input was skipped; standard error names it."),
];

const DATABASE: (&str, &str) = (
    "/var/lib/imon-analyze/imon.db",
    "The database of the service: taken by default where there is one that the user may write to (members of the group imon).",
);
const OWN_DATABASE: (&str, &str) =
    ("~/.local/state/imon/imon.db", "The user's own database: taken by default where there is none of the service.");
const CAPTURES: (&str, &str) =
    ("captures/ beside the database", "Captures that were booked, kept as segments, so that they can be booked again.");
const SPOOLS: (&str, &str) =
    ("/var/lib/imon, ~/.local/state/imon", "Spools of imon-record; new segments in them are booked before a report.");
const STORE_FILES: &[(&str, &str)] = &[DATABASE, OWN_DATABASE, CAPTURES, SPOOLS];

const CONFIG_FILES: &[(&str, &str)] = &[
    ("/etc/imon/imon.toml", "Defaults for all users."),
    ("~/.config/imon/imon.toml", "The user's own, which say more and win. Root reads none that others can write."),
];
const ALERT_FILES: &[(&str, &str)] = &[
    (
        "/etc/imon/imon.toml, ~/.config/imon/imon.toml",
        "[alert]: what is looked for. Nobody else may write what programs are run from.",
    ),
    ("imon.db-alerts beside the database", "What was told already."),
];
const ALERT_EXITS: &[(&str, &str)] = &[
    ("0", "There was nothing new to say."),
    ("1", "It could not be done; the reason is on standard error."),
    ("2", "The command line or the configuration was not understood, or others could have written it."),
    ("3", "There was nothing new to say, but some input was skipped."),
    ("4", "There was an alert."),
];
const CONFIG_ENVIRONMENT: &[(&str, &str)] = &[
    ("XDG_CONFIG_HOME", "Stands for ~/.config where it is an absolute path."),
    ("HOME", "The folder that ~ stands for."),
];

const STORE_ENVIRONMENT: &[(&str, &str)] = &[
    ("XDG_STATE_HOME", "Stands for ~/.local/state where it is an absolute path."),
    ("HOME", "The folder that ~ stands for."),
];
const ZONED: &[(&str, &str)] = &[
    ("NO_COLOR", "If it is set and not empty, text has no colour unless --color asks for it."),
    ("TZ", "The zone of days and hours, unless --zone names another; without both it is the system's."),
    ("XDG_STATE_HOME", "Stands for ~/.local/state where it is an absolute path."),
    ("HOME", "The folder that ~ stands for."),
];

const EXPORT: &[(&str, &str)] = &[(
    "SIGINT, SIGTERM",
    "Ends the command. The manifest in DIR names files that are whole, those of before; the next run goes on.",
)];
const TRANSACTION: &[(&str, &str)] = &[(
    "SIGINT, SIGTERM",
    "Ends the command. A source is booked in one transaction: what was booked whole stays, the next run takes the rest.",
)];

const RECORD: Page = Page {
    files: &[
        (
            "/var/lib/imon",
            "The spool of recordings as root; the service's are in a folder for each interface below it.",
        ),
        ("~/.local/state/imon", "The spool of everybody else."),
        ("SPOOL/*.part, SPOOL/*.seg", "The segment that is being written, and those that are sealed."),
        ("SPOOL/recorder.id, SPOOL/recorder.lock", "Who the recorder is, and who records into the spool now."),
        ("SPOOL/status.json", "How the recording is, written every ten seconds; --status reads it."),
        ("/etc/default/imon-record", "IMON_RECORD_OPTIONS: options of the service."),
        ("/run/imon/IFACE.prom", "Metrics of the service for Prometheus (--metrics)."),
    ],
    signals: &[
        ("SIGINT, SIGTERM", "Seals the segment and ends with exit code 0."),
        ("SIGHUP", "Seals the segment and begins another one."),
    ],
    environment: &[
        ("XDG_STATE_HOME, HOME", "Where the spool is that is not root's."),
        ("SUDO_UID", "The user whose rights are taken on after the capture is open, if there is no user imon."),
        (
            "NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID",
            "Set by systemd: it is told when the recording began, and that it is alive.",
        ),
        ("JOURNAL_STREAM", "Set by systemd: lines of the log have priorities then."),
    ],
    exit_status: &[
        ("0", "Done. With --status: all record, and nothing was lost within a day."),
        ("1", "It could not be done, or the recording ended by an error. With --status: one does not record."),
        ("2", "The command line was not understood, or it names a filter or user that there is none of."),
        (
            "3",
            "With --read: the capture was cut or damaged; what comes before is recorded. With --status: all record, but packets were lost or there was a gap.",
        ),
    ],
    examples: &[
        ("imon-record", "Record the interface with the default route until Ctrl-C:"),
        (
            "imon-record -i wlan0 -i eth0 --names-from lo",
            "Two interfaces, and the names that a resolver on this machine is asked for:",
        ),
        ("imon-record --read capture.pcap --spool spool", "Turn a capture file into segments:"),
        ("imon-record --status --format json", "Is it recording? For scripts:"),
        ("imon-record --self-test", "What holds the recorder in on this machine:"),
    ],
    see_also: &["imon-analyze"],
};

/// The sections of a page by its name.
pub fn of(page: &str) -> Option<Page> {
    let store = Page {
        files: STORE_FILES,
        environment: STORE_ENVIRONMENT,
        exit_status: EXITS,
        see_also: &["imon-analyze", "imon-record"],
        ..Page::default()
    };
    let report = Page { environment: ZONED, signals: TRANSACTION, ..store };
    let files = Page { files: &[], environment: &[], ..store };
    Some(match page {
        "imon-record" => RECORD,
        "imon-analyze" => Page {
            examples: &[
                ("imon-analyze report", "Book what is new in the spool, and report today by site:"),
                ("imon-analyze report capture.pcapng.zst --by host", "A capture, in memory; nothing is kept:"),
                ("imon-analyze explain 203.0.113.9", "Why bytes of an address were booked where they were:"),
                ("imon-analyze --self-test", "What each command reaches, and what its sandbox refuses:"),
            ],
            see_also: &["imon-record"],
            ..report
        },
        "imon-analyze-ingest" => Page {
            signals: TRANSACTION,
            examples: &[
                ("imon-analyze ingest", "What is new in the spool:"),
                (
                    "imon-analyze ingest ring_*.pcap.gz --database lab.db",
                    "The pieces of a ring buffer, into a database of their own:",
                ),
            ],
            ..store
        },
        "imon-analyze-report" => Page {
            examples: &[
                (
                    "imon-analyze report --from 2026-11-01 --to 2026-11-30 --by day",
                    "A month, day by day; both days are included:",
                ),
                ("imon-analyze report --from 7d --by device", "A week by device:"),
                ("imon-analyze report capture.pcap --by page", "Third parties on the page that pulled them in:"),
                ("imon-analyze report --format json -o today.json", "For scripts:"),
            ],
            ..report
        },
        "imon-analyze-site" => Page {
            examples: &[("imon-analyze site youtube.com 198.51.100.9 --from 7d", "A site and an address, day by day:")],
            ..report
        },
        "imon-analyze-flows" => {
            Page { examples: &[("imon-analyze flows capture.pcap | head", "Flows, a JSON object a line:")], ..files }
        }
        "imon-analyze-names" => Page {
            examples: &[
                ("imon-analyze names capture.pcap", "Names, a JSON object a line:"),
                ("imon-analyze names --summary capture.pcap", "How much went to encrypted DNS or hid behind ECH:"),
            ],
            ..files
        },
        "imon-analyze-explain" => Page {
            examples: &[
                ("imon-analyze explain 203.0.113.9 --at 14:30", "An address at a time of today:"),
                ("imon-analyze explain www.example.org", "A name:"),
            ],
            ..report
        },
        "imon-analyze-verify" => {
            Page { examples: &[("imon-analyze verify capture.pcap", "How far DNS alone is to be trusted:")], ..files }
        }
        "imon-analyze-check" => {
            Page { examples: &[("imon-analyze check /var/lib/imon", "How the segments of a spool ended:")], ..files }
        }
        "imon-analyze-status" => {
            Page { examples: &[("imon-analyze status", "What is booked, and from when:")], ..store }
        }
        "imon-analyze-rebuild" => Page {
            signals: TRANSACTION,
            examples: &[(
                "imon-analyze rebuild --diff",
                "Book again by the rules of this version, and see what changes:",
            )],
            ..store
        },
        "imon-analyze-close" => Page {
            signals: TRANSACTION,
            examples: &[
                ("imon-analyze close", "Put away what is over for a week:"),
                ("imon-analyze close --month 2026-10", "One month:"),
            ],
            ..store
        },
        "imon-analyze-import" => Page {
            signals: TRANSACTION,
            examples: &[
                ("imon-analyze import vnstat.json", "What `vnstat --json` printed:"),
                ("imon-analyze import router.json --interface wan --as router", "Of another machine:"),
                ("imon-analyze import --forget router", "Forget it:"),
            ],
            ..store
        },
        "imon-analyze-export" => Page {
            signals: EXPORT,
            examples: &[
                ("imon-analyze export dataset", "Put months into a folder for other machines and engines:"),
                ("imon-analyze report --dataset dataset --by recorder", "Ask it:"),
            ],
            ..store
        },
        "imon-analyze-prune" => Page {
            signals: TRANSACTION,
            examples: &[
                ("imon-analyze prune --keep-days 365 --dry-run", "What would go:"),
                ("imon-analyze prune --keep-days 365", "Let it go:"),
                ("imon-analyze prune --configured", "What [keep] of the configuration lets go:"),
                ("imon-analyze prune --drop-old", "Copies from before an upgrade:"),
            ],
            ..store
        },
        "imon-analyze-plan" => Page {
            files: CONFIG_FILES,
            environment: CONFIG_ENVIRONMENT,
            signals: TRANSACTION,
            examples: &[
                ("imon-analyze plan", "What is used, and what is left:"),
                ("imon-analyze plan home --on 2026-10-20", "The period of a plan that a day lies in:"),
            ],
            ..store
        },
        "imon-analyze-alert" => Page {
            files: ALERT_FILES,
            environment: CONFIG_ENVIRONMENT,
            signals: TRANSACTION,
            exit_status: ALERT_EXITS,
            examples: &[
                ("imon-analyze alert", "What was not said yet, a line each:"),
                ("imon-analyze alert --percent 80,100 --exec /usr/local/bin/tell-me", "The same by a program:"),
            ],
            ..store
        },
        "imon-analyze-config" => Page {
            files: CONFIG_FILES,
            environment: CONFIG_ENVIRONMENT,
            examples: &[
                ("imon-analyze config", "What is in force, as a file that says the same:"),
                ("imon-analyze config --json", "The same for scripts:"),
            ],
            ..store
        },
        "imon-analyze-top" => Page {
            environment: ZONED,
            signals: &[("SIGTERM, SIGHUP", "The terminal is given back, and the program ends.")],
            examples: &[
                ("imon-analyze top", "What the recorder of this machine sees:"),
                ("imon-analyze top --by device --filter site:youtube.com", "Who watches:"),
                ("imon-analyze top --once --json", "For scripts:"),
            ],
            ..store
        },
        _ => return None,
    })
}
