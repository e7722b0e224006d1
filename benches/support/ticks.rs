//! The pace of an open loop: ticks that are exact to some microseconds, where the runtime's own are exact to a millisecond,
//! which is more than what many answers take.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::read;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::Outcome;

/// A timer of the system, which the runtime waits for as it does for connections.
pub(crate) struct Ticks(AsyncFd<OwnedFd>);

impl Ticks {
    /// Begins to tick.
    pub(crate) fn every(interval: Duration) -> Outcome<Self> {
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        let interval = Timespec {
            tv_sec: interval.as_secs().try_into()?,
            tv_nsec: interval.subsec_nanos().into(),
        };
        let ticking = Itimerspec { it_interval: interval, it_value: interval };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &ticking)?;
        Ok(Self(AsyncFd::with_interest(timer, Interest::READABLE)?))
    }

    /// Waits for the next tick. Those that were missed are one.
    pub(crate) async fn next(&self) -> Outcome {
        loop {
            let mut ready = self.0.readable().await?;
            // How many there were.
            let mut count = [0; 8];
            if let Ok(ticked) = ready.try_io(|timer| Ok(read(timer.get_ref(), &mut count)?)) {
                ticked?;
                return Ok(());
            }
        }
    }
}
