//! One JSON value a line, both ways: how the command line and the engine speak over the admin
//! socket.

use std::io;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

/// Longest line, the line feed included. Our choice: a whole `status` takes some 2 KiB.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// How long the engine waits for a client to send its request or to take its answer, so that a
/// forgotten client does not hold its place for ever.
pub const CLIENT_WAIT_MAX: Duration = Duration::from_secs(10);

const READ_BYTES: usize = 4_096;

/// A stream of JSON lines.
#[derive(Debug)]
pub struct JsonLines {
    stream: UnixStream,
    /// What was read and not yet handed on; at most a line and one read.
    buffer: Vec<u8>,
    /// The engine's side: a place among the clients that are served, and limited patience.
    place: Option<OwnedSemaphorePermit>,
}

impl JsonLines {
    pub(super) const fn new(stream: UnixStream, place: Option<OwnedSemaphorePermit>) -> Self {
        Self { stream, buffer: Vec::new(), place }
    }

    /// The next value; `None` once the other side has closed. The engine's side waits for
    /// [`CLIENT_WAIT_MAX`] at most.
    ///
    /// # Errors
    ///
    /// `InvalidData` for a line that is too long, is not JSON or not this value, or ends without
    /// a line feed; `TimedOut`; or the system's.
    pub async fn read<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let line = if self.place.is_some() {
            timeout(CLIENT_WAIT_MAX, self.read_line()).await??
        } else {
            self.read_line().await?
        };
        let Some(line) = line else { return Ok(None) };
        serde_json::from_slice(&line).map(Some).map_err(invalid)
    }

    /// Sends one value.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a value that makes no line of [`LINE_BYTES_MAX`]; `TimedOut` on the
    /// engine's side; or the system's.
    pub async fn write<T: Serialize>(&mut self, value: &T) -> io::Result<()> {
        let mut line = serde_json::to_vec(value)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        line.push(b'\n');
        if line.len() > LINE_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the answer is too long"));
        }
        if self.place.is_some() {
            timeout(CLIENT_WAIT_MAX, self.stream.write_all(&line)).await?
        } else {
            self.stream.write_all(&line).await
        }
    }

    async fn read_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut searched = 0;
        loop {
            let fresh = self.buffer.get(searched..).unwrap_or_default();
            if let Some(found) = memchr::memchr(b'\n', fresh) {
                let rest = self.buffer.split_off(searched + found + 1);
                let line = std::mem::replace(&mut self.buffer, rest);
                if line.len() > LINE_BYTES_MAX {
                    return Err(invalid("the line is too long"));
                }
                return Ok(Some(line));
            }
            searched = self.buffer.len();
            if searched >= LINE_BYTES_MAX {
                return Err(invalid("the line is too long"));
            }
            let mut chunk = [0; READ_BYTES];
            let count = self.stream.read(&mut chunk).await?;
            if count == 0 && self.buffer.is_empty() {
                return Ok(None);
            }
            if count == 0 {
                return Err(invalid("the line has no end"));
            }
            self.buffer.extend_from_slice(chunk.get(..count).unwrap_or_default());
        }
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn ends() -> (JsonLines, JsonLines) {
        let (one, other) = UnixStream::pair().expect("a pair of sockets");
        (JsonLines::new(one, None), JsonLines::new(other, None))
    }

    #[tokio::test]
    async fn values_pass_both_ways_in_order() {
        let (mut client, mut engine) = ends();
        client.write(&json!({"verb": "status"})).await.unwrap();
        client.write(&json!({"verb": "drain", "text": "a\nb"})).await.unwrap();
        assert_eq!(engine.read::<Value>().await.unwrap(), Some(json!({"verb": "status"})));
        let second = engine.read::<Value>().await.unwrap();
        assert_eq!(second, Some(json!({"verb": "drain", "text": "a\nb"})));
        for number in 0..100 {
            engine.write(&number).await.unwrap();
        }
        drop(engine);
        for number in 0..100 {
            assert_eq!(client.read::<u32>().await.unwrap(), Some(number));
        }
        assert_eq!(client.read::<u32>().await.unwrap(), None);
    }

    #[tokio::test]
    async fn bad_lines_are_errors() {
        let whole = |length: usize| format!("\"{}\"\n", "x".repeat(length - 3));
        #[rustfmt::skip]
        let cases = [
            ("the longest line",         whole(LINE_BYTES_MAX),     true),
            ("an octet too many",        whole(LINE_BYTES_MAX + 1), false),
            ("no end and far too long",  "x".repeat(100_000),       false),
            ("no end",                   "\"x\"".to_owned(),        false),
            ("not JSON",                 "status\n".to_owned(),     false),
            ("not the value wanted",     "{\"a\":1}\n".to_owned(),  false),
            ("an empty line",            "\n".to_owned(),           false),
            ("carriage return and feed", "\"x\"\r\n".to_owned(),    true),
        ];
        for (name, text, is_good) in cases {
            let (mut client, mut engine) = ends();
            let writer = tokio::spawn(async move {
                // The reader may have given up already.
                let _ = client.stream.write_all(text.as_bytes()).await;
            });
            let read = engine.read::<String>().await;
            match read {
                Ok(value) => assert!(is_good && value.is_some(), "{name}"),
                Err(error) => {
                    assert!(!is_good, "{name}: {error}");
                    assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{name}: {error}");
                }
            }
            drop(engine);
            writer.await.unwrap();
        }
    }

    #[tokio::test]
    async fn an_answer_too_long_is_refused_before_it_is_sent() {
        let (mut client, mut engine) = ends();
        let error = engine.write(&"x".repeat(LINE_BYTES_MAX)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        engine.write(&1).await.unwrap();
        assert_eq!(client.read::<u8>().await.unwrap(), Some(1));
    }
}
