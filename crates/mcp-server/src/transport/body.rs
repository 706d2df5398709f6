//! Reading a request's body within bounds: of its size, of its time, and of what all bodies together may take.

use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody as _};
use futures::StreamExt as _;
use tokio::time::timeout;

use super::weight;
use crate::access::load::Room;
use crate::access::{Access, ApiKey};

/// How long a request's body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much of a body that is too large is read and thrown away: who still sends sees a broken connection, not the answer.
const DISCARD_MAX: usize = 16 * 1024 * 1024;

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadBody {
    /// Larger than allowed.
    TooLarge,
    /// What stands in it would take more memory than all requests together may.
    TooHeavy,
    /// It took longer than [`PATIENCE`].
    TooSlow,
    /// The connection broke, or the body is not as its headers say.
    Broken,
    /// Others take all the room that there is.
    NoRoom,
    /// So much of the same key is arriving already.
    NoShare,
}

impl BadBody {
    pub(super) fn sentence(self, max: usize) -> String {
        match self {
            Self::TooLarge => format!("the body is larger than {max} bytes"),
            Self::TooHeavy => {
                "the body holds more values than fit MCP_MAX_BODY_BYTES_IN_FLIGHT".into()
            }
            Self::TooSlow => format!("the body did not arrive within {} s", PATIENCE.as_secs()),
            Self::Broken => "the body did not arrive whole".into(),
            Self::NoRoom | Self::NoShare => "the server has all it can do; try again".into(),
        }
    }
}

/// The body, and the room that its message takes until the request is answered.
pub(super) async fn read(
    body: Body,
    max: usize,
    access: &Access,
    key: &ApiKey,
) -> Result<(Bytes, Room), BadBody> {
    let mut room = Room::none(access.clone());
    let bytes = timeout(PATIENCE, collect(body, max, &mut room, key))
        .await
        .unwrap_or(Err(BadBody::TooSlow))?;
    let weight = weight::of(&bytes);
    if weight > access.load().bytes_max() {
        return Err(BadBody::TooHeavy);
    }
    if !room.grow(weight - bytes.len()) {
        return Err(BadBody::NoRoom);
    }
    Ok((bytes, room))
}

async fn collect(body: Body, max: usize, room: &mut Room, key: &ApiKey) -> Result<Bytes, BadBody> {
    let announced = body.size_hint().lower();
    let announced = usize::try_from(announced).map_err(|_| BadBody::TooLarge)?;
    let mut chunks = body.into_data_stream();
    if announced > max {
        discard(chunks).await;
        return Err(BadBody::TooLarge);
    }
    let mut arriving = room.arriving(key, max);
    let mut whole = Vec::new();
    let mut only: Option<Bytes> = None;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| BadBody::Broken)?;
        let before = only.as_ref().map_or(whole.len(), Bytes::len);
        let size = before + chunk.len();
        if size > max {
            discard(chunks).await;
            return Err(BadBody::TooLarge);
        }
        // What is announced takes nothing before it is there.
        if !room.grow(chunk.len()) {
            return Err(BadBody::NoRoom);
        }
        if !chunks.is_end_stream() && !arriving.grow(chunk.len()) {
            return Err(BadBody::NoShare);
        }
        if before == 0 {
            // Most bodies are one chunk, which is not copied.
            only = Some(chunk);
            continue;
        }
        if let Some(first) = only.take() {
            whole.extend_from_slice(&first);
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(only.unwrap_or_else(|| whole.into()))
}

async fn discard(mut chunks: BodyDataStream) {
    let mut left = DISCARD_MAX;
    while let Some(Ok(chunk)) = chunks.next().await {
        let Some(rest) = left.checked_sub(chunk.len()) else {
            return;
        };
        left = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::settings::AccessConfig;
    use futures::stream;

    fn access(room: usize) -> Access {
        Access::new(&AccessConfig {
            max_body_bytes_in_flight: room,
            ..AccessConfig::default()
        })
    }

    async fn read(body: Body, max: usize, access: &Access) -> Result<(Bytes, Room), BadBody> {
        super::read(body, max, access, access.anonymous()).await
    }

    fn chunked(chunks: &[&'static str]) -> Body {
        let chunks: Vec<_> = chunks
            .iter()
            .map(|chunk| Ok::<_, std::io::Error>(Bytes::from_static(chunk.as_bytes())))
            .collect();
        Body::from_stream(stream::iter(chunks))
    }

    #[tokio::test]
    async fn a_body_is_read_whole_however_it_comes() {
        let access = access(100);
        for body in [
            Body::from("abcdef"),
            chunked(&["abcdef"]),
            chunked(&["ab", "", "cd", "ef"]),
            chunked(&["", "abcdef"]),
        ] {
            let (bytes, _room) = read(body, 6, &access).await.unwrap();
            assert_eq!(bytes, "abcdef");
        }
        assert_eq!(read(Body::empty(), 6, &access).await.unwrap().0, "");
    }

    #[tokio::test]
    async fn a_body_over_the_bound_is_refused_with_and_without_a_length() {
        let access = access(100);
        for body in [Body::from("abcdefg"), chunked(&["abc", "defg"])] {
            assert_eq!(read(body, 6, &access).await.err(), Some(BadBody::TooLarge));
        }
    }

    #[tokio::test]
    async fn all_bodies_together_have_a_bound_until_they_are_answered() {
        let access = access(10);
        let (_, room) = read(Body::from("abcdef"), 8, &access).await.unwrap();
        for body in [Body::from("abcdef"), chunked(&["abc", "def"])] {
            assert_eq!(read(body, 8, &access).await.err(), Some(BadBody::NoRoom));
        }
        drop(room);
        assert!(read(chunked(&["abc", "def"]), 8, &access).await.is_ok());
    }

    #[tokio::test]
    async fn what_is_only_announced_takes_no_room_and_what_arrives_slowly_leaves_some_to_others() {
        let access = access(100);
        let slowly = |bytes: usize| {
            let first = stream::once(async move { Ok(Bytes::from(vec![b' '; bytes])) });
            let never = stream::pending::<Result<Bytes, std::io::Error>>();
            Body::from_stream(first.chain(never))
        };
        let mut waiting = [0, 20, 30].map(|bytes| Box::pin(read(slowly(bytes), 40, &access)));
        for slow in &mut waiting {
            assert!(futures::poll!(slow).is_pending());
        }
        let more = read(slowly(1), 40, &access).await;
        assert_eq!(more.err(), Some(BadBody::NoShare));
        let (_, _room) = read(Body::from("x".repeat(40)), 40, &access).await.unwrap();
        drop(waiting);
        let more = Box::pin(read(slowly(1), 40, &access));
        assert!(futures::poll!(more).is_pending());
    }

    #[tokio::test]
    async fn a_message_takes_the_room_that_its_values_take() {
        let noughts = || Body::from(format!("[{}]", vec!["0"; 1_000].join(",")));
        let access = access(250_000);
        let first = read(noughts(), 4_000, &access).await.unwrap();
        let second = read(noughts(), 4_000, &access).await.unwrap();
        let third = read(noughts(), 4_000, &access).await;
        assert_eq!(third.err(), Some(BadBody::NoRoom));
        drop((first, second));
        let never = read(noughts(), 4_000, &self::access(10_000)).await;
        assert_eq!(never.err(), Some(BadBody::TooHeavy));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_given_up() {
        let never = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(
            read(never, 8, &access(10)).await.err(),
            Some(BadBody::TooSlow)
        );
    }
}
