//! A sweep at which several machines work: each claims one start of a server after the other, and none waits for another that has died.

use super::core::{Core, Halt};
use crate::params::ParamSet;
use crate::plan::{Combination, Plan, Start};
use crate::store::{Claimed, Claims, Lease, Mix, Standing, StoreError, SweepState};
use chrono::Utc;
use std::cell::RefCell;
use std::time::Duration;

/// What to do where all that is left is being done by others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Wait: one of them may die.
    Wait,
    /// Leave it to them.
    Leave,
}

/// How a sweep is shared.
#[derive(Clone)]
pub struct Sharing {
    pub claims: Claims,
    pub mix: Mix,
    pub patience: Patience,
}

/// Who has a start.
pub enum Begun {
    Ours(Lease),
    /// Somebody else has it, or has made it.
    Elsewhere,
    /// It was begun on machines of another kind.
    OtherKind(String),
}

/// How a shared sweep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concluded {
    Here,
    LeftToOthers,
}

/// The end of a shared sweep is claimed, too: one machine puts its tables together.
const END: &str = "end";

impl Sharing {
    /// What the claim of a start is called: by the server's parameters, so that others may be added.
    pub fn name_of(plan: &Plan, start: Start) -> String {
        let serve = plan.servers.get(start.server).map(|server| server.serve.clone()).unwrap_or_default();
        format!("{}-{}", Combination::new(serve, ParamSet::unchanged()).id, start.round)
    }

    /// Claims a start, and learns what others made of its runs before.
    pub async fn begin(&self, core: &RefCell<Core<'_>>, start: Start) -> Result<Begun, StoreError> {
        let name = Self::name_of(core.borrow().plan, start);
        Ok(match self.claims.claim(&name, self.mix).await? {
            Claimed::Ours(lease) => {
                core.borrow_mut().learn(start.server)?;
                Begun::Ours(lease)
            }
            Claimed::Held | Claimed::Done => Begun::Elsewhere,
            Claimed::OtherKind(kind) => Begun::OtherKind(kind),
        })
    }

    /// What becomes of a lease once its start has ended.
    pub async fn end(&self, lease: Lease, ended: &Result<(), Halt>) -> Result<(), StoreError> {
        match ended {
            Ok(()) => lease.finish().await,
            Err(Halt::Lost) => Ok(()),
            Err(_) => lease.release().await,
        }
    }

    /// Puts the tables of the whole sweep together, unless another machine does.
    pub async fn conclude(&self, core: &RefCell<Core<'_>>) -> Result<Concluded, StoreError> {
        loop {
            if let Claimed::Ours(lease) = self.claims.claim(END, Mix::Allowed).await? {
                let is_busy = |(name, standing): (&String, &Standing)| name != END && *standing == Standing::Held;
                let others = self.claims.survey().await?.iter().any(is_busy);
                let ended = if others { Ok(()) } else { core.borrow_mut().writer.finish_shared(Utc::now()) };
                lease.release().await?;
                match (others, self.patience) {
                    (false, _) => return ended.map(|()| Concluded::Here),
                    // Whoever works at other servers ends it.
                    (true, Patience::Leave) => return Ok(Concluded::LeftToOthers),
                    (true, Patience::Wait) => {}
                }
            }
            tokio::time::sleep(self.claims.patience().min(Duration::from_secs(1))).await;
            core.borrow_mut().writer.refresh()?;
            let core = core.borrow();
            if core.writer.manifest().state != SweepState::Running && core.writer.is_settled() {
                return Ok(Concluded::Here);
            }
        }
    }
}
