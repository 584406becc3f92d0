//! A thousand machines at one sweep, in an object store that takes its time: how many claims a second, how many in vain, what is lost
//! when machines die. Time runs faster here, for the machines and for the store alike.
//!
//!     cargo run --release --example fleet                        # 1,000 machines, 100,000 server sets, time 40 times as fast
//!     cargo run --release --example fleet -- 100 5000 20

use object_store::ObjectStore;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use rand::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use sweeplake::store::{Claimed, Claims, Lease, Mix, Standing};
use sweeplake::sweep::Draw;

/// How long a server is measured, from the shortest to the longest.
const WORK_S: (f64, f64) = (30.0, 90.0);
const LEASE_S: f64 = 60.0;
/// A request to the store takes so long: those of S3 within one region.
const PUT_S: f64 = 0.040;
const GET_S: f64 = 0.025;
const LIST_S: f64 = 0.060;
/// A page of a thousand names takes a tenth of a second.
const LISTED_S: f64 = 0.0001;
/// The term, and that it is done.
const OBJECTS_OF_A_CLAIM: f64 = 2.0;
/// One start of a server in so many kills its machine.
const DEADLY: f64 = 3000.0;

struct Fleet {
    store: Arc<dyn ObjectStore>,
    sets: usize,
    /// Seconds of the simulated time in one of ours.
    speed: f64,
    began: Instant,
    tally: Tally,
}

#[derive(Default)]
struct Tally {
    won: AtomicU64,
    held: AtomicU64,
    surveys: AtomicU64,
    deaths: AtomicU64,
    lost: AtomicU64,
    /// How often each set was finished.
    finished: Mutex<BTreeMap<usize, u32>>,
    /// When each claim was won, in simulated seconds.
    times: Mutex<Vec<f64>>,
}

fn name_of(set: usize) -> String {
    format!("{set:06}")
}

fn count(what: &AtomicU64) {
    what.fetch_add(1, Relaxed);
}

impl Fleet {
    fn real(&self, seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds / self.speed)
    }

    fn now_s(&self) -> f64 {
        self.began.elapsed().as_secs_f64() * self.speed
    }

    /// What a machine does, until nothing is left.
    async fn node(self: Arc<Self>, number: usize) -> Result<(), String> {
        let node = format!("node-{number}");
        let claims = Claims::new(self.store.clone(), &Path::from("sweep"), &node, "H100", self.real(LEASE_S));
        let mut draw = Draw::default();
        loop {
            let asked = Instant::now();
            let stands = claims.survey().await.map_err(|error| error.to_string())?;
            count(&self.tally.surveys);
            // Pages follow each other; a sleep for each name would take longer than the name.
            tokio::time::sleep(self.real(LISTED_S * OBJECTS_OF_A_CLAIM * stands.len() as f64)).await;
            draw.asked(asked.elapsed());
            let standing = |set: &usize| stands.get(&name_of(*set));
            let open: VecDeque<usize> =
                (0..self.sets).filter(|set| !matches!(standing(set), Some(Standing::Held | Standing::Done))).collect();
            if open.is_empty() && (0..self.sets).all(|set| standing(&set) == Some(&Standing::Done)) {
                return Ok(());
            }
            if open.is_empty() {
                tokio::time::sleep(draw.pause(claims.patience())).await;
            }
            self.work_off(&claims, open, &mut draw).await?;
        }
    }

    /// Takes one set after the other that nobody has, until it is worth asking again who has which.
    async fn work_off(&self, claims: &Claims, mut open: VecDeque<usize>, draw: &mut Draw) -> Result<(), String> {
        while !draw.is_out_of_date()
            && let Some(set) = draw.place(open.len()).and_then(|place| open.remove(place))
        {
            let began = Instant::now();
            match claims.claim(&name_of(set), Mix::Refused).await.map_err(|error| error.to_string())? {
                Claimed::Ours(lease) => {
                    count(&self.tally.won);
                    self.tally.times.lock().map_err(|error| error.to_string())?.push(self.now_s());
                    self.measure(set, lease).await?;
                    draw.won();
                }
                Claimed::Held | Claimed::Done | Claimed::OtherKind(_) => {
                    count(&self.tally.held);
                    draw.in_vain(began.elapsed());
                }
            }
        }
        Ok(())
    }

    /// Measures a set, or dies and comes back as another machine.
    async fn measure(&self, set: usize, lease: Lease) -> Result<(), String> {
        let work = rand::rng().random_range(WORK_S.0..WORK_S.1);
        if rand::rng().random_bool(1.0 / DEADLY) {
            tokio::time::sleep(self.real(work / 2.0)).await;
            count(&self.tally.deaths);
            tokio::time::sleep(self.real(2.0 * LEASE_S)).await;
            return Ok(());
        }
        let is_lost = tokio::select! {
            () = lease.keep() => true,
            () = tokio::time::sleep(self.real(work)) => false,
        };
        if is_lost || !lease.is_ours().await.map_err(|error| error.to_string())? {
            count(&self.tally.lost);
            return Ok(());
        }
        lease.finish().await.map_err(|error| error.to_string())?;
        let mut finished = self.tally.finished.lock().map_err(|error| error.to_string())?;
        *finished.entry(set).or_default() += 1;
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut given = std::env::args().skip(1);
    let mut number = |usual: f64| given.next().map_or(Ok(usual), |text| text.parse::<f64>());
    let (nodes, sets, speed) = (number(1000.0)? as usize, number(100_000.0)? as usize, number(40.0)?);
    let config = ThrottleConfig {
        wait_put_per_call: Duration::from_secs_f64(PUT_S / speed),
        wait_get_per_call: Duration::from_secs_f64(GET_S / speed),
        wait_list_per_call: Duration::from_secs_f64(LIST_S / speed),
        ..ThrottleConfig::default()
    };
    let store: Arc<dyn ObjectStore> = Arc::new(ThrottledStore::new(InMemory::new(), config));
    let fleet = Arc::new(Fleet { store, sets, speed, began: Instant::now(), tally: Tally::default() });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let all: Vec<_> = (0..nodes).map(|number| tokio::spawn(fleet.clone().node(number))).collect();
        for node in all {
            node.await.map_err(|error| error.to_string())??;
        }
        Ok::<(), String>(())
    })?;
    report(&fleet, nodes)
}

fn report(fleet: &Fleet, nodes: usize) -> Result<(), Box<dyn Error>> {
    let tally = &fleet.tally;
    let mut times = tally.times.lock().map_err(|error| error.to_string())?.clone();
    times.sort_by(f64::total_cmp);
    let finished = tally.finished.lock().map_err(|error| error.to_string())?;
    let (won, held) = (tally.won.load(Relaxed), tally.held.load(Relaxed));
    let ideal = fleet.sets as f64 * (WORK_S.0 + WORK_S.1) / 2.0 / nodes as f64;
    let last = times.last().copied().unwrap_or_default();
    let first = times.iter().filter(|time| **time < 60.0).count();
    println!("machines                                  {nodes}");
    println!("server sets                               {}", fleet.sets);
    println!("finished, and how often at most           {}, {}", finished.len(), finished.values().max().unwrap_or(&0));
    println!("time, s (without claims it would take)    {:.0} ({ideal:.0})", fleet.now_s());
    println!("claims that were won                      {won} ({:.1}/s)", won as f64 / last.max(1.0));
    println!("of these in the first minute              {first}");
    println!(
        "claims in vain                            {held} ({:.2} for each that was won)",
        held as f64 / won as f64
    );
    println!("surveys                                   {}", tally.surveys.load(Relaxed));
    println!("machines that died                        {}", tally.deaths.load(Relaxed));
    println!("sets that had to be begun again           {}", won - finished.len() as u64);
    println!("of these by machines that did not die     {}", tally.lost.load(Relaxed));
    Ok(())
}
