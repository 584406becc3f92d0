//! Servers that are measured in company: beside one of two, copies of it are kept busy. What differs then is what neighbours disturb.

use super::BenchKind;
use super::measuring::Measuring;
use super::seated::{Ports, Seated};
use crate::exec::{BenchJob, Benched, EvalJob, Executor, Ready, Scores, ServerJob, Stop};
use crate::node::Seat;
use crate::plan::{BenchPlan, ServerPlan};
use crate::record::{ErrorKind, Failure};
use futures::future::{pending, select_all};
use std::path::{Path, PathBuf};

/// What keeps a neighbour busy.
#[derive(Clone, Debug)]
pub struct Company {
    pub server: ServerPlan,
    pub bench: BenchPlan,
    pub kind: BenchKind,
    /// The name of the server that is measured in company; another is alone.
    pub of: String,
    /// Where results and logs of neighbours go, which nobody keeps.
    pub folder: PathBuf,
}

/// An executor, and those of its neighbours with their seats.
pub struct Accompanied<E> {
    own: E,
    others: Vec<Neighbour<E>>,
    company: Company,
    is_in_company: bool,
}

struct Neighbour<E> {
    executor: E,
    seat: Seat,
    seated: Option<Seated>,
    number: usize,
}

impl<E: Executor> Neighbour<E> {
    fn file(&self, folder: &Path, name: &str) -> PathBuf {
        folder.join(format!("neighbour {} {name}", self.number))
    }

    async fn start(&mut self, company: &Company) -> Result<(), Stop> {
        let seated = Seated::of(&company.server, &self.seat, Ports::Free).map_err(Stop::Failed)?;
        let log = self.file(&company.folder, "server.log");
        let job =
            ServerJob { command: &seated.command, address: &seated.address, seat: &self.seat, name: None, log: &log };
        let ready = self.executor.start(job).await;
        self.seated = Some(seated);
        ready.map(|_| ()).map_err(|stop| of_neighbour(stop, self.number))
    }

    /// Runs one benchmark after the other; ends only where one fails.
    async fn keep_busy(&mut self, company: &Company) -> Stop {
        let Some(seated) = &self.seated else { return pending().await };
        let path = self.file(&company.folder, "result.json");
        let log = self.file(&company.folder, "bench.log");
        let command = company.kind.complete(&seated.bench(&company.bench.command), &path);
        loop {
            let measuring = Measuring { command: &command, result_path: &path, log: &log, run: None };
            if let Err(stop) = measuring.bench(&mut self.executor, |_, _| Ok(())).await {
                return of_neighbour(stop, self.number);
            }
        }
    }
}

fn of_neighbour(stop: Stop, number: usize) -> Stop {
    match stop {
        Stop::Interrupted => Stop::Interrupted,
        Stop::Failed(failure) => {
            Failure { message: format!("neighbour {number}: {}", failure.message), ..failure }.into()
        }
    }
}

impl<E: Executor> Accompanied<E> {
    pub fn new(own: E, others: Vec<(E, Seat)>, company: Company) -> Self {
        let neighbour = |(index, (executor, seat)): (usize, (E, Seat))| Neighbour {
            executor,
            seat,
            seated: None,
            number: index + 1,
        };
        Self { own, others: others.into_iter().enumerate().map(neighbour).collect(), company, is_in_company: false }
    }
}

impl<E: Executor> Executor for Accompanied<E> {
    async fn start(&mut self, job: ServerJob<'_>) -> Result<Ready, Stop> {
        self.is_in_company = job.name == Some(self.company.of.as_str());
        if self.is_in_company {
            for neighbour in &mut self.others {
                if let Err(stop) = neighbour.start(&self.company).await {
                    self.stop().await;
                    return Err(stop);
                }
            }
        }
        self.own.start(job).await
    }

    async fn bench(&mut self, job: BenchJob<'_>) -> Result<Benched, Stop> {
        if !self.is_in_company || self.others.is_empty() {
            return self.own.bench(job).await;
        }
        let company = &self.company;
        let busy = self.others.iter_mut().map(|neighbour| Box::pin(neighbour.keep_busy(company)));
        tokio::select! {
            biased;
            ended = self.own.bench(job) => ended,
            (stop, ..) = select_all(busy) => Err(stop),
        }
    }

    async fn evaluate(&mut self, _: EvalJob<'_>) -> Result<Scores, Stop> {
        Err(Failure::new(ErrorKind::BenchmarkFailed, "nothing is scored while neighbours are measured").into())
    }

    async fn clean(&mut self) {
        self.own.clean().await;
        for neighbour in self.others.iter_mut().filter(|neighbour| neighbour.seated.is_some()) {
            neighbour.executor.clean().await;
        }
    }

    async fn stop(&mut self) -> Vec<String> {
        let mut told = self.own.stop().await;
        for neighbour in self.others.iter_mut().filter(|neighbour| neighbour.seated.is_some()) {
            told.extend(neighbour.executor.stop().await);
            neighbour.seated = None;
        }
        told
    }

    fn is_interrupted(&self) -> bool {
        self.own.is_interrupted()
    }
}
