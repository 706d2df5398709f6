//! How many programs may run at once; the number may change while some do.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{AcquireError, Semaphore};

/// Places for programs; cheap to clone, all clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Permits(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    free: Semaphore,
    count: Mutex<Count>,
}

#[derive(Debug)]
struct Count {
    most: usize,
    taken: usize,
    /// Places that are to go as soon as their programs have ended.
    surplus: usize,
}

impl Permits {
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Shared {
            free: Semaphore::new(most),
            count: Mutex::new(Count {
                most,
                taken: 0,
                surplus: 0,
            }),
        }))
    }

    /// A place, as soon as there is one.
    pub(crate) async fn take(&self) -> Result<Permit, AcquireError> {
        self.0.free.acquire().await?.forget();
        self.0.count().taken += 1;
        Ok(Permit(Arc::clone(&self.0)))
    }

    pub(crate) fn most(&self) -> usize {
        self.0.count().most
    }

    pub(crate) fn taken(&self) -> usize {
        self.0.count().taken
    }

    /// There may be so many from now on. If there are more, they end in their own time.
    pub(crate) fn resize(&self, most: usize) {
        let mut count = self.0.count();
        let more = most.saturating_sub(count.most);
        let kept = more.min(count.surplus);
        count.surplus -= kept;
        self.0.free.add_permits(more - kept);
        let fewer = count.most.saturating_sub(most);
        count.surplus += fewer - self.0.free.forget_permits(fewer);
        count.most = most;
    }
}

impl Shared {
    fn count(&self) -> MutexGuard<'_, Count> {
        // Each change is complete when a panic can happen.
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Shared>);

impl Drop for Permit {
    fn drop(&mut self) {
        let mut count = self.0.count();
        count.taken -= 1;
        if count.surplus > 0 {
            count.surplus -= 1;
        } else {
            self.0.free.add_permits(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_now::now;

    use super::Permits;

    /// Polls a future once.
    mod futures_now {
        use std::future::Future;
        use std::pin::pin;
        use std::task::{Context, Poll, Waker};

        pub(super) fn now<T>(future: impl Future<Output = T>) -> Option<T> {
            match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(value) => Some(value),
                Poll::Pending => None,
            }
        }
    }

    #[test]
    fn the_number_of_places_changes_while_some_are_taken() {
        let permits = Permits::new(2);
        let take = || now(permits.take()).map(|permit| permit.unwrap());
        let (first, second) = (take().unwrap(), take().unwrap());
        assert!(take().is_none());
        permits.resize(1);
        drop(first);
        assert!(take().is_none(), "one is taken, and there is only one");
        permits.resize(3);
        let third = take().unwrap();
        let fourth = take().unwrap();
        assert!(take().is_none());
        assert_eq!((permits.taken(), permits.most()), (3, 3));
        permits.resize(0);
        drop((second, third, fourth));
        assert!(take().is_none());
        permits.resize(1);
        assert!(take().is_some());
        assert_eq!(permits.taken(), 0);
    }
}
