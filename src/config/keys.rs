//! Every table and key that a file may hold: its kind, range, default and the reason for it.
//!
//! This is the only place where they are listed: the check of what is typed (`shape`), the defaults
//! that the engine runs with and `config/reference.toml` all come from here. A key stands here only
//! if something enforces it.
//!
//! In a path, a segment in capitals stands for a name that the operator chooses.

use Kind::{
    Address, Count, DurationIn, Flag, HeaderName, Ip, KeepIn, Name, Names, Networks, OneOf, Ports,
    Ranges, Region, Secret, SeveralOf, Status, Subject, Text, Texts,
};
use Presence::{Default, Optional, Required};

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    /// Tables and key, with dots.
    pub(super) path: &'static str,
    pub(super) kind: Kind,
    pub(super) presence: Presence,
    /// A value in TOML; what the reference shows where there is no default.
    pub(super) example: &'static str,
    /// One sentence: what it decides.
    pub(super) doc: &'static str,
}

/// Whether a key must be written.
#[derive(Debug)]
pub(super) enum Presence {
    /// It must.
    Required,
    /// Else it has this value, in TOML, for this reason.
    Default(&'static str, &'static str),
    /// It need not; what its absence means.
    Optional(&'static str),
}

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// An IP address with a port.
    Address,
    /// A whole number from the first to the second.
    Count(i64, i64),
    /// A duration from the first to the second, as they are typed.
    DurationIn(&'static str, &'static str),
    /// True or false.
    Flag,
    /// The name of a SIP header.
    HeaderName,
    /// How long something is kept, from the first to the second, or `forever`.
    KeepIn(&'static str, &'static str),
    /// An IP address.
    Ip,
    /// A name: letters, digits, `-`, `_`, `.`.
    Name,
    /// A list of names.
    Names,
    /// Networks in CIDR form, at least one.
    Networks,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A range of UDP ports.
    Ports,
    /// A list of runs of telephone numbers.
    Ranges,
    /// An ISO 3166-1 alpha-2 region.
    Region,
    /// `{ env = ".." }` or `{ file = ".." }`: where a text stands that is nobody else's business.
    Secret,
    /// A list of these words, at least one, none twice.
    SeveralOf(&'static [&'static str]),
    /// One of these SIP statuses.
    Status(&'static [i64]),
    /// `"called"`, `"calling"` or `{ header = ".." }`.
    Subject,
    /// Text.
    Text,
    /// A list of texts.
    Texts,
}

/// One table: what its headline says in the reference, and what it is for.
#[derive(Debug)]
pub(super) struct Table {
    /// With operator's names in capitals.
    pub(super) path: &'static str,
    /// With names an operator might choose.
    pub(super) example: &'static str,
    pub(super) doc: &'static str,
}

/// The tables, in the order of the reference.
#[rustfmt::skip]
pub(super) const TABLES: &[Table] = &[
    table("node", "node", "This engine among others."),
    table("listen.NAME", "listen.main", "A signalling socket, SIP over UDP. At least one."),
    table("trunks.NAME", "trunks.carrier-a", "A way out, to a carrier; bridge campaigns name it in their route."),
    table("dialers.NAME", "dialers.vicidial", "Who may send calls, known by the address they come from. Everybody else gets 403."),
    table("dialers.NAME.refusal", "dialers.vicidial.refusal", "How this dialer is told that a number is suppressed."),
    table("lists.NAME", "lists.comercial", "A suppression list. Campaigns check lists, and their codes add to lists."),
    table("media", "media", "RTP."),
    table("media.inband", "media.inband", "The detector of keys as tones in the audio."),
    table("prompts", "prompts", "Where the prompts are."),
    table("store", "store", "Where opt-outs and call records are kept."),
    table("evidence", "evidence", "What is kept of an opt-out besides its keys, times and identifiers."),
    table("http", "http", "Health and metrics over HTTP."),
    table("telemetry", "telemetry", "Logs."),
    table("limits", "limits", "Caps and deadlines of the whole engine."),
    table("campaigns.NAME", "campaigns.promo", "A campaign: whose number is meant, which lists it is checked against, what the person may press."),
    table("campaigns.NAME.match", "campaigns.promo.match", "Which calls belong to it: any one of these is enough, and at least one must be given. A header decides before the From user, that before the request user, that before the dialer."),
    table("campaigns.NAME.match.header", "campaigns.promo.match.header", "Header names with the values that name this campaign. A header that some campaign matches on decides alone: a value that none knows is no campaign."),
    table("campaigns.NAME.greeting", "campaigns.promo.greeting", "What the person hears first."),
    table("campaigns.NAME.digits", "campaigns.promo.digits", "How long keys are waited for."),
    table("campaigns.NAME.codes.KEYS", "campaigns.promo.codes.\"9\"", "What these keys do: 1 to 16 of 0-9 * # A-D."),
    table("campaigns.NAME.codes.KEYS.prompts", "campaigns.promo.codes.\"9\".prompts", "What the person hears around this code, by the names of WAV files in the campaign's language."),
];

const fn table(path: &'static str, example: &'static str, doc: &'static str) -> Table {
    Table { path, example, doc }
}

/// The keys, in the order of the reference.
#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    key("node.name", Name, Default("\"bajavoz\"", "one engine needs no other name"), "",
        "The engine's name on its records; each engine of a shared store needs its own."),
    key("node.default-region", Region, Required, "\"ES\"",
        "The region in which numbers without a country code are read: with ES, \"600 123 456\" is +34600123456."),
    key("node.language", Name, Default("\"en\"", "the prompts that come with it"), "",
        "The folder of the prompts of a campaign that does not name its own."),

    key("listen.NAME.bind", Address, Required, "\"127.0.0.1:5060\"",
        "The address and UDP port to listen on; port 0 takes a free one."),
    key("listen.NAME.advertise", Ip, Optional("the address of `bind`, which then must be a real one"), "\"203.0.113.10\"",
        "The address that peers are told in Via, Contact and SDP, where it is another than the bound one (NAT)."),

    key("trunks.NAME.host", Address, Required, "\"192.0.2.70:5060\"",
        "The carrier's address and port; names are not looked up."),
    key("trunks.NAME.listen", Name, Optional("the only listener of the same address family"), "\"main\"",
        "The listener that the trunk's calls leave from."),
    key("trunks.NAME.max-channels", Count(1, 10_000), Default("100", "a small carrier contract"), "",
        "Most calls on this trunk at once."),
    key("trunks.NAME.caller-id", Texts, Default("[]", "most carriers check it themselves"), "",
        "The only caller numbers that the carrier takes; with any here, a campaign on this trunk must show one of them."),
    key("trunks.NAME.codecs", SeveralOf(&["PCMA", "PCMU"]), Default("[\"PCMA\", \"PCMU\"]", "A-law is the codec of most telephone networks"), "",
        "The codecs that we offer, the preferred first."),

    key("dialers.NAME.allow", Networks, Required, "[\"192.0.2.0/28\", \"2001:db8::7\"]",
        "The networks it sends from, at least 8 fixed bits (IPv6: 16); those of two dialers may not overlap."),
    key("dialers.NAME.max-channels", Count(1, 10_000), Default("100", "a runaway dialer must not fill the engine"), "",
        "Most calls of this dialer at once; more get 503."),
    key("dialers.NAME.default-region", Region, Optional("that of [node]"), "\"ES\"",
        "The region in which this dialer's national numbers are read."),
    key("dialers.NAME.outcome-header", HeaderName, Default("\"X-Bajavoz-Outcome\"", "no other product's header"), "",
        "The header of refusals and BYEs that tells the dialer the outcome."),
    key("dialers.NAME.refusal.status", Status(&[403, 404, 480, 486, 503, 603]), Default("603", "Decline is the answer that stops most dialers from trying again"), "",
        "The SIP status."),
    key("dialers.NAME.refusal.cause", Count(1, 127), Default("21", "Q.850: call rejected"), "",
        "The cause in `Reason: Q.850;cause=..`."),

    key("lists.NAME.title", Text, Optional("the list's name"), "\"Lista comercial\"",
        "What people call it."),
    key("lists.NAME.scope", OneOf(&["global", "account", "topic", "campaign"]), Required, "\"account\"",
        "How far an entry reaches: all campaigns that check the list, those of one account, those of one topic, or one campaign."),
    key("lists.NAME.direction", OneOf(&["outbound", "inbound", "both"]), Default("\"outbound\"", "who is not to be called may still call, above all to opt out"), "",
        "Which calls it counts for: those to a number that stands on it, or those from it too (campaigns whose subject is \"calling\")."),
    key("lists.NAME.ranges", Ranges, Default("[]", "numbers come by opt-outs and imports"), "",
        "Numbers that stand on it together, whoever checks the list: all behind a prefix (\"+34800*\"), or from one to another (\"+34911234000-+34911234999\")."),

    key("lists.NAME.kind", OneOf(&["own", "registry"]), Default("\"own\"", "people opt out on it"), "",
        "Whose entries it has: own ones are pressed, entered and imported; those of a registry that somebody else keeps are imported alone."),
    key("lists.NAME.max-age-days", Count(1, 3650), Optional("31, or 28 where the newest import is of the TPS"), "31",
        "Most days that a registry may be old, by the day of its newest import; a registry that was never imported is too old."),
    key("lists.NAME.on-stale", OneOf(&["refuse", "call"]), Optional("refuse"), "\"refuse\"",
        "What becomes of calls that are checked against a registry which is too old."),

    key("media.ports", Ports, Default("\"20000-29999\"", "room for 2500 calls: two legs, RTP and RTCP each"), "",
        "The UDP ports of RTP and RTCP, an even to an odd one; four for each call of limits.calls-max."),
    key("media.symmetric", Flag, Default("true", "phones behind NAT send from elsewhere than their SDP says"), "",
        "Whether a peer's audio may come from another address than its SDP names, once and then for good."),
    key("media.tick", DurationIn("0ms", "5ms"), Default("\"1ms\"", "wake-ups cost more than packets"), "",
        "How often the media threads wake while a call passes audio on; with prompts alone 5 ms are enough."),
    key("media.idle-timeout", DurationIn("5s", "1h"), Default("\"30s\"", "shorter holes are handovers of mobile phones"), "",
        "The longest silence of a peer's RTP before its call is ended."),

    key("media.inband.listen", Flag, Default("true", "not every carrier keeps its word about telephone-events"), "",
        "Whether keys are heard as tones in the audio too, even where telephone-events were agreed on."),
    key("media.inband.level-min", Count(-50, -10), Default("-38", "under the -25 of AT&T and the -24 of NTT, since mobile phones are quiet"), "",
        "The least level of each of a key's two tones, in dBm0."),
    key("media.inband.twist-forward-max", Count(1, 20), Default("9", "ITU-T Q.24, AT&T: 8 dB, and 1 for measuring"), "",
        "The most by which the low tone may be the stronger one, in dB."),
    key("media.inband.twist-reverse-max", Count(1, 20), Default("7", "ITU-T Q.24, ETSI: 6 dB, and 1 for measuring"), "",
        "The most by which the high tone may be the stronger one, in dB."),

    key("prompts.dir", Text, Default("\"../audio\"", "where the repository has them"), "",
        "The folder with a folder for each language, of WAV files with 8000 Hz, mono, 16 bit; relative to the configuration folder."),

    key("store.path", Text, Default("\"../data\"", "beside the configuration"), "",
        "The folder of the journal, the SQLite file and the admin socket; relative to the configuration folder, made if it is not there."),

    key("store.database", OneOf(&["sqlite", "postgres"]), Default("\"sqlite\"", "one engine needs no server"), "",
        "What the opt-outs of the journal are forwarded to: a file in the folder, or a PostgreSQL server that engines share."),
    key("store.url", Secret, Optional("a file needs none"), "{ env = \"BAJAVOZ_DATABASE_URL\" }",
        "Where the text postgresql://USER:PASSWORD@HOST:PORT/DATABASE stands: in an environment variable, or in a file, { file = \"..\" }, relative to the configuration folder. postgres only."),
    key("store.tls", OneOf(&["verify-full", "off"]), Optional("off to a server on this machine, else verify-full"), "\"verify-full\"",
        "Whether the server must show a certificate in its host's name; off is only for a server on this machine. postgres only."),
    key("store.ca", Text, Optional("the authorities that the system trusts"), "\"../tls/ca.pem\"",
        "A PEM file with the authorities that may sign the server's certificate; relative to the configuration folder. postgres only."),
    key("store.ack", OneOf(&["journal", "both", "store"]), Optional("journal with sqlite, both with postgres"), "\"both\"",
        "What has to have an opt-out before it is confirmed to the person: this engine's journal; the journal and the database, or after 300 ms the journal alone, with an alarm; or the database, without which it is not confirmed."),
    key("store.stale-after", DurationIn("1s", "1h"), Optional("5s, twenty looks at a server that answers at once"), "\"5s\"",
        "How long the server may be out of reach before this engine counts as not knowing what others were told; campaigns say by on-stale what becomes of a call then. postgres only."),

    key("store.number-storage", OneOf(&["plain", "hmac"]), Default("\"plain\"", "exports and reports name who opted out"), "",
        "How numbers are kept, chosen when the store is made: as they are, or as HMAC-SHA-256 under a key, so that `bajavoz erase` leaves nothing to be read of one and it is refused all the same."),
    key("store.number-key", Text, Optional("number-key in the store's folder"), "\"../secret/number-key\"",
        "The file of the key by which numbers are hashed, relative to the configuration folder; made with the store, and the same file on every engine of one server. Without it nobody can be refused: keep a copy, apart from those of the database. hmac only."),

    key("store.keep-evidence", KeepIn("1d", "100y"), Default("\"5y\"", "who sells by telephone in the US must have it so long, 16 CFR 310.5"), "",
        "For how long is kept what proves an opt-out: key events, SIP Call-ID, who entered it and why, and the audio around the press; counted from the newest record of its number. Then it is deleted, and the number is refused as before. `bajavoz retention` says what that would be today."),
    key("store.keep-calls", KeepIn("1d", "100y"), Default("\"5y\"", "as for evidence"), "",
        "For how long a call record is kept, counted from the end of its call."),

    key("evidence.audio", Flag, Default("false", "a voice is kept only by who has a reason to"), "",
        "Whether the person's audio around the press is kept, as a WAV file beside the journal. 8 kB of memory a second and call."),
    key("evidence.audio-before", DurationIn("0s", "30s"), Default("\"5s\"", "what was said just before"), "",
        "How much of it before the press."),
    key("evidence.audio-after", DurationIn("0s", "30s"), Default("\"3s\"", "what was said to it"), "",
        "How much of it behind the press."),

    key("http.bind", Address, Default("\"127.0.0.1:8480\"", "nobody but this machine"), "",
        "The address and TCP port; port 0 takes a free one."),

    key("telemetry.log", OneOf(&["pretty", "json"]), Default("\"pretty\"", "a person reads it first"), "",
        "Coloured text for people, or one JSON object a line for collectors."),
    key("telemetry.filter", Text, Default("\"info\"", "one line a call"), "",
        "What is logged, in the syntax of RUST_LOG, such as \"info,bajavoz::sip=debug\"."),

    key("limits.calls-max", Count(1, 100_000), Default("1000", "what two ordinary cores carry with ease"), "",
        "Most calls at once; more get 503."),
    key("limits.call-max", DurationIn("1s", "24h"), Default("\"2h\"", "a call longer than this was forgotten"), "",
        "The longest call from answer to our BYE."),
    key("limits.drain", DurationIn("0s", "1h"), Default("\"30s\"", "a campaign call is over by then, and systemd waits 90 s"), "",
        "How long running calls may finish after SIGTERM or `bajavoz drain`."),

    key("campaigns.NAME.title", Text, Optional("the campaign's name"), "\"Promoción de otoño\"",
        "What people call it."),
    key("campaigns.NAME.account", Name, Required, "\"acme\"",
        "Whose campaign it is; lists of scope account are kept for each."),
    key("campaigns.NAME.topic", Name, Optional("it has none, and uses no list of scope topic"), "\"energy\"",
        "What it is about; an opt-out on a list of scope topic reaches every campaign of the topic, whatever the account."),
    key("campaigns.NAME.mode", OneOf(&["bridge", "ivr"]), Required, "\"bridge\"",
        "bridge dials a trunk and relays; ivr answers, plays the greeting and listens."),
    key("campaigns.NAME.subject", Subject, Default("\"called\"", "a campaign calls people"), "",
        "Whose number is meant: \"called\" (request URI), \"calling\" (From), or { header = \"X-Person\" }."),
    key("campaigns.NAME.language", Name, Optional("that of [node]"), "\"es\"",
        "The folder of its prompts."),
    key("campaigns.NAME.check", Names, Optional("every global list, and every list that its codes add to"), "[\"comercial\"]",
        "The lists a number must not be on, in the order in which they are looked at."),
    key("campaigns.NAME.route", Names, Default("[]", "an ivr campaign needs none"), "[\"carrier-a\"]",
        "The trunks to try, in order. bridge needs one, ivr takes none."),
    key("campaigns.NAME.caller-id", Text, Optional("the dialer's caller number is passed on"), "\"+34910000001\"",
        "The number shown to the person. bridge only."),
    key("campaigns.NAME.max-channels", Count(1, 10_000), Optional("the dialer's cap alone"), "50",
        "Most calls of this campaign at once; more get 503."),
    key("campaigns.NAME.ring-max", DurationIn("1s", "3m"), Default("\"60s\"", "a person has answered by then or is not there"), "",
        "The longest ringing before the trunk's leg is cancelled."),
    key("campaigns.NAME.call-max", DurationIn("1s", "24h"), Optional("limits.call-max, which it may not exceed"), "\"30m\"",
        "The longest call of this campaign."),
    key("campaigns.NAME.on-unconfirmed", OneOf(&["block", "ignore"]), Default("\"block\"", "a person who pressed once meant it"), "",
        "What a code means whose second press never came: an opt-out all the same, or nothing."),
    key("campaigns.NAME.on-stale", OneOf(&["refuse", "call"]), Optional("refuse, since who cannot know does not dial"), "\"refuse\"",
        "What becomes of a call while other engines' opt-outs cannot be known, the shared store being out of reach for longer than store.stale-after: 503, or made by what is known here. Who calls in is answered all the same. postgres only."),
    key("campaigns.NAME.other-way", Text, Optional("its codes are the way"), "\"the caller is told to write to bajas@acme.example\"",
        "How a person opts out where no code is listened for; a campaign without codes must say."),

    key("campaigns.NAME.match.header.HEADER", Texts, Optional("no header names it"), "[\"promo\"]",
        "The values of this header."),
    key("campaigns.NAME.match.from-user", Texts, Default("[]", "many calls share one"), "[\"promo1\"]",
        "User parts of the From URI."),
    key("campaigns.NAME.match.request-user", Texts, Default("[]", "usually the person's own number"), "[\"34910000009\"]",
        "User parts of the request URI."),
    key("campaigns.NAME.match.dialer", Names, Default("[]", "a dialer has several campaigns"), "[\"vicidial\"]",
        "Dialers all of whose otherwise unnamed calls belong here."),

    key("campaigns.NAME.greeting.play", Names, Default("[]", "silence"), "[\"welcome\"]",
        "Prompts, one after the other, by the names of WAV files in the campaign's language. ivr only."),
    key("campaigns.NAME.greeting.rounds", Count(1, 10), Default("1", "who wants it again calls again"), "",
        "How often they are played, with digits.first-timeout between two rounds. ivr only."),

    key("campaigns.NAME.digits.first-timeout", DurationIn("1s", "1m"), Default("\"8s\"", "time to find the keypad of a phone held to the ear"), "",
        "From the end of the greeting to the first key."),
    key("campaigns.NAME.digits.inter-digit", DurationIn("0s", "10s"), Default("\"2s\"", "slow fingers need 1.5 s"), "",
        "From one key to the next of the same code, where a longer code is still possible; 0s decides at once."),
    key("campaigns.NAME.digits.confirm-timeout", DurationIn("1s", "1m"), Default("\"10s\"", "the prompt that asks takes half of it"), "",
        "From the start of the prompt `ask` to the keys pressed again."),

    key("campaigns.NAME.codes.KEYS.add-to", Names, Required, "[\"comercial\"]",
        "The lists that the person's number is added to, at least one."),
    key("campaigns.NAME.codes.KEYS.confirm", OneOf(&["none", "press-again"]), Default("\"none\"", "opting out must be as easy as listening"), "",
        "Whether the keys must be pressed a second time, after the prompt `ask`."),
    key("campaigns.NAME.codes.KEYS.then", OneOf(&["hangup", "continue"]), Default("\"hangup\"", "who opts out has heard enough"), "",
        "What follows the confirmation: the end of the call, or the call as it was."),
    key("campaigns.NAME.codes.KEYS.prompts.ask", Name, Default("\"optout-ask\"", "it comes with the program"), "",
        "Asks for the second press."),
    key("campaigns.NAME.codes.KEYS.prompts.done", Name, Default("\"optout-done\"", "it comes with the program"), "",
        "The number is on the lists now, and durably so."),
    key("campaigns.NAME.codes.KEYS.prompts.already", Name, Default("\"optout-already\"", "it comes with the program"), "",
        "The number was on the lists already."),
    key("campaigns.NAME.codes.KEYS.prompts.failed", Name, Default("\"optout-failed\"", "it comes with the program"), "",
        "It could not be made durable; this engine refuses the number all the same."),
];

const fn key(
    path: &'static str,
    kind: Kind,
    presence: Presence,
    example: &'static str,
    doc: &'static str,
) -> Key {
    Key { path, kind, presence, example, doc }
}

/// What may stand in a table: the last segment of a key, or the next table.
#[derive(Clone, Copy, Debug)]
pub(super) enum Child {
    Key(&'static Key),
    Table,
}

/// Whether a segment of a path stands for a name that the operator chooses.
pub(super) fn is_chosen(segment: &str) -> bool {
    segment.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// What may stand in the table `path` (empty: the file itself), each segment once, in order.
pub(super) fn children(path: &str) -> Vec<(&'static str, Child)> {
    let mut found: Vec<(&'static str, Child)> = Vec::new();
    for key in KEYS {
        let rest = if path.is_empty() {
            Some(key.path)
        } else {
            key.path.strip_prefix(path).and_then(|rest| rest.strip_prefix('.'))
        };
        let Some(rest) = rest else { continue };
        let (segment, child) = match rest.split_once('.') {
            None => (rest, Child::Key(key)),
            Some((table, _)) => (table, Child::Table),
        };
        if !found.iter().any(|(known, _)| *known == segment) {
            found.push((segment, child));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_stands_in_a_described_table() {
        for key in KEYS {
            let (table, last) = key.path.rsplit_once('.').unwrap();
            assert!(TABLES.iter().any(|known| known.path == table), "{}", key.path);
            assert!(is_chosen(last) || last.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
            assert!(key.doc.ends_with('.'), "{} is not documented by a sentence", key.path);
        }
        for table in TABLES {
            assert!(!children(table.path).is_empty(), "[{}] has no key", table.path);
        }
    }

    #[test]
    fn every_key_has_a_value_to_show() {
        for key in KEYS {
            let shown = match key.presence {
                Default(value, why) => {
                    assert!(!why.is_empty(), "{}: a default has a reason", key.path);
                    value
                }
                Optional(meaning) => {
                    assert!(!meaning.is_empty(), "{}: absence means something", key.path);
                    key.example
                }
                Required => key.example,
            };
            assert!(!shown.is_empty(), "{}", key.path);
        }
    }
}
