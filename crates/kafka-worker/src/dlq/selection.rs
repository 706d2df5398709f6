//! Positions as people write them: pure.

use super::UsageError;

/// A letter's place: `partition:offset`, with `topic/` before it where there are several dead-letter topics.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The dead-letter topic; none where there is only one.
    pub(crate) topic: Option<String>,
    /// The partition.
    pub(crate) partition: i32,
    /// The offset.
    pub(crate) offset: i64,
}

/// Reads a place.
pub(crate) fn parse_place(text: &str) -> Result<Place, String> {
    let (topic, rest) = match text.rsplit_once('/') {
        Some((topic, rest)) => (Some(topic.to_owned()), rest),
        None => (None, text),
    };
    let parsed = rest
        .split_once(':')
        .and_then(|(partition, offset)| Some((partition.parse().ok()?, offset.parse().ok()?)))
        .filter(|(partition, offset)| *partition >= 0 && *offset >= 0);
    match parsed {
        Some((partition, offset)) => Ok(Place {
            topic,
            partition,
            offset,
        }),
        None => Err("allowed is partition:offset, as in 0:12".into()),
    }
}

/// Dead-letter topics, each with partitions and offsets.
pub(super) type ByTopic = Vec<(String, Vec<(i32, i64)>)>;

/// The places within each of the dead-letter topics `dead`, in order and each once.
pub(super) fn by_topic(places: &[Place], dead: &[String]) -> Result<ByTopic, UsageError> {
    let mut found: ByTopic = dead
        .iter()
        .map(|topic| (topic.clone(), Vec::new()))
        .collect();
    for place in places {
        let entry = match (&place.topic, &mut *found) {
            (None, [only]) => only,
            (None, _) => {
                return Err(UsageError(format!(
                    "{}:{} may be in {}: write topic/partition:offset, or choose with --topic",
                    place.partition,
                    place.offset,
                    dead.join(" or ")
                )));
            }
            (Some(topic), all) => match all.iter_mut().find(|(name, _)| name == topic) {
                Some(entry) => entry,
                None => {
                    return Err(UsageError(format!(
                        "{topic} is not the dead-letter topic, that is {}",
                        dead.join(" or ")
                    )));
                }
            },
        };
        entry.1.push((place.partition, place.offset));
    }
    for (_, places) in &mut found {
        places.sort_unstable();
        places.dedup();
    }
    found.retain(|(_, places)| !places.is_empty());
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_may_name_its_topic() {
        let place = parse_place("jobs-dlq/3:12").unwrap();
        assert_eq!(place.topic.as_deref(), Some("jobs-dlq"));
        assert_eq!((place.partition, place.offset), (3, 12));
        for wrong in ["", "3", "3:", ":1", "-1:2", "1:-2", "a:b", "1:2:3"] {
            assert!(parse_place(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_place_without_a_topic_needs_that_there_is_only_one() {
        let places = ["0:2", "0:1", "0:2"].map(|text| parse_place(text).unwrap());
        let one = ["d".to_owned()];
        let found = by_topic(&places, &one).unwrap();
        assert_eq!(found, [("d".to_owned(), vec![(0, 1), (0, 2)])]);
        let two = ["d".to_owned(), "e".to_owned()];
        assert!(by_topic(&places, &two).is_err());
        let named = [parse_place("e/0:1").unwrap()];
        assert_eq!(by_topic(&named, &two).unwrap()[0].0, "e");
        assert!(by_topic(&[parse_place("f/0:1").unwrap()], &two).is_err());
    }
}
