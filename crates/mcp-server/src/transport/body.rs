//! Reading a request's body within bounds: of its size, of its time, and of what all bodies together may take.

use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody as _};
use futures::StreamExt as _;
use tokio::time::timeout;

use crate::access::Access;
use crate::access::load::Room;

/// How long a request's body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much of a body that is too large is read and thrown away: who still sends sees a broken connection, not the answer.
const DISCARD_MAX: usize = 16 * 1024 * 1024;

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadBody {
    /// Larger than allowed.
    TooLarge,
    /// It took longer than [`PATIENCE`].
    TooSlow,
    /// The connection broke, or the body is not as its headers say.
    Broken,
    /// Others take all the room that there is.
    NoRoom,
}

impl BadBody {
    pub(super) fn sentence(self, max: usize) -> String {
        match self {
            Self::TooLarge => format!("the body is larger than {max} bytes"),
            Self::TooSlow => format!("the body did not arrive within {} s", PATIENCE.as_secs()),
            Self::Broken => "the body did not arrive whole".into(),
            Self::NoRoom => "the server has all it can do; try again".into(),
        }
    }
}

/// The body, and the room that it takes until the request is answered.
pub(super) async fn read(
    body: Body,
    max: usize,
    access: &Access,
) -> Result<(Bytes, Room), BadBody> {
    let mut room = Room::none(access.clone());
    let bytes = timeout(PATIENCE, collect(body, max, &mut room))
        .await
        .unwrap_or(Err(BadBody::TooSlow))?;
    Ok((bytes, room))
}

async fn collect(body: Body, max: usize, room: &mut Room) -> Result<Bytes, BadBody> {
    let announced = body.size_hint().lower();
    let announced = usize::try_from(announced).map_err(|_| BadBody::TooLarge)?;
    let mut chunks = body.into_data_stream();
    if announced > max {
        discard(chunks).await;
        return Err(BadBody::TooLarge);
    }
    let mut reserved = announced;
    if !room.grow(reserved) {
        return Err(BadBody::NoRoom);
    }
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
        if size > reserved {
            if !room.grow(size - reserved) {
                return Err(BadBody::NoRoom);
            }
            reserved = size;
        }
        if before == 0 {
            // Most bodies are one chunk, which is not copied.
            only = Some(chunk);
            continue;
        }
        if let Some(first) = only.take() {
            whole.reserve(announced.max(size));
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

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_given_up() {
        let never = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(
            read(never, 8, &access(10)).await.err(),
            Some(BadBody::TooSlow)
        );
    }
}
