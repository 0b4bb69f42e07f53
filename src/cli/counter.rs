//! Who answers questions about lists: the running engine, or the store opened by ourselves.

use std::io::Write;

use super::args::Common;
use super::client::Engine;
use super::client::unexpected;
use super::exit::Code;
use super::exit::Failure;
use crate::config;
use crate::config::Checked;
use crate::engine::Desk;
use crate::engine::Finding;
use crate::engine::Rooms;
use crate::engine::admin::Reply;
use crate::engine::admin::Request;
use crate::engine::admin::SOCKET_NAME;
use crate::engine::desk;
use crate::engine::desk::Access;
use crate::engine::desk::Added;
use crate::engine::desk::Addition;
use crate::engine::desk::Claim;
use crate::engine::desk::Earlier;
use crate::engine::desk::Erased;
use crate::engine::desk::Erasing;
use crate::engine::desk::Explanation;
use crate::engine::desk::Format;
use crate::engine::desk::ImportDone;
use crate::engine::desk::ImportPlace;
use crate::engine::desk::Reversed;
use crate::engine::desk::Reversing;
use crate::engine::desk::Selection;
use crate::engine::desk::Shown;
use crate::engine::desk::Withdrawing;
use crate::engine::desk::Withdrawn;
use crate::model::AccountName;
use crate::model::CampaignName;
use crate::model::ListName;
use crate::net::LINE_BYTES_MAX;
use crate::store::Ageing;
use crate::suppression::Authority;
use crate::suppression::Retention;
use crate::suppression::proof::PublicKey;

/// Who answers.
#[derive(Debug)]
pub(super) enum Counter {
    /// The running engine.
    Engine(Engine),
    /// The store, in our own hands.
    Desk(Box<Desk>),
}

/// The configuration, or its findings on standard error and a failure.
pub(super) fn load(common: &Common) -> Result<Checked, Failure> {
    config::load(common.config(), &Rooms).map_err(|findings| {
        let mut errors = 0;
        for finding in &findings {
            errors += usize::from(finding.severity() == config::Severity::Error);
            let text = if common.json {
                serde_json::to_string(&Finding::new(finding, false)).unwrap_or_default()
            } else {
                format!("{}\n", finding.render(false))
            };
            // Without standard error there is nobody left to tell.
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        }
        let (dir, errors) = (common.config().display(), super::text::count(errors, "error"));
        Failure::new(Code::Usage, format!("the configuration in `{dir}` has {errors}"))
    })
}

/// The running engine; a failure when there is none.
pub(super) fn engine(common: &Common) -> Result<Engine, Failure> {
    let path = match &common.socket {
        Some(path) => path.clone(),
        None => load(common)?.store.path.join(SOCKET_NAME),
    };
    Engine::connect(&path)?.ok_or_else(|| {
        let path = path.display();
        Failure::new(Code::Unreachable, format!("no engine is running: nobody answers on `{path}`"))
    })
}

impl Counter {
    /// The running engine where one answers, else the store for `access`.
    pub(super) fn open(common: &Common, access: Access) -> Result<Self, Failure> {
        if common.socket.is_some() {
            return Ok(Self::Engine(engine(common)?));
        }
        let checked = load(common)?;
        match Engine::connect(&checked.store.path.join(SOCKET_NAME))? {
            Some(engine) => Ok(Self::Engine(engine)),
            None => Ok(Self::Desk(Box::new(Desk::open(checked, access)?))),
        }
    }

    /// As [`Self::open`] for entering `addition`, which is judged before a store is made or
    /// written to for it.
    pub(super) fn open_for(common: &Common, addition: &Addition) -> Result<Self, Failure> {
        if common.socket.is_none() {
            let checked = load(common)?;
            desk::judge(&checked, addition)?;
        }
        Self::open(common, Access::Write)
    }

    /// As [`Self::open`] for a reversal, for which no store is made.
    pub(super) fn open_for_reversal(common: &Common, is_rehearsal: bool) -> Result<Self, Failure> {
        let has_store = || Ok::<_, Failure>(load(common)?.store.path.is_dir());
        let is_written = !is_rehearsal && (common.socket.is_some() || has_store()?);
        // Where nothing is kept, opening it for questions says so.
        Self::open(common, if is_written { Access::Write } else { Access::Read })
    }

    /// As [`Self::open`] for an import into `list` for `account`, and where it goes. Without an
    /// engine and without a store yet, nobody: nothing is made before the file has been read.
    pub(super) fn open_for_import(
        common: &Common,
        list: Option<ListName>,
        account: Option<AccountName>,
        is_dry: bool,
    ) -> Result<(Option<Self>, ImportPlace), Failure> {
        if common.socket.is_none() {
            let checked = load(common)?;
            let place = desk::import_place(&checked, list.as_ref(), account.as_ref())?;
            // Numbers are hashed as they are read, by what is drawn with the store.
            let is_first = is_dry || !place.numbers.needs_store();
            if !place.store.is_dir() && is_first {
                return Ok((None, place));
            }
        }
        let access = if is_dry { Access::Read } else { Access::Write };
        let mut counter = Self::open(common, access)?;
        let place = counter.import_place(list, account)?;
        Ok((Some(counter), place))
    }

    /// As [`Desk::explain`].
    pub(super) fn explain(
        &mut self,
        number: String,
        campaign: CampaignName,
    ) -> Result<Explanation, Failure> {
        match self {
            Self::Desk(desk) => Ok(desk.explain(&number, &campaign)?),
            Self::Engine(engine) => {
                engine.send(&Request::Explain { number, campaign })?;
                match engine.next()? {
                    Reply::Explained(explanation) => Ok(*explanation),
                    reply => Err(unexpected(&reply)),
                }
            }
        }
    }

    /// As [`Desk::add`].
    pub(super) fn add(&mut self, addition: Addition) -> Result<Added, Failure> {
        match self {
            Self::Desk(desk) => Ok(desk.add(addition)?),
            Self::Engine(engine) => {
                engine.send(&Request::Add(addition))?;
                match engine.next()? {
                    Reply::Added(added) => Ok(added),
                    reply => Err(unexpected(&reply)),
                }
            }
        }
    }

    /// As [`Desk::reverse`].
    pub(super) fn reverse(&mut self, reversing: Reversing) -> Result<Reversed, Failure> {
        match self {
            // The store's files are our own user's.
            Self::Desk(desk) => Ok(desk.reverse(Authority::LocalOperator, &reversing)?),
            Self::Engine(engine) => {
                engine.send(&Request::Reverse(reversing))?;
                match engine.next()? {
                    Reply::Reversed(reversed) => Ok(reversed),
                    reply => Err(unexpected(&reply)),
                }
            }
        }
    }

    /// As [`Desk::withdraw`].
    pub(super) fn withdraw(
        &mut self,
        withdrawing: Withdrawing,
        tell: &mut dyn FnMut(u64, u64),
    ) -> Result<Withdrawn, Failure> {
        let engine = match self {
            // The store's files are our own user's.
            Self::Desk(desk) => {
                return Ok(desk.withdraw(Authority::LocalOperator, &withdrawing, tell)?);
            }
            Self::Engine(engine) => engine,
        };
        engine.send(&Request::Withdraw(withdrawing))?;
        loop {
            match engine.next()? {
                Reply::Progress(done, of) => tell(done, of),
                Reply::Withdrawn(withdrawn) => return Ok(withdrawn),
                reply => return Err(unexpected(&reply)),
            }
        }
    }

    /// As [`Desk::erase`].
    pub(super) fn erase(&mut self, erasing: Erasing) -> Result<Erased, Failure> {
        match self {
            Self::Desk(desk) => Ok(desk.erase(Authority::LocalOperator, &erasing)?),
            Self::Engine(engine) => {
                engine.send(&Request::Erase(erasing))?;
                match engine.next()? {
                    Reply::Erased(erased) => Ok(erased),
                    reply => Err(unexpected(&reply)),
                }
            }
        }
    }

    /// As [`Desk::ageing`].
    pub(super) fn ageing(&mut self, retention: Retention) -> Result<Ageing, Failure> {
        match self {
            Self::Desk(desk) => Ok(desk.ageing(Some(retention))?),
            Self::Engine(engine) => {
                engine.send(&Request::Ageing(retention))?;
                match engine.next()? {
                    Reply::Ageing(ageing) => Ok(*ageing),
                    reply => Err(unexpected(&reply)),
                }
            }
        }
    }

    /// As [`Desk::import_place`].
    pub(super) fn import_place(
        &mut self,
        list: Option<ListName>,
        account: Option<AccountName>,
    ) -> Result<ImportPlace, Failure> {
        match self {
            Self::Desk(desk) => Ok(desk.import_place(list.as_ref(), account.as_ref())?),
            Self::Engine(engine) => {
                engine.send(&Request::ImportPlace { list, account })?;
                match engine.next()? {
                    Reply::ImportPlace(place) => Ok(place),
                    reply => Err(unexpected(&reply)),
                }
            }
        }
    }

    /// As [`Desk::weigh`].
    pub(super) fn weigh(&mut self, claim: &Claim) -> Result<Vec<Earlier>, Failure> {
        match self {
            Self::Desk(desk) => Ok(desk.weigh(claim)?),
            Self::Engine(engine) => {
                engine.send(&Request::WeighImport(Box::new(claim.clone())))?;
                match engine.next()? {
                    Reply::Weighed(earlier) => Ok(earlier),
                    reply => Err(unexpected(&reply)),
                }
            }
        }
    }

    /// As [`Desk::import`]; an engine is asked for as many at once as a line holds.
    pub(super) fn import(
        &mut self,
        claims: Vec<Claim>,
        tell: &mut dyn FnMut(u64, u64),
    ) -> Result<Vec<ImportDone>, Failure> {
        let engine = match self {
            Self::Desk(desk) => return Ok(desk.import(claims, tell)?),
            Self::Engine(engine) => engine,
        };
        let mut all = Vec::with_capacity(claims.len());
        for claims in in_lines(claims)? {
            engine.send(&Request::Import(claims))?;
            loop {
                match engine.next()? {
                    Reply::Progress(done, of) => tell(done, of),
                    Reply::Imported(done) => {
                        all.extend(done);
                        break;
                    }
                    reply => return Err(unexpected(&reply)),
                }
            }
        }
        Ok(all)
    }

    /// As [`Desk::show`].
    pub(super) fn show(&mut self, number: String) -> Result<Vec<Shown>, Failure> {
        let engine = match self {
            Self::Desk(desk) => return Ok(desk.show(&number)?),
            Self::Engine(engine) => engine,
        };
        engine.send(&Request::Show { number })?;
        let mut records = Vec::new();
        loop {
            match engine.next()? {
                Reply::Record(shown) => records.push(*shown),
                Reply::End => return Ok(records),
                reply => return Err(unexpected(&reply)),
            }
        }
    }

    /// As [`Desk::proof`].
    pub(super) fn proof(&mut self, number: String) -> Result<Option<Vec<u8>>, Failure> {
        let engine = match self {
            Self::Desk(desk) => return Ok(desk.proof(&number)?),
            Self::Engine(engine) => engine,
        };
        engine.send(&Request::Proof { number })?;
        let bundle = texts(engine)?.into_bytes();
        Ok(Some(bundle).filter(|bundle| !bundle.is_empty()))
    }

    /// As [`Desk::heads`].
    pub(super) fn heads(&mut self) -> Result<String, Failure> {
        match self {
            Self::Desk(desk) => Ok(desk.heads()?),
            Self::Engine(engine) => {
                engine.send(&Request::Heads)?;
                texts(engine)
            }
        }
    }

    /// As [`Desk::proof_key`].
    pub(super) fn proof_key(&mut self) -> Result<Option<PublicKey>, Failure> {
        let engine = match self {
            Self::Desk(desk) => return Ok(desk.proof_key()),
            Self::Engine(engine) => engine,
        };
        engine.send(&Request::Status)?;
        match engine.next()? {
            Reply::Status(report) => Ok(report.standing.proof_key),
            reply => Err(unexpected(&reply)),
        }
    }

    /// As [`Desk::export`]; returns what [`Desk::imports_left_out`] does.
    pub(super) fn export(
        &mut self,
        selection: Selection,
        format: Format,
        out: &mut dyn Write,
    ) -> Result<u64, Failure> {
        let engine = match self {
            Self::Desk(desk) => {
                desk.export(&selection, format, out)?;
                return Ok(desk.imports_left_out(&selection)?);
            }
            Self::Engine(engine) => engine,
        };
        engine.send(&Request::Export { selection, format })?;
        let mut left_out = 0;
        loop {
            match engine.next()? {
                Reply::Text(text) => out.write_all(text.as_bytes())?,
                Reply::LeftOut(imports) => left_out = imports,
                Reply::End => return Ok(left_out),
                reply => return Err(unexpected(&reply)),
            }
        }
    }
}

/// The pieces of an answer, one behind the other.
fn texts(engine: &mut Engine) -> Result<String, Failure> {
    let mut whole = String::new();
    loop {
        match engine.next()? {
            Reply::Text(text) => whole.push_str(&text),
            Reply::End => return Ok(whole),
            reply => return Err(unexpected(&reply)),
        }
    }
}

/// Octets of claims in one line: with what stands around them, and the answer's, it fits.
const CLAIMS_LEN_MAX: usize = LINE_BYTES_MAX / 2;

/// `claims` in the same order, as many together as fit a line of the admin socket.
fn in_lines(claims: Vec<Claim>) -> Result<Vec<Vec<Claim>>, Failure> {
    let (mut lines, mut len): (Vec<Vec<Claim>>, usize) = (Vec::new(), 0);
    for claim in claims {
        let octets = serde_json::to_vec(&claim)
            .map_err(|error| Failure { code: Code::Internal, error: error.into() })?;
        len += octets.len();
        match lines.last_mut().filter(|_line| len <= CLAIMS_LEN_MAX) {
            Some(line) => line.push(claim),
            None => {
                lines.push(vec![claim]);
                len = octets.len();
            }
        }
    }
    Ok(lines)
}
