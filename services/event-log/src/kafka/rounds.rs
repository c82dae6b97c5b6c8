//! Making topics together: who asks while a question is under way is asked for by the next one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use shared_events::topic::TopicSpec;

use crate::port::Error;

/// What came of making topics.
#[derive(Debug, Clone)]
pub(super) struct Made {
    /// Partition count of every topic there is.
    pub(super) found: BTreeMap<String, i32>,
    /// Why some could not be made.
    pub(super) trouble: Option<Error>,
}

impl Made {
    /// Whether these topics are there as they have to be.
    pub(super) fn check(&self, topics: &[TopicSpec]) -> Result<(), Error> {
        for topic in topics {
            match (self.found.get(&topic.name), &self.trouble) {
                (Some(&found), _) if found != topic.partitions => {
                    return Err(Error::WrongPartitions {
                        topic: topic.name.clone(),
                        found,
                        expected: topic.partitions,
                    });
                }
                (None, Some(trouble)) => return Err(trouble.clone()),
                (Some(_), _) | (None, None) => {}
            }
        }
        Ok(())
    }
}

/// One question to the broker, and all whose question it is.
#[derive(Debug, Default)]
struct Round {
    topics: Mutex<Vec<TopicSpec>>,
    answer: OnceLock<Result<Made, Error>>,
}

/// Questions one after the other, each for all who came since the one before was put.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    turn: Mutex<Turn>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Turn {
    asking: bool,
    next: Arc<Round>,
}

impl Rounds {
    /// Makes topics with `make`, by a question that is put after this call.
    pub(super) fn together(
        &self,
        topics: &[TopicSpec],
        make: impl FnOnce(&[TopicSpec]) -> Result<Made, Error>,
    ) -> Result<Made, Error> {
        let mut turn = self.turn();
        let round = Arc::clone(&turn.next);
        let mut asked = round.topics.lock().unwrap_or_else(PoisonError::into_inner);
        asked.extend_from_slice(topics);
        drop(asked);
        while turn.asking {
            turn = self.ended.wait(turn).unwrap_or_else(PoisonError::into_inner);
            if let Some(answer) = round.answer.get() {
                return answer.clone();
            }
        }
        // Nobody asks, so this one does, for all of its round.
        turn.asking = true;
        if Arc::ptr_eq(&turn.next, &round) {
            turn.next = Arc::default();
        }
        drop(turn);
        let asking = Asking(self);
        let answer = make(&round.each_once());
        let answer = round.answer.get_or_init(|| answer).clone();
        drop(asking);
        answer
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Round {
    /// Of two who disagree about a topic, the first has it made; the other is told.
    fn each_once(&self) -> Vec<TopicSpec> {
        let mut seen = BTreeSet::new();
        let topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        topics.iter().filter(|topic| seen.insert(topic.name.clone())).cloned().collect()
    }
}

/// Ends the question also when it panics: others wait for their turn.
struct Asking<'a>(&'a Rounds);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.turn().asking = false;
        self.0.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    fn spec(name: &str) -> TopicSpec {
        TopicSpec { name: name.to_owned(), partitions: 1, settings: &[] }
    }

    fn made(topics: &[TopicSpec]) -> Result<Made, Error> {
        let found = topics.iter().map(|topic| (topic.name.clone(), topic.partitions)).collect();
        Ok(Made { found, trouble: None })
    }

    #[test]
    fn who_asks_while_a_question_is_under_way_is_asked_for_by_one_more_question() {
        let rounds = Rounds::default();
        let (go, wait) = mpsc::channel::<()>();
        let (put, questions) = mpsc::channel();
        thread::scope(|scope| {
            let (rounds, first) = (&rounds, put.clone());
            scope.spawn(move || {
                rounds.together(&[spec("first")], |topics| {
                    first.send(topics.len()).unwrap();
                    wait.recv().unwrap();
                    made(topics)
                })
            });
            assert_eq!(questions.recv().unwrap(), 1);
            let others: Vec<_> = (0..50)
                .map(|n| {
                    let put = put.clone();
                    scope.spawn(move || {
                        let name = format!("topic {}", n % 25);
                        let made = rounds.together(&[spec(&name)], |topics| {
                            put.send(topics.len()).unwrap();
                            made(topics)
                        });
                        assert!(made.unwrap().found.contains_key(&name));
                    })
                })
                .collect();
            let joined = || rounds.turn().next.topics.lock().unwrap().len();
            while joined() < 50 {
                thread::yield_now();
            }
            go.send(()).unwrap();
            others.into_iter().for_each(|other| other.join().unwrap());
        });
        assert_eq!(questions.try_iter().collect::<Vec<_>>(), [25], "one question for all of them");
    }

    #[test]
    fn a_question_that_panics_does_not_leave_others_waiting() {
        let rounds = Rounds::default();
        let (go, wait) = mpsc::channel::<()>();
        thread::scope(|scope| {
            let rounds = &rounds;
            let broken = scope.spawn(move || {
                rounds.together(&[spec("first")], |_topics| {
                    wait.recv().unwrap();
                    panic!("a defect")
                })
            });
            while !rounds.turn().asking {
                thread::yield_now();
            }
            let other = scope.spawn(|| rounds.together(&[spec("other")], made));
            go.send(()).unwrap();
            assert!(broken.join().is_err());
            assert!(other.join().unwrap().unwrap().found.contains_key("other"));
        });
    }

    #[test]
    fn a_topic_that_cannot_be_made_is_told_to_those_who_want_it() {
        let found = [("there".to_owned(), 1)].into();
        let made = Made { found, trouble: Some(Error::Denied("no".to_owned())) };
        assert_eq!(made.check(&[spec("there")]), Ok(()));
        assert_eq!(made.check(&[spec("gone")]), Err(Error::Denied("no".to_owned())));
    }
}
