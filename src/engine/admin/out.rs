//! The answer of a desk on its way to a client: lines, and text cut into lines.

use std::io;

use tokio::sync::mpsc;

use super::message::Reply;
use crate::engine::desk::DeskError;

/// Bytes of an export in one line: with every byte escaped (six for one) the line still fits.
const CHUNK_LEN: usize = 8 * 1024;

/// Where a desk's answer goes: lines towards the client, and text cut into lines.
pub(super) struct Out {
    sender: mpsc::Sender<Reply>,
    text: Vec<u8>,
}

impl Out {
    /// Hands its lines to `sender`.
    pub(super) const fn new(sender: mpsc::Sender<Reply>) -> Self {
        Self { sender, text: Vec::new() }
    }

    /// Sends a line, behind the text that has gathered.
    pub(super) fn put(&mut self, reply: Reply) -> Result<(), DeskError> {
        io::Write::flush(self)?;
        self.send(reply)?;
        Ok(())
    }

    fn send(&self, reply: Reply) -> io::Result<()> {
        self.sender.blocking_send(reply).map_err(|_gone| io::ErrorKind::BrokenPipe.into())
    }

    /// Sends what has gathered, but not the beginning of a character.
    fn send_text(&mut self) -> io::Result<()> {
        let whole = match std::str::from_utf8(&self.text) {
            Ok(text) => text.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        };
        let rest = self.text.split_off(whole);
        let text = std::mem::replace(&mut self.text, rest);
        if text.is_empty() {
            return Ok(());
        }
        let text = String::from_utf8(text).map_err(io::Error::other)?;
        self.send(Reply::Text(text))
    }
}

impl io::Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = CHUNK_LEN.saturating_sub(self.text.len()).max(1);
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.text.extend_from_slice(taken);
        if self.text.len() >= CHUNK_LEN {
            self.send_text()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send_text()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn an_export_is_cut_into_lines_between_characters_and_none_is_lost() {
        let whole = "ñandú \"9\"\n\u{1}".repeat(4_000);
        let (sender, mut replies) = mpsc::channel(100);
        let mut out = Out::new(sender);
        // Pieces of 7 bytes end within characters.
        for piece in whole.as_bytes().chunks(7) {
            out.write_all(piece).expect("the client is there");
        }
        out.put(Reply::End).expect("the client is there");
        let mut text = String::new();
        while let Ok(Reply::Text(piece)) = replies.try_recv() {
            let line = serde_json::to_vec(&Reply::Text(piece.clone())).expect("it is text");
            assert!(line.len() < crate::net::lines::LINE_BYTES_MAX, "{}", line.len());
            text.push_str(&piece);
        }
        assert!(text == whole);
        drop(replies);
        let gone = out.put(Reply::End);
        assert!(matches!(gone, Err(DeskError::Output(_))), "{gone:?}");
    }
}
