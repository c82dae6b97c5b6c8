//! One suite of promises, held by every adapter: memory, calm and nasty, the mock broker, a real Kafka;
//! each of the last two with clients of one's own and with shared ones.
//!
//! A promise is a function over an [`Adapter`]; `promises!` makes a test of it for each adapter, and
//! for the nasty memory one run for each seed. What only a network can do stands in [`network`], what
//! sharing may not do in [`shared`].

#[cfg(test)]
mod network;
#[cfg(test)]
mod partitions;
#[cfg(test)]
mod publishing;
#[cfg(test)]
mod raw;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod shared;
#[cfg(test)]
mod support;
#[cfg(test)]
mod topics;

/// Seeds of the nasty memory: a failing one stands in the output of its test.
#[cfg(test)]
const SEEDS: std::ops::Range<u64> = 0..8;

#[cfg(test)]
macro_rules! promises {
    ($($file:ident: $($promise:ident),+;)+) => {
        mod memory {
            $($(#[test] fn $promise() { crate::$file::$promise(crate::support::Adapter::Memory); })+)+
        }
        mod nasty_memory {
            $($(#[test] fn $promise() {
                for seed in crate::SEEDS {
                    crate::$file::$promise(crate::support::Adapter::NastyMemory { seed });
                }
            })+)+
        }
        mod mock_broker {
            $($(#[test] fn $promise() { crate::$file::$promise(crate::support::Adapter::MockBroker); })+)+
        }
        mod shared_mock_broker {
            $($(#[test] fn $promise() {
                crate::$file::$promise(crate::support::Adapter::SharedMockBroker);
            })+)+
        }
        mod kafka {
            $($(#[test] fn $promise() { crate::$file::$promise(crate::support::Adapter::Kafka); })+)+
        }
        mod shared_kafka {
            $($(#[test] fn $promise() { crate::$file::$promise(crate::support::Adapter::SharedKafka); })+)+
        }
    };
}

#[cfg(test)]
promises! {
    topics:
        topics_that_exist_are_left_as_they_are,
        missing_topics_are_created_once_however_many_ask,
        another_partition_count_is_refused_with_the_fix,
        of_two_that_disagree_about_partitions_one_is_refused,
        extents_tell_what_a_partition_holds,
        a_missing_topic_has_no_extents,
        a_cluster_has_one_name;
    partitions:
        keys_lie_where_a_java_producer_puts_them,
        a_key_keeps_its_partition;
    publishing:
        everything_is_acknowledged_and_arrives,
        nothing_is_published_at_once,
        records_of_a_key_keep_their_order,
        records_arrive_byte_for_byte,
        publishing_to_a_missing_topic_is_an_error;
    reading:
        reading_starts_exactly_at_the_position,
        only_the_partitions_asked_for_are_read,
        a_poll_gives_no_more_than_asked_for,
        what_lies_beyond_an_end_was_written_after_it_was_asked_for, silence_is_no_error,
        a_waiting_reader_gets_what_is_written_later,
        a_patient_reader_gets_everything_in_order_what_is_written_later_included,
        readers_do_not_disturb_each_other,
        a_position_beyond_the_end_is_lost,
        a_position_before_the_oldest_record_is_lost,
        reading_a_missing_topic_is_an_error;
}
