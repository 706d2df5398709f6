//! What runs next: a pure structure, without clock, Kafka or async.
//!
//! Jobs wait in *lanes*. A lane runs one job at a time, in the order of arrival; lanes run beside each other. Key order
//! is a lane a key, partition order a lane a partition, and an unordered job has a lane of its own. A job that waits
//! for its next attempt is *parked*: it keeps its place in its lane, but holds no permit.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::hash::Hash;

use tokio::time::Instant;

/// Identifies a lane while it holds jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId(u64);

#[derive(Debug)]
struct Lane<N, J> {
    name: Option<N>,
    /// The head is the lane's next (or parked) job; the running one has been taken out.
    queue: VecDeque<J>,
    state: State,
    /// Where it goes once its parked job is due.
    place: Place,
}

/// Where a parked job goes among those that may run, once it is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Before the others: it has waited its time already.
    First,
    /// Behind the others.
    Last,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Ready,
    Running,
    Parked,
}

/// Jobs `J` in lanes, named ones by `N`.
#[derive(Debug)]
pub struct Scheduler<N, J> {
    lanes: HashMap<LaneId, Lane<N, J>>,
    named: HashMap<N, LaneId>,
    ready: VecDeque<LaneId>,
    due: BinaryHeap<Reverse<(Instant, LaneId)>>,
    next_id: u64,
    running: usize,
    parked: usize,
}

impl<N: Clone + Eq + Hash, J> Default for Scheduler<N, J> {
    fn default() -> Self {
        Self {
            lanes: HashMap::new(),
            named: HashMap::new(),
            ready: VecDeque::new(),
            due: BinaryHeap::new(),
            next_id: 0,
            running: 0,
            parked: 0,
        }
    }
}

impl<N: Clone + Eq + Hash, J> Scheduler<N, J> {
    /// Adds a job behind the others of the lane `name`; without a name it has a lane of its own.
    pub fn push(&mut self, name: Option<N>, job: J) {
        if let Some(id) = name.as_ref().and_then(|name| self.named.get(name))
            && let Some(lane) = self.lanes.get_mut(id)
        {
            lane.queue.push_back(job);
            return;
        }
        let id = LaneId(self.next_id);
        self.next_id += 1;
        if let Some(name) = &name {
            self.named.insert(name.clone(), id);
        }
        let lane = Lane {
            name,
            queue: VecDeque::from([job]),
            state: State::Ready,
            place: Place::Last,
        };
        self.lanes.insert(id, lane);
        self.ready.push_back(id);
    }

    /// Takes the next job that may run: parked ones whose time has come, then lanes in the order they became ready.
    /// The caller must end it with [`Scheduler::finish`] or [`Scheduler::park`].
    pub fn next(&mut self, now: Instant) -> Option<(LaneId, J)> {
        self.wake(now);
        while let Some(id) = self.ready.pop_front() {
            let Some(lane) = self.lanes.get_mut(&id) else {
                continue;
            };
            if lane.state != State::Ready {
                continue;
            }
            if let Some(job) = lane.queue.pop_front() {
                lane.state = State::Running;
                self.running += 1;
                return Some((id, job));
            }
        }
        None
    }

    /// The running job of the lane is done; the lane's next one may run.
    pub fn finish(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get_mut(&id) else {
            return;
        };
        self.running -= 1;
        if lane.queue.is_empty() {
            self.remove(id);
        } else {
            lane.state = State::Ready;
            self.ready.push_back(id);
        }
    }

    /// The running job of the lane waits until `due` and then runs again, before the lane's others.
    pub fn park(&mut self, id: LaneId, job: J, due: Instant, place: Place) {
        let Some(lane) = self.lanes.get_mut(&id) else {
            return;
        };
        lane.queue.push_front(job);
        lane.state = State::Parked;
        lane.place = place;
        self.running -= 1;
        self.parked += 1;
        self.due.push(Reverse((due, id)));
    }

    /// When the next parked job is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((due, _))| *due)
    }

    /// Drops the waiting and parked jobs that `keep` refuses. Running ones are not touched.
    pub fn retain(&mut self, mut keep: impl FnMut(&J) -> bool) {
        let mut emptied = Vec::new();
        for (id, lane) in &mut self.lanes {
            let head_parked = lane.state == State::Parked;
            let mut index = 0;
            let mut head_dropped = false;
            lane.queue.retain(|job| {
                let kept = keep(job);
                head_dropped |= index == 0 && !kept;
                index += 1;
                kept
            });
            if head_parked && head_dropped {
                // The next job of the lane does not inherit the wait.
                self.parked -= 1;
                lane.state = State::Ready;
                self.ready.push_back(*id);
            }
            if lane.queue.is_empty() && lane.state != State::Running {
                emptied.push(*id);
            }
        }
        for id in emptied {
            self.remove(id);
        }
        let lanes = &self.lanes;
        self.due.retain(|Reverse((_, id))| {
            lanes
                .get(id)
                .is_some_and(|lane| lane.state == State::Parked)
        });
    }

    /// Jobs taken out and not yet ended.
    pub fn running(&self) -> usize {
        self.running
    }

    /// Jobs that wait for their next attempt.
    pub fn parked(&self) -> usize {
        self.parked
    }

    /// Whether a job could run now.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    fn wake(&mut self, now: Instant) {
        let mut first = Vec::new();
        while let Some(Reverse((due, id))) = self.due.peek().copied() {
            if due > now {
                break;
            }
            self.due.pop();
            if let Some(lane) = self.lanes.get_mut(&id)
                && lane.state == State::Parked
            {
                lane.state = State::Ready;
                self.parked -= 1;
                match lane.place {
                    Place::First => first.push(id),
                    Place::Last => self.ready.push_back(id),
                }
            }
        }
        // In the order in which they were due.
        for id in first.into_iter().rev() {
            self.ready.push_front(id);
        }
    }

    fn remove(&mut self, id: LaneId) {
        if let Some(lane) = self.lanes.remove(&id)
            && let Some(name) = lane.name
        {
            self.named.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests;
