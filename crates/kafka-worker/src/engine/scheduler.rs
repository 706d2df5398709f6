//! What runs next: a pure structure, without clock, Kafka or async.
//!
//! Jobs wait in *lanes*. A lane runs one job at a time, in the order of arrival; lanes run beside each other. Key order
//! is a lane a key, partition order a lane a partition, and an unordered job has a lane of its own. A job that waits
//! for its next attempt is *parked*: it keeps its place in its lane, but holds no permit. Parked jobs and those behind
//! another one of their lane are told that they wait ([`Queued`]), since they must not take the room of those that
//! could run. Lanes belong to *groups*, a partition each, which take turns: a partition with many jobs does not stop one
//! with few.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::hash::Hash;

use tokio::time::Instant;

/// A job that is told whether it waits: that it could not run even if there were a permit.
pub trait Queued {
    /// Called whenever that changes, and sometimes when it does not.
    fn set_waiting(&mut self, waiting: bool);
}

impl<J: Queued> Queued for Box<J> {
    fn set_waiting(&mut self, waiting: bool) {
        (**self).set_waiting(waiting);
    }
}

/// Identifies a lane while it holds jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LaneId<N> {
    /// Jobs of that name share it.
    Named(N),
    /// One job's own.
    Alone(u64),
}

#[derive(Debug)]
struct Lane<J> {
    group: u64,
    /// The head is the lane's next (or parked) job; the running one has been taken out.
    queue: VecDeque<J>,
    state: State,
    /// When its parked job is due, and where it goes then.
    due: Option<Instant>,
    place: Place,
}

/// The lanes that may run, by group; groups take turns.
#[derive(Debug)]
struct Ready<N> {
    groups: HashMap<u64, VecDeque<LaneId<N>>>,
    /// The groups that have any, the next one first.
    turns: VecDeque<u64>,
}

impl<N> Default for Ready<N> {
    fn default() -> Self {
        Self {
            groups: HashMap::new(),
            turns: VecDeque::new(),
        }
    }
}

impl<N: Copy> Ready<N> {
    fn of(&mut self, group: u64) -> &mut VecDeque<LaneId<N>> {
        let turns = &mut self.turns;
        self.groups.entry(group).or_insert_with(|| {
            turns.push_back(group);
            VecDeque::new()
        })
    }

    fn push_back(&mut self, group: u64, id: LaneId<N>) {
        self.of(group).push_back(id);
    }

    fn push_front(&mut self, group: u64, id: LaneId<N>) {
        self.of(group).push_front(id);
    }

    /// The first lane of the next group of which it is `allowed`.
    fn pop(&mut self, allowed: impl Fn(&LaneId<N>) -> bool) -> Option<LaneId<N>> {
        let groups = &self.groups;
        let first = |group: &u64| groups.get(group).and_then(VecDeque::front);
        let turn = self
            .turns
            .iter()
            .position(|group| first(group).is_none_or(&allowed))?;
        let group = self.turns.remove(turn)?;
        let lanes = self.groups.get_mut(&group)?;
        let id = lanes.pop_front();
        if lanes.is_empty() {
            self.groups.remove(&group);
        } else {
            self.turns.push_back(group);
        }
        id
    }

    fn pop_where(&mut self, wanted: impl Fn(&LaneId<N>) -> bool) -> Option<LaneId<N>> {
        for (turn, group) in self.turns.iter().enumerate() {
            let lanes = self.groups.get_mut(group)?;
            if let Some(at) = lanes.iter().position(&wanted) {
                let id = lanes.remove(at);
                if lanes.is_empty() {
                    self.groups.remove(group);
                    self.turns.remove(turn);
                }
                return id;
            }
        }
        None
    }
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
    lanes: HashMap<LaneId<N>, Lane<J>>,
    ready: Ready<N>,
    due: BinaryHeap<Reverse<(Instant, LaneId<N>)>>,
    next_id: u64,
    running: usize,
    parked: usize,
}

impl<N: Copy + Ord + Hash, J> Default for Scheduler<N, J> {
    fn default() -> Self {
        Self {
            lanes: HashMap::new(),
            ready: Ready::default(),
            due: BinaryHeap::new(),
            next_id: 0,
            running: 0,
            parked: 0,
        }
    }
}

impl<N: Copy + Ord + Hash, J: Queued> Scheduler<N, J> {
    /// Adds a job behind the others of the lane `name`, which belongs to `group`; without a name it has a lane of its
    /// own.
    pub fn push(&mut self, group: u64, name: Option<N>, mut job: J) {
        let id = match name {
            Some(name) => LaneId::Named(name),
            None => {
                self.next_id += 1;
                LaneId::Alone(self.next_id)
            }
        };
        match self.lanes.entry(id) {
            Entry::Occupied(mut lane) => {
                job.set_waiting(true);
                lane.get_mut().queue.push_back(job);
            }
            Entry::Vacant(place) => {
                place.insert(Lane {
                    group,
                    queue: VecDeque::from([job]),
                    state: State::Ready,
                    due: None,
                    place: Place::Last,
                });
                self.ready.push_back(group, id);
            }
        }
    }

    /// Takes the next job that may run: parked ones whose time has come, then lanes in the order they became ready.
    /// The caller must end it with [`Scheduler::finish`] or [`Scheduler::park`].
    pub fn next(&mut self, now: Instant) -> Option<(LaneId<N>, J)> {
        self.next_within(now, |_| true)
    }

    /// The same, of the groups that may have another one: each is asked about with the first of its jobs.
    pub fn next_within(
        &mut self,
        now: Instant,
        allowed: impl Fn(&J) -> bool,
    ) -> Option<(LaneId<N>, J)> {
        self.wake(now);
        loop {
            let lanes = &self.lanes;
            let id = self.ready.pop(|id| head(lanes, id).is_none_or(&allowed))?;
            if let Some(job) = self.take(id) {
                return Some((id, job));
            }
        }
    }

    /// As [`Scheduler::next`], but the first of those that `prefers` likes, if there is one.
    pub fn next_preferring(
        &mut self,
        now: Instant,
        prefers: impl Fn(&J) -> bool,
    ) -> Option<(LaneId<N>, J)> {
        self.wake(now);
        let lanes = &self.lanes;
        let is_liked = |id: &LaneId<N>| head(lanes, id).is_some_and(&prefers);
        if let Some(id) = self.ready.pop_where(is_liked)
            && let Some(job) = self.take(id)
        {
            return Some((id, job));
        }
        self.next(now)
    }

    /// Whether one of the jobs that may run now is as `wanted`.
    pub fn any_ready(&self, wanted: impl Fn(&J) -> bool) -> bool {
        let mut lanes = self.ready.groups.values().flatten();
        lanes.any(|id| head(&self.lanes, id).is_some_and(&wanted))
    }

    fn take(&mut self, id: LaneId<N>) -> Option<J> {
        let lane = self.lanes.get_mut(&id)?;
        if lane.state != State::Ready {
            return None;
        }
        let job = lane.queue.pop_front()?;
        lane.state = State::Running;
        self.running += 1;
        Some(job)
    }

    /// The running job of the lane is done; the lane's next one may run.
    pub fn finish(&mut self, id: LaneId<N>) {
        let Some(lane) = self.lanes.get_mut(&id) else {
            return;
        };
        self.running -= 1;
        if let Some(next) = lane.queue.front_mut() {
            next.set_waiting(false);
            lane.state = State::Ready;
            self.ready.push_back(lane.group, id);
        } else {
            self.lanes.remove(&id);
        }
    }

    /// The running job of the lane waits until `due` and then runs again, before the lane's others.
    pub fn park(&mut self, id: LaneId<N>, mut job: J, due: Instant, place: Place) {
        let Some(lane) = self.lanes.get_mut(&id) else {
            return;
        };
        job.set_waiting(true);
        lane.queue.push_front(job);
        lane.state = State::Parked;
        (lane.due, lane.place) = (Some(due), place);
        self.running -= 1;
        self.parked += 1;
        self.due.push(Reverse((due, id)));
    }

    /// When the next parked job is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((due, _))| *due)
    }

    /// The running job of the lane is given up, and so are those behind it that `keep` refuses: they must not overtake
    /// it. The next one of the lane may run.
    pub fn give_up(&mut self, id: LaneId<N>, mut keep: impl FnMut(&J) -> bool) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.queue.retain(|job| keep(job));
        }
        self.finish(id);
    }

    /// Drops the waiting and parked jobs that `keep` refuses. It is told until when a job's lane is parked. Running ones
    /// are not touched.
    pub fn retain(&mut self, mut keep: impl FnMut(&mut J, Option<Instant>) -> bool) {
        let mut emptied = Vec::new();
        for (id, lane) in &mut self.lanes {
            let parked = lane.due.filter(|_| lane.state == State::Parked);
            let mut index = 0;
            let mut head_dropped = false;
            lane.queue.retain_mut(|job| {
                let kept = keep(job, parked);
                head_dropped |= index == 0 && !kept;
                index += 1;
                kept
            });
            if parked.is_some() && head_dropped {
                // The next job of the lane does not inherit the wait.
                self.parked -= 1;
                lane.state = State::Ready;
                self.ready.push_back(lane.group, *id);
            }
            if let (State::Ready, Some(next)) = (&lane.state, lane.queue.front_mut()) {
                next.set_waiting(false);
            }
            if lane.queue.is_empty() && lane.state != State::Running {
                emptied.push(*id);
            }
        }
        for id in emptied {
            self.lanes.remove(&id);
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
                if let Some(job) = lane.queue.front_mut() {
                    job.set_waiting(false);
                }
                match lane.place {
                    Place::First => first.push((lane.group, id)),
                    Place::Last => self.ready.push_back(lane.group, id),
                }
            }
        }
        // In the order in which they were due.
        for (group, id) in first.into_iter().rev() {
            self.ready.push_front(group, id);
        }
    }
}

/// The next job of a lane.
fn head<'a, N: Hash + Eq, J>(
    lanes: &'a HashMap<LaneId<N>, Lane<J>>,
    id: &LaneId<N>,
) -> Option<&'a J> {
    lanes.get(id)?.queue.front()
}

#[cfg(test)]
mod tests;
