//! `clarion serve`: one service in this process, as its own image runs it.

use analytics::Analytics;
use campaigns::Campaigns;
use chassis::process::serve;
use gateway::Gateway;
use identity::Identity;
use leads::Leads;
use notifications::Notifications;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Which one; its README says what it reads
    #[arg(value_enum)]
    service: Served,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Served {
    Gateway,
    Identity,
    Campaigns,
    Leads,
    Notifications,
    Analytics,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    match args.service {
        Served::Gateway => serve::<Gateway>(),
        Served::Identity => serve::<Identity>(),
        Served::Campaigns => serve::<Campaigns>(),
        Served::Leads => serve::<Leads>(),
        Served::Notifications => serve::<Notifications>(),
        Served::Analytics => serve::<Analytics>(),
    }
}
