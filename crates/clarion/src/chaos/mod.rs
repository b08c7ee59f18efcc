//! `clarion chaos`: a campaign sent by two replicas while everything that can break is broken, and
//! the account of it afterwards.
//!
//! Faults follow from a seed, so a run can be repeated; the moments at which they meet the work
//! cannot. It fails when anybody was lost, mailed twice, or is ambiguous without a fault to show
//! for it.

mod account;
mod fault;
mod world;

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use account::Account;
use fault::Fault;
use world::World;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// People in the campaign
    #[arg(long, default_value_t = 50_000)]
    messages: usize,
    /// Faults while it is sent
    #[arg(long, default_value_t = 30)]
    faults: u32,
    /// Repeats the faults of another run; random when absent
    #[arg(long)]
    seed: Option<u64>,
    /// Print the account as JSON
    #[arg(long)]
    json: bool,
}

/// How long everything may take.
const PATIENCE: Duration = Duration::from_secs(1_200);
/// Between two looks at the campaign.
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let seed = args.seed.unwrap_or_else(|| rand::rng().random());
    let stop = chassis::process::stop_on_signal()?;
    let account = tokio::select! {
        account = go(&args, seed) => account?,
        () = stop.cancelled() => anyhow::bail!("stopped"),
    };
    account.print(args.json)?;
    let broken = account.broken();
    ensure!(broken.is_empty(), "{}", broken.join("; "));
    Ok(())
}

async fn go(args: &Args, seed: u64) -> anyhow::Result<Account> {
    let mut random = StdRng::seed_from_u64(seed);
    eprintln!("chaos: seed {seed}");
    let mut world = World::start().await?;
    let campaign = world.campaign(args.messages).await?;
    let began = Instant::now();
    let (mut faults, mut bound) = (Vec::new(), 0);
    for number in 1..=args.faults {
        let goal = i64::from(number) * args.messages as i64 / i64::from(args.faults + 1);
        until_settled_or(&world, &campaign, goal, began).await?;
        tokio::time::sleep(Duration::from_millis(random.random_range(0..100))).await;
        let fault = Fault::random(&mut random);
        let may_be_unknown = fault.happen(&mut world, &mut random).await?;
        eprintln!("chaos: {number} {fault} (at most {may_be_unknown} unknown)");
        bound += may_be_unknown;
        faults.push(fault);
    }
    until_settled_or(&world, &campaign, i64::MAX, began).await?;
    let took = began.elapsed();
    Account::draw_up(
        &mut world,
        &campaign,
        args.messages,
        seed,
        faults,
        bound,
        took,
    )
    .await
}

/// Waits until so many are settled, or everybody is; the sum must hold at every look.
async fn until_settled_or(
    world: &World,
    campaign: &str,
    goal: i64,
    began: Instant,
) -> anyhow::Result<()> {
    loop {
        // A replica that was just killed does not answer; the other one does, or will.
        if let Some(now) = world.settlement(campaign).await {
            ensure!(now.sum() == now.audience, "the sum does not hold: {now:?}");
            if now.settled || now.audience - now.pending >= goal {
                return Ok(());
            }
        }
        ensure!(
            began.elapsed() < PATIENCE,
            "the campaign is not settled after {PATIENCE:?}: {:?}",
            world.settlement(campaign).await.context("nobody answers")?
        );
        tokio::time::sleep(PAUSE).await;
    }
}
