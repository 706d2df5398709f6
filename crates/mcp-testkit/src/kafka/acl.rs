//! Permissions. Neither librdkafka's Rust binding nor the jars of the broker can create them, so the one request that
//! does is written here by hand.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Kafka, KafkaBuilder};

/// CreateAcls, in the last version whose fields have fixed lengths.
const CREATE_ACLS: i16 = 30;
const VERSION: i16 = 1;
const CORRELATION: i32 = 7;
/// A pattern that is the whole name.
const LITERAL: i8 = 3;
const ALLOW: i8 = 3;

/// What a permission is for, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    /// A topic.
    Topic(&'a str),
    /// A consumer group.
    Group(&'a str),
}

/// What is permitted; `Read` and `Write` imply that the resource may be described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Consume from a topic, be a member of a group.
    Read = 3,
    /// Produce.
    Write = 4,
}

impl KafkaBuilder {
    /// Nothing is permitted but what [`Kafka::allow`] permits; only those who come without a login, by the plain
    /// listener, may do everything.
    pub fn acls(self) -> Self {
        let authorizer = "org.apache.kafka.metadata.authorizer.StandardAuthorizer";
        self.property("authorizer.class.name", authorizer)
            .property("super.users", "User:ANONYMOUS")
    }
}

impl Kafka {
    /// Permits `user` an operation, from everywhere.
    ///
    /// # Panics
    ///
    /// When the broker refuses.
    pub async fn allow(&self, user: &str, operation: Operation, resource: Resource<'_>) {
        let answer = self.exchange(&request(user, operation, resource)).await;
        // After the correlation and the throttle time: one result, its code.
        let (count, code) = (&answer[8..12], &answer[12..14]);
        assert_eq!(
            (count, code),
            (&[0, 0, 0, 1][..], &[0, 0][..]),
            "{operation:?} of {resource:?}: {}",
            String::from_utf8_lossy(&answer[14..])
        );
    }

    async fn exchange(&self, request: &[u8]) -> Vec<u8> {
        let exchange = async {
            let mut stream = TcpStream::connect(self.bootstrap()).await?;
            stream.write_i32(length(request)).await?;
            stream.write_all(request).await?;
            let mut answer = vec![0; stream.read_u32().await? as usize];
            stream.read_exact(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        exchange.await.expect("the broker answers")
    }
}

fn request(user: &str, operation: Operation, resource: Resource<'_>) -> Vec<u8> {
    let (kind, name) = match resource {
        Resource::Topic(name) => (2_i8, name),
        Resource::Group(name) => (3, name),
    };
    let mut request = Vec::new();
    request.extend(CREATE_ACLS.to_be_bytes());
    request.extend(VERSION.to_be_bytes());
    request.extend(CORRELATION.to_be_bytes());
    text(&mut request, "mcp-testkit");
    request.extend(1_i32.to_be_bytes());
    request.extend(kind.to_be_bytes());
    text(&mut request, name);
    request.extend(LITERAL.to_be_bytes());
    text(&mut request, &format!("User:{user}"));
    text(&mut request, "*");
    request.extend((operation as i8).to_be_bytes());
    request.extend(ALLOW.to_be_bytes());
    request
}

fn text(request: &mut Vec<u8>, text: &str) {
    let length = i16::try_from(text.len()).expect("a short text");
    request.extend(length.to_be_bytes());
    request.extend(text.as_bytes());
}

fn length(request: &[u8]) -> i32 {
    i32::try_from(request.len()).expect("a short request")
}
