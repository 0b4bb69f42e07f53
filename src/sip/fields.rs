//! What the headers of a message say, read when it is asked for and not before. A value is judged
//! by [`Message::validate`] once; the readers here judge it again, since they cannot know.

#![deny(clippy::indexing_slicing)]

use super::address::NameAddr;
use super::error::SipError;
use super::message::Message;
use super::name::HeaderName;
use super::name::Method;
use super::scan;
use super::scan::Pieces;
use super::start::StartLine;
use super::uri::Uri;
use super::via::Via;

impl<'a> Message<'a> {
    /// The Request-URI, read.
    ///
    /// # Errors
    ///
    /// [`SipError::RequestUri`] when it is malformed, or the message is a response.
    pub fn request_uri(&self) -> Result<Uri<'a>, SipError> {
        match self.start() {
            StartLine::Request { uri, .. } => Uri::parse(uri).map_err(|_| SipError::RequestUri),
            StartLine::Response { .. } => Err(SipError::RequestUri),
        }
    }

    /// The elements of a header that is a list, over all its lines, split at commas that stand
    /// outside quotes and angle brackets (RFC 3261 section 7.3.1).
    pub fn list(&self, name: HeaderName) -> impl Iterator<Item = &'a [u8]> {
        self.headers(name).flat_map(Pieces::commas)
    }

    /// The addresses of a header that is a list of them: Contact, Route, Record-Route,
    /// P-Asserted-Identity, Diversion, History-Info.
    pub fn addresses(
        &self,
        name: HeaderName,
    ) -> impl Iterator<Item = Result<NameAddr<'a>, SipError>> {
        self.list(name).map(move |value| read_address(name, value))
    }

    /// The option tags of Require, Proxy-Require, Supported or Unsupported.
    pub fn option_tags(&self, name: HeaderName) -> impl Iterator<Item = &'a [u8]> {
        self.list(name).filter(|tag| !tag.is_empty())
    }

    /// The one value of a header that must be there.
    fn only(&self, name: HeaderName) -> Result<&'a [u8], SipError> {
        self.header(name).ok_or(SipError::Missing(name))
    }

    /// Every Via in order, the topmost first.
    pub fn vias(&self) -> impl Iterator<Item = Result<Via<'a>, SipError>> {
        self.list(HeaderName::Via).map(Via::parse)
    }

    /// The topmost Via: where the message comes from, or where it goes back to.
    ///
    /// # Errors
    ///
    /// [`SipError::Missing`] or [`SipError::Malformed`].
    pub fn via(&self) -> Result<Via<'a>, SipError> {
        self.vias().next().unwrap_or(Err(SipError::Missing(HeaderName::Via)))
    }

    /// Who the request says it is from.
    ///
    /// # Errors
    ///
    /// [`SipError::Missing`] or [`SipError::Malformed`].
    pub fn from(&self) -> Result<NameAddr<'a>, SipError> {
        read_address(HeaderName::From, self.only(HeaderName::From)?)
    }

    /// Who the request says it is for.
    ///
    /// # Errors
    ///
    /// [`SipError::Missing`] or [`SipError::Malformed`].
    pub fn to(&self) -> Result<NameAddr<'a>, SipError> {
        read_address(HeaderName::To, self.only(HeaderName::To)?)
    }

    /// The first Contact: the remote target of a dialog.
    ///
    /// # Errors
    ///
    /// [`SipError::Missing`] or [`SipError::Malformed`].
    pub fn contact(&self) -> Result<NameAddr<'a>, SipError> {
        let missing = Err(SipError::Missing(HeaderName::Contact));
        self.addresses(HeaderName::Contact).next().unwrap_or(missing)
    }

    /// The sequence number and method of CSeq. Numbers of 2^31 and above break RFC 3261 section
    /// 8.1.1.5 and are let pass: they order as well as any.
    ///
    /// # Errors
    ///
    /// [`SipError::Missing`] or [`SipError::Malformed`].
    pub fn cseq(&self) -> Result<(u32, Method), SipError> {
        self.cseq_token().map(|(number, token)| (number, Method::from_token(token)))
    }

    /// [`Self::cseq`] with the method as written.
    pub(super) fn cseq_token(&self) -> Result<(u32, &'a [u8]), SipError> {
        let value = self.only(HeaderName::CSeq)?;
        let malformed = SipError::Malformed(HeaderName::CSeq);
        let end = value.iter().position(|byte| scan::is_space(*byte)).ok_or(malformed)?;
        let (number, token) = scan::cut(value, end);
        let token = scan::trim(token);
        match scan::decimal(number) {
            Some(number) if scan::is_token(token) => Ok((number, token)),
            _ => Err(malformed),
        }
    }

    /// The Call-ID as written.
    ///
    /// # Errors
    ///
    /// [`SipError::Missing`], or [`SipError::Malformed`] when it is empty or holds white space or
    /// controls.
    pub fn call_id(&self) -> Result<&'a [u8], SipError> {
        let value = self.only(HeaderName::CallId)?;
        if value.is_empty() || value.iter().copied().any(scan::is_blank) {
            return Err(SipError::Malformed(HeaderName::CallId));
        }
        Ok(value)
    }

    /// How many hops are left; `None` when the request does not say (RFC 2543 did not).
    ///
    /// # Errors
    ///
    /// [`SipError::Malformed`] when it is not a number from 0 to 255.
    pub fn max_forwards(&self) -> Result<Option<u8>, SipError> {
        let malformed = SipError::Malformed(HeaderName::MaxForwards);
        let number = self.number(HeaderName::MaxForwards)?;
        number.map(|number| u8::try_from(number).map_err(|_| malformed)).transpose()
    }

    /// The number in front of a header such as Expires, Session-Expires, Min-SE or Retry-After;
    /// parameters and a comment behind it are left out.
    ///
    /// # Errors
    ///
    /// [`SipError::Malformed`] when it is not a number below 2^32.
    pub fn number(&self, name: HeaderName) -> Result<Option<u32>, SipError> {
        let Some(value) = self.header(name) else { return Ok(None) };
        let is_end = |byte: &u8| matches!(byte, b';' | b'(') || scan::is_space(*byte);
        let end = value.iter().position(is_end).unwrap_or(value.len());
        let (number, _) = scan::cut(value, end);
        scan::decimal(number).map(Some).ok_or(SipError::Malformed(name))
    }

    /// The media type of the body, `type/subtype`, without parameters, as written.
    pub fn content_type(&self) -> Option<&'a [u8]> {
        let value = self.header(HeaderName::ContentType)?;
        Some(Pieces::new(value, b';').next().unwrap_or_default())
    }
}

fn read_address(name: HeaderName, value: &[u8]) -> Result<NameAddr<'_>, SipError> {
    NameAddr::parse(value).map_err(|_| SipError::Malformed(name))
}
