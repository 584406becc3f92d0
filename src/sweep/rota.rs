//! Which server is started next, and where: in the order of the plan where one runs at a time, else so that all seats are used well.

use super::course::{Course, Visit};
use super::draw::Draw;
use super::ledger::{Ledger, gpu_count};
use super::shared::Sharing;
use crate::node::{Seat, Seats, Waiting, arrange};
use crate::plan::{Plan, Start};
use crate::store::Standing;
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::time::Duration;

/// How many GPUs servers take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Need {
    /// As many as their commands say.
    #[default]
    AsSaid,
    Each(usize),
}

impl Need {
    /// None where it is not known.
    pub fn of(self, plan: &Plan, server: usize) -> Option<usize> {
        match self {
            Self::Each(count) => Some(count),
            Self::AsSaid => {
                let server = plan.servers.get(server)?;
                // All loads of a server run on the same GPUs.
                let combination = &server.benches.first()?.combination;
                gpu_count(server, combination).map(|count| count as usize)
            }
        }
    }
}

/// Whether other machines have to be asked what they have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    Nobody,
    /// Before anything of this round is begun.
    Others,
    /// They were asked, and are from time to time.
    Again,
}

/// The starts that are still to come.
pub struct Rota<'a> {
    plan: &'a Plan,
    seats: Seats,
    need: Need,
    /// About how long a start of each server takes.
    expected: Vec<Duration>,
    rounds: std::ops::Range<u32>,
    /// Starts of the present round that wait for a seat.
    waiting: VecDeque<Waiting<Start>>,
    /// Those of the round that other machines have, as far as is known.
    elsewhere: Vec<Waiting<Start>>,
    /// Those that were begun on machines of another kind.
    apart: Vec<Waiting<Start>>,
    /// The servers that run.
    busy: Vec<usize>,
    asks: Asks,
    draw: Draw,
}

impl<'a> Rota<'a> {
    pub fn new(plan: &'a Plan, seats: Seats, need: Need, expected: Vec<Duration>) -> Self {
        Self {
            plan,
            seats,
            need,
            expected,
            rounds: 0..plan.rounds.count(),
            waiting: VecDeque::new(),
            elsewhere: Vec::new(),
            apart: Vec::new(),
            busy: Vec::new(),
            asks: Asks::Nobody,
            draw: Draw::default(),
        }
    }

    /// The next start that has a seat; none where a server has to end first, or nothing is left. A round ends before the next one begins: a course may end between them, and no server runs twice
    /// at a time.
    pub fn turn(&mut self, course: &mut dyn Course, ledger: &Ledger) -> Option<(Start, Seat)> {
        if self.waiting.is_empty() && !self.has_others() && self.seats.is_room_for(0) {
            match course.visit(ledger, &self.busy) {
                Visit::Planned if self.busy.is_empty() => self.begin_round(course, ledger),
                Visit::Server(server) => self.waiting.push_back(self.waits(Start { server, round: 0 })),
                Visit::Planned | Visit::Over => {}
            }
        }
        let room = self.waiting.iter().enumerate().filter(|(_, waiting)| self.seats.is_room_for(waiting.gpus));
        let room: Vec<usize> = room.map(|(at, _)| at).collect();
        let place = self.draw.place(room.len())?;
        let next = room.get(place).and_then(|at| self.waiting.remove(*at))?;
        let seat = self.seats.take(next.gpus)?;
        self.busy.push(next.what.server);
        Some((next.what, seat))
    }

    /// Begins the next round, if there is one and it may tell something new.
    fn begin_round(&mut self, course: &mut dyn Course, ledger: &Ledger) {
        let Some(round) = self.rounds.next() else { return };
        if round > 0 && course.is_decided(ledger) {
            self.rounds = 0..0;
            return;
        }
        let starts = self.plan.starts().filter(|start| start.round == round);
        let mut waiting: Vec<Waiting<Start>> = starts.map(|start| self.waits(start)).collect();
        if self.seats.most() > 1 {
            arrange(&mut waiting);
        }
        match self.asks {
            Asks::Nobody => self.waiting = waiting.into(),
            _ => (self.elsewhere, self.asks) = (waiting, Asks::Others),
        }
    }

    fn waits(&self, start: Start) -> Waiting<Start> {
        let expected = self.expected.get(start.server).copied().unwrap_or_default();
        Waiting { what: start, gpus: self.need.of(self.plan, start.server).unwrap_or(0), expected }
    }

    /// Whether all that is left of the round is done on other machines.
    pub fn is_left_to_others(&self) -> bool {
        self.waiting.is_empty() && self.busy.is_empty() && self.has_others()
    }

    pub fn has_others(&self) -> bool {
        !self.elsewhere.is_empty() || !self.apart.is_empty()
    }

    /// A start can't be this machine's; whether it is the first.
    pub fn set_apart(&mut self, start: Start, seat: &Seat) -> bool {
        self.leave(start, seat);
        self.apart.push(self.waits(start));
        self.apart.len() == 1
    }

    /// A start turned out to be another machine's; it took so long to learn that.
    pub fn set_aside(&mut self, start: Start, seat: &Seat, took: Duration) {
        self.leave(start, seat);
        self.elsewhere.push(self.waits(start));
        self.draw.in_vain(took);
    }

    /// A start was this machine's, and has ended.
    pub fn is_ours(&mut self, start: Start, seat: &Seat) {
        self.leave(start, seat);
        self.draw.won();
    }

    /// Other machines work at the sweep, too: what they have is asked before a round begins.
    pub fn shared(self) -> Self {
        Self { asks: Asks::Others, ..self }
    }

    /// Whether it is not known of this round what others have, or not any more.
    pub fn must_ask(&self) -> bool {
        self.has_others() && (self.asks == Asks::Others || self.draw.is_out_of_date())
    }

    /// How long others are not asked again where nothing is left to begin.
    pub fn pause(&self, usual: Duration) -> Duration {
        self.draw.pause(usual)
    }

    /// Takes back what nobody has, and leaves out what is done or another's. It took so long to learn that.
    pub fn look_again(&mut self, stands: &BTreeMap<String, Standing>, took: Duration) {
        if self.asks == Asks::Others {
            self.asks = Asks::Again;
        }
        self.draw.asked(took);
        let is_done =
            |waiting: &Waiting<Start>| stands.get(&Sharing::name_of(self.plan, waiting.what)) == Some(&Standing::Done);
        self.apart.retain(|waiting| !is_done(waiting));
        let waiting = std::mem::take(&mut self.waiting);
        for waiting in waiting.into_iter().chain(std::mem::take(&mut self.elsewhere)) {
            match stands.get(&Sharing::name_of(self.plan, waiting.what)) {
                Some(Standing::Done) => {}
                Some(Standing::Held) => self.elsewhere.push(waiting),
                Some(Standing::Free { .. }) | None => self.waiting.push_back(waiting),
            }
        }
    }

    /// A server has ended.
    pub fn leave(&mut self, start: Start, seat: &Seat) {
        self.busy.retain(|server| *server != start.server);
        self.seats.give_back(seat);
    }
}
