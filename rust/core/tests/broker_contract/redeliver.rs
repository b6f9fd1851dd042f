use fastq_core::broker::Harvest;
use fastq_core::job::ending::Verdict;

use crate::support::{Subject, each, id_of, ids, settle, take, until};

/// Checks that nothing is marked, where the broker gives messages back so.
fn unmarked(subject: &Subject, harvest: &Harvest) {
    let is_marked = harvest.deliveries.iter().any(|delivery| delivery.redelivered);
    assert!(!(is_marked && subject.broker.capabilities().releases_unmarked));
}

#[test]
fn a_released_message_goes_back_to_its_place_as_if_it_had_not_been_taken() {
    each(|subject| async move {
        for id in ["1", "2", "3"] {
            subject.send("q", id);
        }
        let mut session = subject.session(&["q"]).await;
        let delivery = take(&mut session, 1).await.deliveries.remove(0);
        settle(&mut session, delivery, Verdict::Release).await;
        let harvest = take(&mut session, 3).await;
        assert_eq!(ids(&harvest), ["1", "2", "3"]);
        assert!(harvest.deliveries.iter().all(|delivery| delivery.deaths == 0));
        unmarked(&subject, &harvest);
    });
}

#[test]
fn a_requeued_message_is_marked_and_deaths_are_counted() {
    each(|subject| async move {
        subject.send("q", "1");
        let mut session = subject.session(&["q"]).await;
        for (died, deaths) in [(false, 0), (true, 1), (true, 2), (false, 2)] {
            let delivery = take(&mut session, 1).await.deliveries.remove(0);
            settle(&mut session, delivery, Verdict::Requeue { died }).await;
            let again = take(&mut session, 1).await.deliveries.remove(0);
            assert_eq!((id_of(&again).as_str(), again.redelivered, again.deaths), ("1", true, deaths));
            settle(&mut session, again, Verdict::Release).await;
        }
    });
}

#[test]
fn closing_a_session_puts_back_what_it_held_unstarted() {
    each(|subject| async move {
        for id in ["1", "2", "3"] {
            subject.send("q", id);
        }
        let mut first = subject.session(&["q"]).await;
        take(&mut first, 2).await;
        first.close().await.unwrap();
        assert_eq!(subject.depth("q").ready, 3);
        let mut second = subject.session(&["q"]).await;
        let harvest = take(&mut second, 3).await;
        assert_eq!(ids(&harvest), ["1", "2", "3"]);
        unmarked(&subject, &harvest);
    });
}

#[test]
fn dropping_a_session_puts_back_what_it_held() {
    each(|subject| async move {
        subject.send("q", "1");
        let mut first = subject.session(&["q"]).await;
        take(&mut first, 1).await;
        drop(first);
        until("the message is back", || subject.depth("q").ready == 1);
    });
}

#[test]
fn what_one_session_gives_back_wakes_another() {
    each(|subject| async move {
        if subject.broker.capabilities().pushes {
            return; // its server chooses whom it sends the message, the first one included
        }
        subject.send("q", "1");
        let mut first = subject.session(&["q"]).await;
        let mut second = subject.session(&["q"]).await;
        let delivery = take(&mut first, 1).await.deliveries.remove(0);
        assert!(take(&mut second, 1).await.deliveries.is_empty());
        settle(&mut first, delivery, Verdict::Release).await;
        second.arrival().await;
        assert_eq!(ids(&take(&mut second, 1).await), ["1"]);
    });
}
