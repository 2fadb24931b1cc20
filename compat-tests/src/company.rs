//! Runs of one scenario with several clients that share a cluster of its own. What disturbs the cluster happens once, when
//! all of them have come that far.

use std::sync::Arc;

use anyhow::{Error, Result, bail};
use tokio::sync::watch;

/// One of the runs; the others do not wait for it any longer once it is dropped.
#[derive(Debug)]
pub(crate) struct Member(Arc<watch::Sender<State>>);

#[derive(Debug)]
struct State {
    /// Runs that are not over.
    members: usize,
    /// Those that have come to the next act.
    waiting: usize,
    /// What that is.
    next: Option<String>,
    /// One of those that wait is about it.
    begun: bool,
    /// Acts that are over.
    over: usize,
    /// What came of the last one.
    outcome: Result<(), String>,
}

impl Member {
    /// A company of so many.
    pub(crate) fn company(members: usize) -> Vec<Self> {
        let state = State { members, waiting: 0, next: None, begun: false, over: 0, outcome: Ok(()) };
        let company = Arc::new(watch::Sender::new(state));
        (0..members).map(|_| Self(company.clone())).collect()
    }

    /// Waits until all have come to the act called `what`, which one of them then does for all.
    ///
    /// # Errors
    /// If the act fails, for all of them; at once if the others have come to another act.
    pub(crate) async fn together(&self, what: &str, act: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
        let mut changes = self.0.subscribe();
        let mut turn = Ok(0);
        self.0.send_modify(|state| {
            if state.next.get_or_insert_with(|| what.to_owned()) == what {
                state.waiting += 1;
                turn = Ok(state.over);
            } else {
                turn = Err(state.next.clone());
            }
        });
        let turn = match turn {
            Ok(turn) => turn,
            Err(other) => bail!("come to `{what}` while others wait for {other:?}"),
        };
        loop {
            let mine = self.0.send_if_modified(|state| {
                let begins = state.over == turn && !state.begun && state.waiting == state.members;
                state.begun |= begins;
                begins
            });
            if mine {
                let outcome = act().await;
                let told = outcome.as_ref().map(drop).map_err(|err| format!("{err:#}"));
                self.0.send_modify(|state| {
                    let over = state.over + 1;
                    *state = State { waiting: 0, next: None, begun: false, over, outcome: told, ..*state };
                });
                return outcome;
            }
            let seen =
                changes.wait_for(|state| state.over > turn || (!state.begun && state.waiting == state.members)).await?;
            if seen.over > turn {
                return seen.outcome.clone().map_err(Error::msg);
            }
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.0.send_modify(|state| state.members -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use anyhow::ensure;

    use super::*;

    #[tokio::test]
    async fn an_act_happens_once_when_all_have_come_to_it() -> Result<()> {
        let mut company = Member::company(3);
        let (one, two, three) = (company.remove(0), company.remove(0), company.remove(0));
        let (came, acts) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let run = async |member: Member, rounds: usize| {
            for _ in 0..rounds {
                came.fetch_add(1, Ordering::Relaxed);
                let act = async || {
                    tokio::task::yield_now().await;
                    acts.fetch_add(1, Ordering::Relaxed);
                    ensure!([3, 6, 8].contains(&came.load(Ordering::Relaxed)), "somebody is missing");
                    Ok(())
                };
                member.together("act", act).await?;
            }
            anyhow::Ok(())
        };
        // One of them goes early, and is not waited for.
        tokio::try_join!(run(one, 3), run(two, 2), run(three, 3))?;
        assert_eq!(acts.into_inner(), 3);
        Ok(())
    }

    #[tokio::test]
    async fn an_act_that_fails_fails_for_all() {
        let company = Member::company(2);
        let fails =
            async |member: &Member| member.together("act", async || bail!("no")).await.map_err(|e| e.to_string());
        let both = tokio::join!(fails(&company[0]), fails(&company[1]));
        assert_eq!(both, (Err("no".to_owned()), Err("no".to_owned())));
    }

    #[tokio::test]
    async fn two_acts_at_a_time_are_refused() {
        let company = Member::company(2);
        let stop = company[0].together("stop", async || Ok(()));
        let kill = async {
            let refused = company[1].together("kill", async || Ok(())).await;
            company[1].together("stop", async || Ok(())).await.map(|()| refused.is_err())
        };
        let (stopped, refused) = tokio::join!(stop, kill);
        assert!(stopped.is_ok() && refused.is_ok_and(|refused| refused));
    }
}
