use super::*;

const SERVER: Option<ErrorCode> = Some(ErrorCode::ServerUnreachable);
const SUSPECT: Option<ErrorCode> = Some(ErrorCode::ServerError);
const JOB: Option<ErrorCode> = Some(ErrorCode::ToolFailed);
const REFUSAL: Option<ErrorCode> = Some(ErrorCode::Unauthorized);
/// Ways to fail, of which no five in a row are the same.
const MIXED: [ErrorCode; 4] = [
    ErrorCode::ServerError,
    ErrorCode::RateLimited,
    ErrorCode::CallTimeout,
    ErrorCode::ServerUnavailable,
];

fn opened(now: Instant) -> Breaker {
    let mut breaker = Breaker::default();
    for job in 0..3 {
        breaker.outcome(now, job, SERVER);
    }
    assert!(breaker.is_open());
    breaker
}

/// Opened by failures of calls that arrived.
fn suspected(now: Instant) -> Breaker {
    let mut breaker = Breaker::default();
    for job in 0..10 {
        breaker.outcome(now, job, SUSPECT);
    }
    assert!(breaker.is_open());
    breaker
}

fn try_with(breaker: &mut Breaker, now: Instant, job: u64) {
    breaker.asked();
    breaker.answered(now, false);
    breaker.trial_started(job);
}

#[test]
fn calls_that_do_not_arrive_open_it_even_for_one_job() {
    let now = Instant::now();
    let mut breaker = Breaker::default();
    assert_eq!(breaker.outcome(now, 1, SERVER), None);
    assert_eq!(breaker.outcome(now, 1, SERVER), None);
    let third = breaker.outcome(now, 1, SERVER);
    assert_eq!(third, Some(Transition::Opened));
    let waits = Admission::NotBefore(now + FIRST_WAIT);
    assert_eq!(breaker.admission(now), waits);
}

#[test]
fn one_job_that_fails_over_and_over_does_not_open_it() {
    let now = Instant::now();
    let mut breaker = Breaker::default();
    for _ in 0..200 {
        assert_eq!(breaker.outcome(now, 7, SUSPECT), None);
    }
}

#[test]
fn many_jobs_that_fail_in_a_row_open_it_and_an_answer_in_between_does_not() {
    let now = Instant::now();
    let mut breaker = Breaker::default();
    let mut fail = |job: u64| breaker.outcome(now, job, Some(MIXED[job as usize % MIXED.len()]));
    assert!((0..9).all(|job| fail(job).is_none()));
    assert_eq!(breaker.outcome(now, 9, JOB), None);
    let mut fail = |job: u64| breaker.outcome(now, job, Some(MIXED[job as usize % MIXED.len()]));
    assert!((0..9).all(|job| fail(job).is_none()));
    assert_eq!(fail(9), Some(Transition::Opened));
}

#[test]
fn half_of_the_last_calls_open_it_and_a_third_does_not() {
    let now = Instant::now();
    let run = |every: u64| {
        let mut breaker = Breaker::default();
        (0..500).any(|job| {
            let blame = (job % every == 0).then_some(ErrorCode::ServerError);
            breaker.outcome(now, job, blame).is_some()
        })
    };
    assert!(run(2));
    assert!(!run(3));
}

#[test]
fn it_asks_then_tries_one_job_then_closes_or_doubles_the_wait() {
    let now = Instant::now();
    let mut breaker = suspected(now);
    let later = now + FIRST_WAIT;
    assert_eq!(breaker.admission(later), Admission::Ask);
    breaker.asked();
    assert_eq!(breaker.admission(later), Admission::Wait);
    breaker.answered(later, true);
    let waits = Admission::NotBefore(later + FIRST_WAIT * 2);
    assert_eq!(breaker.admission(later), waits);
    breaker.asked();
    breaker.answered(later, false);
    assert_eq!(breaker.admission(later), Admission::Trial);
    breaker.trial_started(1);
    assert_eq!(breaker.admission(later), Admission::Wait);
    assert_eq!(breaker.outcome(later, 1, SUSPECT), None);
    let waits = Admission::NotBefore(later + FIRST_WAIT * 4);
    assert_eq!(breaker.admission(later), waits);
    try_with(&mut breaker, later, 2);
    assert_eq!(breaker.outcome(later, 2, None), Some(Transition::Closed));
    assert_eq!(breaker.admission(later), Admission::Open);
}

#[test]
fn a_straggler_neither_closes_it_nor_counts_as_the_trial() {
    let now = Instant::now();
    let mut breaker = suspected(now);
    assert_eq!(breaker.outcome(now, 3, None), None);
    try_with(&mut breaker, now, 1);
    assert_eq!(breaker.outcome(now, 3, SUSPECT), None);
    assert_eq!(breaker.outcome(now, 3, None), None);
    assert_eq!(breaker.outcome(now, 1, None), Some(Transition::Closed));
}

#[test]
fn a_straggler_that_goes_well_shows_that_not_everybody_is_refused() {
    let now = Instant::now();
    let mut breaker = Breaker::default();
    breaker.outcome(now, 1, REFUSAL);
    let refused = (1, ErrorCode::Unauthorized, now);
    let opened = breaker.refuses_everybody(now + DOUBT, refused, true);
    assert_eq!(opened, Some(Transition::Opened));
    assert_eq!(breaker.outcome(now + DOUBT, 2, REFUSAL), None);
    let well = breaker.outcome(now + DOUBT, 3, None);
    assert_eq!(well, Some(Transition::Closed));
    // The next outage is of another kind.
    for job in 0..3 {
        breaker.outcome(now + DOUBT, job, SERVER);
    }
    assert!(breaker.is_open());
    assert_eq!(breaker.outcome(now + DOUBT, 4, None), None);
}

#[test]
fn after_calls_did_not_arrive_a_trial_that_does_closes_it_whatever_becomes_of_its_job() {
    let now = Instant::now();
    let mut breaker = opened(now);
    try_with(&mut breaker, now, 1);
    let outcome = breaker.outcome(now, 1, SUSPECT);
    assert_eq!(outcome, Some(Transition::Closed));
}

#[test]
fn the_outage_is_the_time_in_which_it_was_open() {
    let now = Instant::now();
    let mut breaker = opened(now);
    let second = Duration::from_secs(1);
    assert_eq!(breaker.outage(now + second), second);
    try_with(&mut breaker, now + second, 1);
    breaker.outcome(now + second, 1, SERVER);
    try_with(&mut breaker, now + 2 * second, 1);
    breaker.outcome(now + 2 * second, 1, None);
    assert_eq!(breaker.outage(now + 9 * second), 2 * second);
}

#[test]
fn an_abandoned_trial_lets_the_next_one_through() {
    let now = Instant::now();
    let mut breaker = opened(now);
    try_with(&mut breaker, now, 1);
    breaker.abandoned(9);
    assert_eq!(breaker.admission(now), Admission::Wait);
    breaker.abandoned(1);
    assert_eq!(breaker.admission(now), Admission::Trial);
}

#[test]
fn a_server_that_says_it_is_not_ready_opens_it_once() {
    let now = Instant::now();
    let mut breaker = Breaker::default();
    assert_eq!(breaker.not_ready(now), Some(Transition::Opened));
    assert_eq!(breaker.not_ready(now), None);
}

#[test]
fn few_jobs_that_fail_in_the_same_way_open_it_and_it_is_remembered() {
    let now = Instant::now();
    for (failure, jobs, failures) in [
        (ErrorCode::Unauthorized, 5, 5),
        (ErrorCode::ServerUnavailable, 5, 10),
        (ErrorCode::ConnectionLost, 3, 10),
    ] {
        let mut breaker = Breaker::default();
        for failed in 1..failures {
            assert_eq!(breaker.outcome(now, failed % jobs, Some(failure)), None);
        }
        assert!(!breaker.opened_since(now));
        let last = breaker.outcome(now, failures % jobs, Some(failure));
        assert_eq!(last, Some(Transition::Opened), "{failure}");
        try_with(&mut breaker, now, 5);
        breaker.outcome(now, 5, None);
        assert!(!breaker.is_open() && breaker.opened_since(now));
        assert!(!breaker.opened_since(now + Duration::from_secs(1)));
    }
}

#[test]
fn fewer_jobs_may_be_their_own_trouble() {
    let now = Instant::now();
    for (failure, jobs) in [
        (ErrorCode::Unauthorized, 4),
        (ErrorCode::ServerUnavailable, 4),
        (ErrorCode::ConnectionLost, 2),
    ] {
        let mut breaker = Breaker::default();
        assert!((0..100).all(|call| breaker.outcome(now, call % jobs, Some(failure)).is_none()));
    }
}

#[test]
fn a_refusal_that_others_get_too_is_everybodys() {
    let now = Instant::now();
    let forbidden = Some(ErrorCode::Forbidden);
    for (others, wait, everybody) in [
        (vec![], false, false),
        (vec![], true, true),
        (vec![forbidden], false, false),
        (vec![REFUSAL, None], true, false),
        (vec![None, REFUSAL], false, true),
    ] {
        let mut breaker = Breaker::default();
        breaker.outcome(now, 0, REFUSAL);
        for (job, outcome) in (1..).zip(&others) {
            breaker.outcome(now, job, *outcome);
        }
        let refused = (0, ErrorCode::Unauthorized, now);
        let transition = breaker.refuses_everybody(now, refused, wait);
        let expected = everybody.then_some(Transition::Opened);
        assert_eq!(transition, expected, "{others:?}");
    }
}

#[test]
fn refusals_that_lie_apart_are_no_outage_unless_there_are_many() {
    let start = Instant::now();
    let refuse = |breaker: &mut Breaker, job: u64, at: Duration| {
        let opened = breaker.outcome(start + at, job, REFUSAL);
        let refused = (job, ErrorCode::Unauthorized, start + at);
        let asked = start + at + DOUBT;
        opened.or_else(|| breaker.refuses_everybody(asked, refused, false))
    };
    let hour = Duration::from_secs(3_600);
    for (apart, everybody) in [(DOUBT, true), (DOUBT * 2, false), (hour, false)] {
        let mut breaker = Breaker::default();
        assert_eq!(refuse(&mut breaker, 0, Duration::ZERO), None);
        let second = refuse(&mut breaker, 1, apart);
        let expected = everybody.then_some(Transition::Opened);
        assert_eq!(second, expected, "{apart:?} apart");
    }
    // Whoever was refused long ago and is refused again is one of them.
    let mut breaker = Breaker::default();
    assert_eq!(refuse(&mut breaker, 0, Duration::ZERO), None);
    assert_eq!(refuse(&mut breaker, 0, hour), None);
    let second = refuse(&mut breaker, 1, hour);
    assert_eq!(second, Some(Transition::Opened));
    // Five jobs in a row and no other: a server that serves nobody, however seldom it is called.
    let mut breaker = Breaker::default();
    for job in 0..4 {
        assert_eq!(refuse(&mut breaker, job, hour * job as u32), None);
    }
    let fifth = refuse(&mut breaker, 4, hour * 4);
    assert_eq!(fifth, Some(Transition::Opened));
}

#[test]
fn an_outage_explains_what_failed_from_its_first_failure_to_its_end() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut breaker = Breaker::default();
    assert_eq!(breaker.outcome(at(1), 1, SUSPECT), None);
    assert_eq!(breaker.outcome(at(2), 1, None), None);
    for job in 3..12 {
        assert_eq!(breaker.outcome(at(job), job, SUSPECT), None);
        assert!(!breaker.explains((at(job - 1), at(job))));
    }
    assert!(breaker.not_ready(at(12)).is_some());
    // Whatever failed since the last success is the outage's, and nothing before.
    assert!(breaker.explains((at(1), at(3))));
    assert!(!breaker.explains((at(0), at(1))));
    try_with(&mut breaker, at(20), 7);
    breaker.outcome(at(21), 7, None);
    // Hung until after the end.
    assert!(breaker.explains((at(20), at(30))));
    assert!(!breaker.explains((at(22), at(23))));
}

#[test]
fn a_call_that_ran_out_of_time_while_others_were_answered_is_no_evidence() {
    let mut breaker = Breaker::default();
    let began = Instant::now();
    let later = began + Duration::from_secs(2);
    let timeout = Some(ErrorCode::CallTimeout);
    assert!(breaker.is_evidence(began, timeout));
    breaker.outcome(later, 1, None);
    assert!(!breaker.is_evidence(began, timeout));
    assert!(breaker.is_evidence(began, Some(ErrorCode::ServerUnavailable)));
    assert!(breaker.is_evidence(later + Duration::from_secs(1), timeout));
}
