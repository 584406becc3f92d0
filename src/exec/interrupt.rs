//! The user's wish to stop, as a value that every wait listens to.

use tokio::sync::watch;

/// Held by whoever hears the signal.
pub struct Interrupter(watch::Sender<bool>);

/// Held by whoever waits for something.
#[derive(Clone)]
pub struct Interrupt(watch::Receiver<bool>);

impl Interrupter {
    pub fn new() -> (Self, Interrupt) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Interrupt(receiver))
    }

    pub fn interrupt(&self) {
        self.0.send_replace(true);
    }
}

impl Interrupt {
    pub fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    /// Ends when the user asks to stop; never, when nobody can ask any more.
    pub async fn asked(&mut self) {
        if self.0.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
