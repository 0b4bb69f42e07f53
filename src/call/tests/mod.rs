//! Whole calls on virtual time, as both peers and the media see them: rows of
//! `millisecond:word`, and what must come out and when.
//!
//! [`play`] feeds the words and fires each deadline in its place. `A.` is the dialer, `B.` the
//! carrier: `A.INVITE=pcmu+pcma`, `B.183=pcmu`, `A.REINVITE=pcma@192.0.2.11:9000!sendonly`,
//! `B.INFO/7=9` with its CSeq. The media is told and told of: `key=9` is pressed on the person's
//! leg, `played` ends a prompt (`played=0`: nobody could hear it). The ledger says `ack` or
//! `fail`; `kept` is the audio around a press; `optout=+34600000001` is somebody else's opt-out,
//! perhaps with a list behind `/`; `new`, `stale` and `fresh` say whether those are known here;
//! `registry=31` is an import that speaks of so many days ago; `drain` hangs everything up, `stop` at
//! once, and `lost` is media that has closed by itself.
//!
//! What comes out begins with whom it concerns: `A<200=pcmu#1` (codecs and version of the
//! description), `A<BYE(ended;reason=hung-up)` with the outcome that the header tells,
//! `voice<play(B,done)`, `ledger<opt-out(9)`, `record(opted_out)`. A row compares what begins
//! with one of its `watch` words, so that each shows one thing.

mod audio;
mod ends;
mod numbers;
mod offers;
mod peer;
mod rules;
mod voice;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::call::Acknowledgement;
use crate::call::Calls;
use crate::call::OpenedVoice;
use crate::call::Output;
use crate::call::Played;
use crate::call::VoiceCommand;
use crate::call::VoiceEvent;
use crate::call::VoiceId;
use crate::call::VoiceReport;
use crate::call::rules::AudioSpan;
use crate::dtmf::Evidence;
use crate::dtmf::KeyPress;
use crate::dtmf::Method;
use crate::media::clip::Clip;
use crate::model::Digit;
use crate::model::Number;
use crate::model::RecordId;
use crate::model::UnixMicros;
use crate::model::WriterId;
use crate::model::time::WallAnchor;
use crate::model::token::Seed;
use crate::sip::Endpoint;
use crate::sip::Listener;
use crate::sip::ListenerId;
use crate::sip::Settings;
use crate::suppression::Durable;
use crate::suppression::Fact;
use crate::suppression::Freshness;
use crate::suppression::Index;
use crate::suppression::Leg;
use crate::suppression::import::Import;
use crate::suppression::import::Imported;
use crate::suppression::import::Shape;

use peer::Opening;
use peer::Peer;

/// Longer ago than a node may be without the others.
const OLD: Duration = Duration::from_millis(1);

/// When a play begins.
const WALL: UnixMicros = UnixMicros(1_795_000_000_000_000);

/// Where the engine is.
const ENGINE: &str = "198.51.100.1:5060";

#[expect(clippy::disallowed_methods, reason = "a test's own zero of time")]
fn zero() -> Instant {
    Instant::now()
}

/// Plays a call of `campaign`; what came out that begins with a word of `watch`.
fn play(campaign: &str, script: &str, watch: &str) -> String {
    play_from(Opening { campaign, ..Opening::default() }, script, watch)
}

/// Fails with every row that came out otherwise: name, input, told, wanted.
fn compare<'r>(rows: impl IntoIterator<Item = (&'r str, String, String, &'r str)>) {
    let wrong = rows.into_iter().filter(|(_, _, told, want)| told != want);
    let wrong: Vec<String> = wrong
        .map(|(name, input, told, want)| format!("{name}: {input}\n told {told}\n want {want}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn play_from(opening: Opening<'_>, script: &str, watch: &str) -> String {
    let mut play = Play::new(opening);
    play.follow(script);
    play.finish(watch)
}

struct Play<'a> {
    calls: Calls,
    index: Arc<Index>,
    start: Instant,
    at_ms: u64,
    peers: [Peer<'a>; 2],
    person: Leg,
    voice: VoiceId,
    playing: Option<(Leg, u64)>,
    submitted: VecDeque<u64>,
    records: u64,
    /// A press was to be kept, and has not come yet.
    is_keeping: bool,
    told: Vec<(u64, String)>,
}

impl<'a> Play<'a> {
    fn new(opening: Opening<'a>) -> Self {
        let index = Arc::new(rules::index());
        let mut rules = rules::rules(&index);
        let span = AudioSpan { before: Duration::from_secs(5), after: Duration::from_secs(3) };
        rules.audio = opening.audio.then_some(span);
        let address: SocketAddr = ENGINE.parse().unwrap();
        let mut settings = Settings::new("Test");
        settings.listeners = vec![Listener { local: address, advertised: address }];
        let start = zero();
        let wall = WallAnchor { at: start, wall: WALL };
        let endpoint = Endpoint::new(settings, Seed(7, 1));
        let calls = Calls::new(Arc::new(rules), Arc::clone(&index), endpoint, wall, Seed(7, 2));
        let is_caller =
            opening.campaign.starts_with("ivr") || opening.campaign.ends_with("calling");
        Self {
            calls,
            index,
            start,
            at_ms: 0,
            peers: [Peer::new(true, opening), Peer::new(false, opening)],
            person: if is_caller { Leg::A } else { Leg::B },
            voice: VoiceId(0),
            playing: None,
            submitted: VecDeque::new(),
            records: 0,
            is_keeping: false,
            told: Vec::new(),
        }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.at_ms)
    }

    fn follow(&mut self, script: &str) {
        for token in script.split_whitespace() {
            let (at, word) = token.split_once(':').unwrap();
            self.run_until(at.parse().unwrap());
            self.feed(word);
            self.drain();
        }
    }

    fn run_until(&mut self, at_ms: u64) {
        for _ in 0..10_000 {
            let Some(due) = self.calls.poll_timeout() else { break };
            let due = due.saturating_duration_since(self.start);
            // Rounded up: a deadline between two milliseconds has come at the second.
            let due_ms = due.as_nanos().div_ceil(1_000_000) as u64;
            if due_ms > at_ms {
                break;
            }
            self.at_ms = self.at_ms.max(due_ms);
            self.calls.handle_timeout(self.now());
            self.drain();
        }
        if at_ms != u64::MAX {
            self.at_ms = at_ms;
        }
    }

    fn feed(&mut self, word: &str) {
        let now = self.now();
        let (order, argument) = word.split_once('=').unwrap_or((word, ""));
        match order {
            "key" => self.key(self.person, argument, Method::Event),
            "key-other" => self.key(self.person.other(), argument, Method::Event),
            "kept" => self.kept(),
            "late" => {
                let seq = argument.parse().unwrap_or(1);
                self.calls.handle_written_late(RecordId { writer: WriterId(9), seq });
            }
            "played" => self.played(argument.parse().unwrap_or(50)),
            "ack" | "fail" => self.acknowledge(order == "ack"),
            "drain" => self.calls.hang_up_all(now),
            "stop" => self.calls.leave_all(now),
            "lost" => {
                let event = VoiceEvent::Closed { report: VoiceReport::default() };
                self.calls.handle_voice(now, self.voice, event);
            }
            "optout" => self.opt_out_elsewhere(argument),
            "new" => self.index.set_freshness(Freshness::Never),
            "stale" => self.index.set_freshness(Freshness::Until(self.start - OLD)),
            "fresh" => self.index.set_freshness(Freshness::Until(now)),
            "registry" => self.import_registry(argument.parse().unwrap()),
            _ => self.say(word),
        }
    }

    fn say(&mut self, word: &str) {
        let (now, (side, word)) = (self.now(), word.split_once('.').unwrap());
        let peer = &mut self.peers[usize::from(side == "B")];
        let source = peer.address();
        let Some(bytes) = peer.say(word) else { return self.tell(format!("nothing for {word}")) };
        self.calls.handle_datagram(now, ListenerId(0), source, &bytes);
    }

    fn key(&mut self, leg: Leg, digit: &str, method: Method) {
        let pressed_at = self.now();
        let digit = digit.chars().next().and_then(Digit::from_char).unwrap();
        let evidence = Evidence::default();
        let press = KeyPress { digit, method, pressed_at, heard_at: pressed_at, evidence };
        self.calls.handle_voice(pressed_at, self.voice, VoiceEvent::Key { leg, press });
    }

    /// The prompt that plays comes to its end, after so many frames; with none nobody heard it.
    fn played(&mut self, frames: u32) {
        let Some((leg, token)) = self.playing.take() else { return self.tell("no prompt".into()) };
        let played = Played { token, started_at: self.now(), frames, whole: frames > 0 };
        self.calls.handle_voice(self.now(), self.voice, VoiceEvent::Played { leg, played });
    }

    /// The audio around the press is whole.
    fn kept(&mut self) {
        if std::mem::take(&mut self.is_keeping) {
            let clip = Box::new(Clip::new(Duration::ZERO, Duration::ZERO));
            let event = VoiceEvent::Kept { leg: self.person, clip };
            self.calls.handle_voice(self.now(), self.voice, event);
        }
    }

    fn acknowledge(&mut self, is_durable: bool) {
        let Some(token) = self.submitted.pop_front() else { return self.tell("no fact".into()) };
        self.records += 1;
        let record = RecordId { writer: WriterId(7), seq: self.records };
        let durable =
            is_durable.then_some(Durable { record, durable_at: UnixMicros(1), is_pending: false });
        self.calls.handle_acknowledgement(self.now(), &Acknowledgement { token, durable });
    }

    fn opt_out_elsewhere(&mut self, argument: &str) {
        let (number, list) = argument.split_once('/').unwrap_or((argument, "all"));
        let number = Number::from_record(number).unwrap();
        self.index.block_beyond(number, &[list.into()], None, None).unwrap();
        self.calls.handle_opted_out(self.now(), number);
    }

    /// An import of the registry "us" that speaks of so many days ago.
    fn import_registry(&self, days: i64) {
        let day = UnixMicros(WALL.0 - days * 86_400_000_000);
        let import = Import {
            as_of: Some(day),
            ..Import::new("us".into(), Shape::FtcFull, "node".into(), WALL)
        };
        let record = RecordId { writer: WriterId(9), seq: 9 };
        self.index.take_imports(&[Imported { record, written_at: WALL, import }]);
    }

    fn drain(&mut self) {
        while let Some(output) = self.calls.poll() {
            match output {
                Output::Transmit(transmit) => self.sent(transmit.to, &transmit.bytes),
                Output::OpenVoice { voice, .. } => self.open(voice),
                Output::Voice { voice, command } => self.command(voice, command),
                Output::Submit { token, fact } => {
                    self.submitted.push_back(token);
                    self.tell(match *fact {
                        Fact::OptOut(opt_out) => format!("ledger<opt-out({})", opt_out.digits),
                        Fact::Confirmed(it) => format!("ledger<confirmed({:?})", it.outcome),
                        Fact::Audio(_)
                        | Fact::Checkpoint(_)
                        | Fact::Erasure(_)
                        | Fact::Import(_)
                        | Fact::Reversal(_) => {
                            panic!("no call makes this")
                        }
                    });
                }
                Output::KeepAudio { record, clip } => {
                    self.tell(format!("audio({},{})", record.seq, clip.is_some()));
                }
                Output::Record(cdr) => self.tell(format!("record({})", cdr.disposition.as_str())),
                Output::Measure(_) => {}
            }
        }
    }

    fn tell(&mut self, told: String) {
        self.told.push((self.at_ms, told));
    }

    fn sent(&mut self, to: SocketAddr, bytes: &[u8]) {
        let side = self.peers.iter().position(|peer| peer.address() == to).unwrap();
        let name = ["A", "B"][side];
        self.tell(format!("{name}<{}", peer::describe(bytes)));
        for answer in self.peers[side].hear(bytes) {
            self.say(&format!("{name}.{answer}"));
        }
    }

    fn open(&mut self, voice: VoiceId) {
        self.voice = voice;
        let addresses = ["198.51.100.1:20000", "198.51.100.1:20002"].map(|it| it.parse().unwrap());
        self.calls.handle_voice_opened(self.now(), voice, Some(OpenedVoice { addresses }));
    }

    fn command(&mut self, voice: VoiceId, command: VoiceCommand) {
        let told = match &command {
            VoiceCommand::Settle { leg, media, .. } => {
                let (codec, direction) = (media.codec, media.direction.name());
                format!("settle({leg:?},{codec}@{}!{direction})", media.remote)
            }
            VoiceCommand::Listen { leg } => format!("listen({leg:?})"),
            VoiceCommand::Capture { leg, .. } => format!("capture({leg:?})"),
            VoiceCommand::Keep { leg } => format!("keep({leg:?})"),
            VoiceCommand::Play { leg, prompts, .. } => {
                let names: Vec<&str> = prompts.iter().map(|prompt| prompt.name()).collect();
                format!("play({leg:?},{})", names.join("+"))
            }
            VoiceCommand::StopPlaying { leg } => format!("stop({leg:?})"),
            VoiceCommand::Relay { on } => format!("relay({on})"),
            VoiceCommand::Info { leg, digit, .. } => format!("info({leg:?},{digit})"),
            VoiceCommand::Close => "close".to_owned(),
        };
        self.tell(format!("voice<{told}"));
        match command {
            VoiceCommand::Play { leg, token, .. } => self.playing = Some((leg, token)),
            VoiceCommand::StopPlaying { .. } if self.playing.is_some() => self.played(0),
            VoiceCommand::Info { leg, digit, .. } => {
                self.key(leg, &digit.to_string(), Method::Info);
            }
            VoiceCommand::Keep { .. } => self.is_keeping = true,
            VoiceCommand::Close => {
                self.kept();
                let report = VoiceReport::default();
                self.calls.handle_voice(self.now(), voice, VoiceEvent::Closed { report });
            }
            _ => {}
        }
    }

    /// Runs until nothing is due any more.
    fn finish(mut self, watch: &str) -> String {
        self.run_until(u64::MAX);
        let is_watched = |told: &str| watch.split_whitespace().any(|start| told.starts_with(start));
        let told = self.told.iter().filter(|(_, told)| is_watched(told));
        let mut lines: Vec<String> = told.map(|(at, told)| format!("{at}:{told}")).collect();
        let left = (self.calls.len(), self.calls.endpoint().sessions_len());
        if left != (0, 0) {
            lines.push(format!("left {} calls, {} sessions", left.0, left.1));
        }
        lines.join(" ")
    }
}
