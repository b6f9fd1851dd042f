use super::*;

fn idle() -> Slot {
    let mut slot = Slot::new(SlotId(0), true, 1, Instant(0));
    slot.hello(Instant(0)).unwrap();
    slot
}

#[test]
fn a_slot_is_idle_again_when_its_last_job_ended() {
    let mut slot = idle();
    assert_eq!(slot.assign(Tag(7), None, Instant(1)).unwrap(), 1);
    assert_eq!(slot.assign(Tag(8), None, Instant(1)).unwrap(), 2);
    assert!(slot.finish(Tag(7), Instant(2)).unwrap());
    assert_eq!(slot.state(), SlotState::Busy);
    assert!(slot.finish(Tag(8), Instant(3)).unwrap());
    assert_eq!(slot.state(), SlotState::Idle);
    assert!(!slot.finish(Tag(8), Instant(3)).unwrap());
}

#[test]
fn closing_gives_back_exactly_what_had_not_started() {
    let mut slot = idle();
    for tag in 1..=4 {
        slot.assign(Tag(tag), None, Instant(0)).unwrap();
    }
    assert_eq!(slot.close(2).unwrap(), vec![Tag(3), Tag(4)]);
    assert!(slot.assign(Tag(5), None, Instant(0)).is_err());
    assert!(slot.reopen().is_err(), "two jobs are still running");
    slot.finish(Tag(1), Instant(1)).unwrap();
    slot.finish(Tag(2), Instant(1)).unwrap();
    assert!(slot.reopen().is_err(), "two jobs may still lie in its pipe");
    slot.dropped(Instant(1));
    slot.dropped(Instant(1));
    slot.reopen().unwrap();
    assert_eq!(slot.assign(Tag(5), None, Instant(2)).unwrap(), 5, "numbers go on");
}

#[test]
fn an_input_that_does_not_fit_names_state_and_input() {
    let mut slot = Slot::new(SlotId(3), true, 1, Instant(0));
    let error = slot.assign(Tag(1), None, Instant(0)).unwrap_err().to_string();
    assert!(error.contains("Starting") && error.contains("Assign") && error.contains("slot: 3"), "{error}");
}
