//! Options that were not typed get what the configuration says. The command line wins.

use super::Config;
use crate::cli::{
    AskArgs, CaptureArgs, Cli, Command, ObservationArgs, OwnersArgs, SYSTEM_DATABASE, SiteOptions, StoreArgs,
};
use std::path::Path;

impl Config {
    /// Fills in what the command line does not say.
    pub fn fill(&self, cli: &mut Cli) {
        let has_units = cli.units.is_some();
        cli.units = cli.units.or(self.report.units);
        let Some(command) = &mut cli.command else { return };
        match command {
            Command::Ingest(args) => {
                self.store(&mut args.store);
                self.capture(&mut args.capture);
            }
            Command::Report(args) => self.asked(&mut args.asked),
            Command::Site(args) => self.asked(&mut args.asked),
            Command::Flows(args) => self.observations(&mut args.observations),
            Command::Names(args) => self.observations(&mut args.observations),
            Command::Explain(args) => self.asked(&mut args.asked),
            Command::Verify(args) => {
                self.capture(&mut args.capture);
                self.sites(&mut args.sites);
            }
            Command::Check(_) => {}
            Command::Close(args) => self.store(&mut args.store),
            Command::Export(args) => {
                self.store(&mut args.store);
                self.capture(&mut args.capture);
            }
            Command::Import(args) => {
                self.store(&mut args.store);
                self.zone(&mut args.zone);
            }
            Command::Status(args) => self.store(&mut args.store),
            Command::Rebuild(args) => {
                self.store(&mut args.answer.store);
                self.zone(&mut args.zone);
                self.sites(&mut args.answer.sites);
            }
            Command::Prune(args) => {
                self.store(&mut args.store);
                self.zone(&mut args.zone);
            }
            Command::Plan(args) => {
                self.store(&mut args.answer.store);
                self.capture(&mut args.capture);
                self.sites(&mut args.answer.sites);
            }
            Command::Alert(args) => {
                self.store(&mut args.store);
                self.capture(&mut args.capture);
                self.zone(&mut args.zone);
                self.sites(&mut args.sites);
            }
            Command::Top(args) => {
                self.store(&mut args.answer.store);
                self.zone(&mut args.zone);
                self.sites(&mut args.answer.sites);
                self.owners(&mut args.owners);
            }
            Command::Config(args) => {
                let typed = [
                    ("zone", args.zone.is_some()),
                    ("units", has_units),
                    ("families", args.answer.sites.families.is_some()),
                    ("owners", !args.owners.owners.is_empty()),
                    ("local", !args.capture.local.is_empty()),
                    ("database", args.answer.store.database.is_some()),
                    ("spool", args.answer.store.spool.is_some()),
                ];
                args.typed = typed.into_iter().filter(|(_, is_typed)| *is_typed).map(|(key, _)| key).collect();
                self.store(&mut args.answer.store);
                self.capture(&mut args.capture);
                self.zone(&mut args.zone);
                self.sites(&mut args.answer.sites);
                self.owners(&mut args.owners);
            }
        }
    }

    fn store(&self, args: &mut StoreArgs) {
        // The service's database is found anyway, and takes only what the service recorded.
        let database = self.report.database.as_deref().filter(|path| *path != Path::new(SYSTEM_DATABASE));
        args.database = args.database.take().or_else(|| database.map(Path::to_owned));
        args.spool = args.spool.take().or_else(|| self.report.spool.clone());
    }

    fn capture(&self, args: &mut CaptureArgs) {
        if args.local.is_empty() {
            args.local = self.report.local.clone().unwrap_or_default();
        }
    }

    fn asked(&self, args: &mut AskArgs) {
        self.store(&mut args.store);
        self.capture(&mut args.capture);
        self.zone(&mut args.range.zone);
        self.sites(&mut args.sites);
        self.owners(&mut args.owners);
    }

    fn observations(&self, args: &mut ObservationArgs) {
        self.capture(&mut args.capture);
        self.zone(&mut args.range.zone);
        self.sites(&mut args.sites);
        self.owners(&mut args.owners);
    }

    fn zone(&self, zone: &mut Option<String>) {
        *zone = zone.take().or_else(|| self.report.zone.clone());
    }

    fn owners(&self, args: &mut OwnersArgs) {
        if args.owners.is_empty() {
            args.owners = self.report.owners.clone().unwrap_or_default();
        }
    }

    fn sites(&self, args: &mut SiteOptions) {
        args.families = args.families.take().or_else(|| self.report.families.clone());
    }
}
