//! What campaigns were about when people opted out, as their records say.

use serde::Deserialize;

use crate::model::ListName;
use crate::model::Number;
use crate::model::TopicName;
use crate::store::StoreError;
use crate::suppression::Index;

use super::Reader;
use super::record_id;

/// All that is wanted of an opt-out's body.
#[derive(Deserialize)]
struct About {
    #[serde(default)]
    topic: Option<TopicName>,
}

impl Reader {
    /// Lets `index`, which knows the opt-outs, know the topics of those on `list` whose numbers are
    /// from `first` to `last`. It is asked for lists of topics alone, and of a page at a time: the
    /// bodies are most of a database, and an answer must be short.
    pub(super) fn fill_topics(
        &self,
        index: &Index,
        list: &ListName,
        first: Number,
        last: Number,
    ) -> Result<(), StoreError> {
        let sql = "SELECT optout.writer_id, optout.writer_seq, optout.number, body
                   FROM suppressed JOIN optout ON optout.writer_id = suppressed.writer_id
                       AND optout.writer_seq = suppressed.writer_seq
                   WHERE suppressed.number >= $1 AND suppressed.number <= $2 AND list = $3";
        let values = [first.digits().into(), last.digits().into(), list.as_str().into()];
        self.each(sql, &values, |row| {
            let record = record_id(row, 0)?;
            let about: About = serde_json::from_str(row.text(3)?)
                .map_err(|_error| self.unreadable(Some(record), "its body is no opt-out"))?;
            if let (Some(number), Some(topic)) = (Number::from_key(row.unsigned(2)?), about.topic) {
                index.note_topic(number, record, &topic);
            }
            Ok(())
        })
    }
}
