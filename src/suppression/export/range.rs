//! A range that stands on a list by an import, as a row of an export.

use serde::{Deserialize, Serialize};

use crate::model::AccountName;
use crate::model::CampaignName;
use crate::model::ListName;
use crate::model::NodeName;
use crate::model::RecordId;
use crate::model::TopicName;
use crate::model::UnixMicros;
use crate::suppression::import::Import;
use crate::suppression::import::Imported;
use crate::suppression::optout::Origin;
use crate::suppression::range::Range;

use super::COLUMNS;
use super::Row;
use super::reason;

/// A range of an import, without the numbers for which that was reversed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RangeEntry {
    /// The import's record, in its text form.
    #[serde(with = "crate::model::record_text")]
    pub record: RecordId,
    /// The numbers.
    pub range: Range,
    /// The list.
    pub list: ListName,
    /// For which account; `None` is for everybody.
    pub account: Option<AccountName>,
    /// In which campaign; `None` is in all.
    pub campaign: Option<CampaignName>,
    /// What that campaign was about when it was said, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<TopicName>,
    /// The engine that took the import down.
    pub node: NodeName,
    /// Who imported it.
    pub actor: Option<String>,
    /// The import's source and day.
    pub reason: Option<String>,
    /// When it was imported.
    pub imported_at: UnixMicros,
    /// When the record was handed to the disk.
    pub written_at: UnixMicros,
}

impl RangeEntry {
    /// `range` as `imported` has put it on its list, or a part of that.
    pub fn of_import(imported: &Imported, range: Range) -> Self {
        let Imported { record, written_at, import } = imported;
        let Import { list, account, campaign, topic, node, actor, imported_at, .. } = import;
        Self {
            record: *record,
            range,
            list: list.clone(),
            account: account.clone(),
            campaign: campaign.clone(),
            topic: topic.clone(),
            node: node.clone(),
            actor: actor.clone(),
            reason: reason(import),
            imported_at: *imported_at,
            written_at: *written_at,
        }
    }
}

impl Row for RangeEntry {
    fn cells(&self) -> [String; COLUMNS.len()] {
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        COLUMNS.map(|column| match column {
            "pressed_at" => self.imported_at.iso8601(),
            "durable_at" => self.written_at.iso8601(),
            "number" => self.range.to_string(),
            "lists" | "standing_lists" => self.list.to_string(),
            "account" => text(self.account.as_ref().map(|name| name.as_str())),
            "campaign" => text(self.campaign.as_ref().map(|name| name.as_str())),
            "topic" => text(self.topic.as_ref().map(|name| name.as_str())),
            "origin" => Origin::Import.as_str().to_owned(),
            "node" => self.node.to_string(),
            "record" => self.record.to_string(),
            "actor" => text(self.actor.as_deref()),
            "reason" => text(self.reason.as_deref()),
            // What only a call has, and reversals, which are left out of the range itself.
            _ => String::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::WriterId;
    use crate::suppression::export::CsvExport;
    use crate::suppression::export::JsonRow;
    use crate::suppression::export::read_json_line;
    use crate::suppression::export::write_json_line;

    #[test]
    fn a_range_is_a_row_in_every_form() {
        let entry = RangeEntry {
            record: RecordId { writer: WriterId(1), seq: 7 },
            range: "+34911234000-+34911234999".parse().unwrap(),
            list: "robinson".into(),
            account: Some("acme".into()),
            campaign: None,
            topic: Some("energy".into()),
            node: "madrid-1".into(),
            actor: Some("ana".to_owned()),
            reason: Some("a block".to_owned()),
            imported_at: UnixMicros(0),
            written_at: UnixMicros(1_000),
        };
        let mut bytes = Vec::new();
        let mut csv = CsvExport::new(&mut bytes).unwrap();
        csv.write(&entry).unwrap();
        csv.finish().unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let want = "\"1970-01-01T00:00:00.000000Z\",\"1970-01-01T00:00:00.001000Z\",\"\",\
                    \"'+34911234000-+34911234999\",\"robinson\",\"acme\",\"\",\"\",\"\",\"import\",\
                    \"\",\"\",\"\",\"\",\"madrid-1\",\"0000000000000001-7\",\"\",\"\",\"ana\",\"a block\",\
                    \"robinson\",\"\",\"\",\"\",\"\",\"\",\"\",\"energy\"";
        assert_eq!(text.lines().nth(1), Some(want));
        let mut line = Vec::new();
        write_json_line(&mut line, &entry).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value["range"], "+34911234000-+34911234999");
        assert_eq!(read_json_line(&line).unwrap(), JsonRow::Range(entry));
    }
}
